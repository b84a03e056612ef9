//! libvirt's `virsh`: what its domains are, and a device added to one. No shell, a time limit, and
//! what it says on standard error in our error.

use std::path::PathBuf;

use nix::errno::Errno;
use uuid::Uuid;

use super::find::program_in_path;
use super::limit;
use super::run::{Ended, Output, run};
use crate::error::{Advice, Error, Kind, Result};
use crate::host::STANDARD_INPUT;
use crate::model::parse_uuid;
use crate::text::quoted;

/// Found in PATH, as the user's own `virsh` is, and run where nobody else could have put it there.
const PROGRAM: &str = "virsh";

/// The libvirt that has the machine's VMs. A user other than root would get a private one.
const SYSTEM: &str = "qemu:///system";

/// What libvirt's programs take as the connection where none is given.
const URI_VARIABLES: [&str; 2] = ["VIRSH_DEFAULT_CONNECT_URI", "LIBVIRT_DEFAULT_URI"];

/// A libvirt connection.
#[derive(Debug, Clone)]
pub struct Virsh {
    uri: Option<String>,
}

/// A libvirt domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its XML for the next start.
    pub config: String,
    /// Its XML now, where it runs.
    pub live: Option<String>,
}

/// A domain that cannot be read, and why.
pub type Unread = (Uuid, Error);

/// How long an attached device stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// From the domain's next start on.
    Config,
    /// From now on.
    LiveAndConfig,
}

impl Lifetime {
    fn options(self) -> &'static [&'static str] {
        match self {
            Lifetime::Config => &["--config"],
            Lifetime::LiveAndConfig => &["--live", "--config"],
        }
    }
}

impl Virsh {
    /// Speaks to that libvirt; to the environment's, else to the machine's, where none is given.
    pub fn to(uri: Option<String>) -> Virsh {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let uri = match URI_VARIABLES.iter().any(is_set) {
            true => uri,
            false => uri.or_else(|| Some(SYSTEM.to_owned())),
        };
        Virsh { uri }
    }

    /// All domains, running or not, and which of them cannot be read.
    ///
    /// # Errors
    /// [`Kind::Failed`]: there is no virsh, or it says why not; no domain can be read.
    pub fn domains(&self) -> Result<(Vec<Domain>, Vec<Unread>)> {
        let running = self.uuids(&["list", "--uuid"])?;
        let all = self.uuids(&["list", "--all", "--uuid"])?;
        let (mut domains, mut unread) = (Vec::new(), Vec::new());
        for uuid in all {
            match self.read(uuid, running.contains(&uuid)) {
                Ok(domain) => domains.push(domain),
                Err(error) => unread.push((uuid, error)),
            }
        }
        match unread.first() {
            Some((_, error)) if domains.is_empty() => Err(error.clone()),
            _ => Ok((domains, unread)),
        }
    }

    /// The same domain, read anew.
    ///
    /// # Errors
    /// As [`Virsh::domains`].
    pub fn again(&self, domain: &Domain) -> Result<Domain> {
        self.read(domain.uuid, domain.live.is_some())
    }

    fn read(&self, uuid: Uuid, runs: bool) -> Result<Domain> {
        let uuid_text = uuid.to_string();
        let dump = |options: &[&str]| {
            let mut words = vec!["dumpxml"];
            words.extend(options);
            words.extend(["--domain", &uuid_text]);
            self.call(&words, "")
        };
        let config = dump(&["--inactive"])?;
        Ok(Domain {
            uuid,
            name: name_in(&config).unwrap_or(uuid_text.clone()),
            live: runs.then(|| dump(&[])).transpose()?,
            config,
        })
    }

