//! `vgpuctl request`: requests of a user to root's service, and its answers.

mod caller;
mod serve;
mod wire;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::{Args, Subcommand};
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use uuid::Uuid;

use super::complete::Live;
use super::create::whole_uuid;
use super::verb::Verb;
use crate::error::{Error, Kind, Result, errno_of};
use crate::host::Host;
use crate::model::ParentId;
use crate::ops::{Context, Effect};
use crate::output::Reply;
use wire::{Request, Word};

pub use serve::serve;

/// How long the service may take. It has shorter limits itself.
const PATIENCE: Duration = Duration::from_secs(240);

/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 4 << 20;

#[derive(Debug, Args)]
pub struct RequestArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create and define a vGPU of your own
    ///
    /// Prints its UUID. Without --parent, uses the fullest parent with free capacity that the policy allows.
    Create(CreateArgs),
    /// Start a defined vGPU of your own
    Start(OneArgs),
    /// Stop a vGPU of your own; its definition is kept
    Stop(OneArgs),
    /// Remove a vGPU of your own and its definition
    Remove(OneArgs),
    /// List your own vGPUs, and what you are allowed to create
    List,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// The type: id, name or short name (nvidia-63, "GRID P4-1Q", P4-1Q)
    #[arg(short, long = "type", value_name = "TYPE", add = Live::Type)]
    type_name: String,
    /// The parent to use
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
    /// Use this random UUID (version 4) instead of a generated one
    #[arg(short, long, value_parser = whole_uuid)]
    uuid: Option<Uuid>,
    /// Also start it at boot, if the policy allows that
    #[arg(long)]
    at_boot: bool,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// Its UUID
    #[arg(value_parser = whole_uuid)]
    uuid: Uuid,
}

impl RequestArgs {
    pub fn run(self, host: &Host) -> Result<Reply> {
        let request = self.what.request();
        let line = request.line();
        let answer = ask(host, &line)?;
        wire::understand(request.verb, &answer)
    }
}

impl What {
    fn request(self) -> Request {
        let on = |verb, one: OneArgs| Request {
            uuid: Some(one.uuid.to_string()),
            ..Request::new(verb)
        };
        match self {
            What::Create(args) => Request {
                type_name: Some(args.type_name),
                parent: args.parent.map(|parent| parent.to_string()),
                uuid: args.uuid.map(|uuid| uuid.to_string()),
                at_boot: args.at_boot.then_some(true),
                ..Request::new(Word::Create)
            },
            What::Start(one) => on(Word::Start, one),
            What::Stop(one) => on(Word::Stop, one),
            What::Remove(one) => on(Word::Remove, one),
            What::List => Request::new(Word::List),
        }
    }
}

/// Sends one line and returns the answer.
fn ask(host: &Host, line: &str) -> Result<Vec<u8>> {
    let path = host.request_socket();
    let mut stream = UnixStream::connect(&path).map_err(|error| no_service(host, &error))?;
    let failed = |what: &str, errno| {
        let error = Error::new(Kind::Failed, format!("cannot {what} the service"));
        error.answered(errno).at(&path)
    };
    let peer = getsockopt(&stream, PeerCredentials)
        .map_err(|errno| failed("identify the owner of", errno))?;
    if peer.uid() != 0 && peer.uid() != geteuid().as_raw() {
        let message = format!("the service is run by user {}, not by root", peer.uid());
        return Err(Error::new(Kind::NotPermitted, message).at(path));
    }
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| stream.write_all(line.as_bytes()))
        .and_then(|()| stream.shutdown(Shutdown::Write));
    match asked {
        // A peer that no longer reads may have answered already.
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::NotConnected
            ) =>
        {
            return Err(failed("send the request to", errno_of(&error)));
        }
        _ => {}
    }
    let mut answer = Vec::new();
    match stream.take(LONGEST_ANSWER).read_to_end(&mut answer) {
        Ok(_) => {}
        // A peer that ends before it has read everything resets the connection.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => return Err(failed("receive an answer from", errno_of(&error))),
    }
    match answer.is_empty() {
        true => Err(Error::new(
            Kind::Failed,
            "the service closed the connection without an answer",
        )
        .at(path)
        .hint(
            "it may have too many connections: try again, or ask root to check its log: \
             journalctl -u 'vgpuctl-delegate@*'",
        )),
        false => Ok(answer),
    }
}

fn no_service(host: &Host, error: &std::io::Error) -> Error {
    let path = host.request_socket();
    let errno = errno_of(error);
    let what = "cannot reach the delegation service";
    match errno {
        Errno::EACCES | Errno::EPERM => Error::new(Kind::NotPermitted, what)
            .answered(errno)
            .hint("root can grant access with: usermod -aG vgpu-users USER; then log in again"),
        _ => Error::new(Kind::Failed, what)
            .answered(errno)
            .hint("root can start it with: systemctl enable --now vgpuctl-delegate.socket"),
    }
    .at(path)
}

/// If the system refuses a user something that the service may allow, adds how to request it.
pub fn with_way_in(
    context: &Context<'_>,
    verb: &'static str,
    result: Result<Reply>,
) -> Result<Reply> {
    let socket = context.host.request_socket();
    let is_there = || {
        let found = socket.symlink_metadata();
        found.is_ok_and(|found| found.file_type().is_socket())
    };
    let is_refused = |kind: Kind| kind == Kind::NotPermitted && !geteuid().is_root() && is_there();
    let hint = format!("for a vGPU of your own: vgpuctl request {verb}");
    match result {
        Err(error) if is_refused(error.kind()) => Err(error.hint(hint)),
        Ok(Reply::Changed(mut report)) => {
            for change in &mut report.changes {
                if let Effect::Failed(error) = &mut change.effect
                    && is_refused(error.kind())
                {
                    *error = error.clone().hint(hint.as_str());
                }
            }
            Ok(Reply::Changed(report))
        }
        other => other,
    }
}

impl Verb {
    /// The same verb of a request, if there is one.
    pub fn asked_for(&self) -> Option<&'static str> {
        match self {
            Verb::Create(_) => Some("create"),
            Verb::Start(_) => Some("start"),
            Verb::Stop(_) => Some("stop"),
            Verb::Remove(_) => Some("remove"),
            _ => None,
        }
    }
}
