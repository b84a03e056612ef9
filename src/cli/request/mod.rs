//! `vgpuctl request`: what a user asks root's service for, and what it answers.

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

/// How long the service may take. It ends by itself before.
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
    /// Create a vGPU of your own now, and define it
    ///
    /// Prints its UUID. Of what the policy allows, the fullest parent that has room is taken.
    Create(CreateArgs),
    /// Start a vGPU of your own that is defined
    Start(OneArgs),
    /// Stop a vGPU of your own; its definition stays
    Stop(OneArgs),
    /// Remove a vGPU of your own and its definition
    Remove(OneArgs),
    /// List your own vGPUs, and say what you may have
    List,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// The type: id, name or short name (nvidia-63, "GRID P4-1Q", P4-1Q)
    #[arg(short, long = "type", value_name = "TYPE", add = Live::Type)]
    type_name: String,
    /// On this parent
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
    /// Under this random UUID (version 4) instead of one that is chosen for you
    #[arg(short, long, value_parser = whole_uuid)]
    uuid: Option<Uuid>,
    /// Start it at boot too, where the policy allows that
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

/// Sends one line and returns what is answered.
fn ask(host: &Host, line: &str) -> Result<Vec<u8>> {
    let path = host.request_socket();
    let mut stream = UnixStream::connect(&path).map_err(|error| no_service(host, &error))?;
    let failed = |what: &str, errno| {
        let error = Error::new(Kind::Failed, format!("cannot {what} the service"));
        error.answered(errno).at(&path)
    };
    let peer = getsockopt(&stream, PeerCredentials)
        .map_err(|errno| failed("tell who serves as", errno))?;
    if peer.uid() != 0 && peer.uid() != geteuid().as_raw() {
        let message = format!("the service here is not root's, but user {}'s", peer.uid());
        return Err(Error::new(Kind::NotPermitted, message).at(path));
    }
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| stream.write_all(line.as_bytes()))
        .and_then(|()| stream.shutdown(Shutdown::Write));
    match asked {
        // Whoever does not read any more may have answered already.
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::NotConnected
            ) =>
        {
            return Err(failed("ask", errno_of(&error)));
        }
        _ => {}
    }
    let mut answer = Vec::new();
    match stream.take(LONGEST_ANSWER).read_to_end(&mut answer) {
        Ok(_) => {}
        // Whoever ends without having read all resets it.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => return Err(failed("hear from", errno_of(&error))),
    }
    match answer.is_empty() {
        true => Err(Error::new(
            Kind::Failed,
            "the service ended without an answer",
        )
        .at(path)
        .hint("it serves only so many at once: try again, or have root look at its log: journalctl -u 'vgpuctl-delegate@*'")),
        false => Ok(answer),
    }
}

fn no_service(host: &Host, error: &std::io::Error) -> Error {
    let path = host.request_socket();
    let errno = errno_of(error);
    let what = "cannot reach the service that does what users ask for";
    match errno {
        Errno::EACCES | Errno::EPERM => Error::new(Kind::NotPermitted, what).answered(errno).hint(
            "root lets you in by: usermod -aG vgpu-users USER; it counts once you log in anew",
        ),
        _ => Error::new(Kind::Failed, what)
            .answered(errno)
            .hint("root starts it by: systemctl enable --now vgpuctl-delegate.socket"),
    }
    .at(path)
}

/// Adds, where the system refuses a user what he may ask the service for, how he does.
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
    /// The word for the same in a request, where a user may ask for it.
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