    fn uuids(&self, words: &[&str]) -> Result<Vec<Uuid>> {
        let text = self.call(words, "")?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                parse_uuid(line).map_err(|_| {
                    Error::new(
                        Kind::Failed,
                        format!(
                            "virsh {} did not print a UUID: {}",
                            words.join(" "),
                            quoted(line)
                        ),
                    )
                })
            })
            .collect()
    }

    /// Adds a device, given its XML.
    ///
    /// # Errors
    /// As [`Virsh::domains`].
    pub fn attach(&self, domain: &Domain, xml: &str, lifetime: Lifetime) -> Result<()> {
        self.change("attach-device", domain, xml, lifetime)
    }

    /// Takes a device away again.
    ///
    /// # Errors
    /// As [`Virsh::domains`].
    pub fn detach(&self, domain: &Domain, xml: &str, lifetime: Lifetime) -> Result<()> {
        self.change("detach-device", domain, xml, lifetime)
    }

    fn change(&self, verb: &str, domain: &Domain, xml: &str, lifetime: Lifetime) -> Result<()> {
        let uuid = domain.uuid.to_string();
        let mut words = vec![verb, "--domain", &uuid, "--file", STANDARD_INPUT];
        words.extend(lifetime.options());
        self.call(&words, xml).map(drop)
    }

    /// One call of virsh; its standard output.
    fn call(&self, words: &[&str], input: &str) -> Result<String> {
        let connect = self.uri.iter().flat_map(|uri| ["--connect", uri]);
        let arguments = ["--quiet"].into_iter().chain(connect);
        let arguments: Vec<&str> = arguments.chain(words.iter().copied()).collect();
        log::debug!("virsh {}", arguments.join(" "));
        let ended = run(
            &program()?,
            arguments,
            input.as_bytes(),
            Output::Kept,
            limit(),
        );
        let ended = ended.map_err(not_run)?;
        answer(words.first().copied().unwrap_or_default(), ended)
    }
}

fn program() -> Result<PathBuf> {
    program_in_path(PROGRAM)?.ok_or_else(|| not_run(Errno::ENOENT))
}

fn not_run(errno: Errno) -> Error {
    match errno {
        Errno::ENOENT => Error::new(Kind::Failed, "virsh not found in PATH").hint(Advice::PasteXml),
        errno => Error::system("cannot run", PROGRAM, errno),
    }
}

fn answer(verb: &str, ended: Ended) -> Result<String> {
    let failed = |what: String| Error::new(Kind::Failed, format!("virsh {verb} {what}"));
    let Some(status) = ended.status else {
        return Err(failed(format!(
            "did not finish within {} s and was killed",
            limit().as_secs()
        ))
        .hint("is libvirt's daemon running? The requested change may still take effect"));
    };
    if !status.success() {
        return Err(failed(match said(&ended.stderr) {
            words if words.is_empty() => format!("failed without an error message ({status})"),
            words => format!("failed: {words}"),
        }));
    }
    match String::from_utf8(ended.stdout) {
        Ok(text) if !ended.overflowed => Ok(text),
        Ok(_) => Err(failed("printed too much output".into())),
        Err(_) => Err(failed("printed output that is not UTF-8".into())),
    }
}

/// virsh's lines as one, without the word that each begins with.
fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix("error: ").unwrap_or(line))
        .collect();
    lines.join("; ")
}

/// The name in a domain's XML, where libvirt writes it first.
fn name_in(xml: &str) -> Option<String> {
    let (_, rest) = xml.split_once("<name>")?;
    let (name, _) = rest.split_once("</name>")?;
    let mut plain = name.to_owned();
    for (entity, sign) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(entity, sign);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domains_name_is_read_as_its_user_wrote_it() {
        let name = |inner: &str| name_in(&format!("<domain id='1'>\n  {inner}\n</domain>"));
        assert_eq!(name("<name>web 1</name>").as_deref(), Some("web 1"));
        assert_eq!(
            name("<name>a&lt;b&amp;amp;'</name><name>x</name>").as_deref(),
            Some("a<b&amp;'")
        );
        assert_eq!(name("<uuid>x</uuid>"), None);
        assert_eq!(name("<name>x"), None);
    }

    #[test]
    fn what_virsh_says_becomes_one_line() {
        let text = b"\nerror: Failed to attach device from /dev/stdin\nerror: XML error: x\n\n";
        assert_eq!(
            said(text),
            "Failed to attach device from /dev/stdin; XML error: x"
        );
        assert_eq!(said(b" \n"), "");
    }
}
