//! `vgpuctl serve-request`: the service's side of one connection, which systemd hands over as standard
//! input. One request is read, done if root's policy allows it, answered and noted in the log.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::caller::Caller;
use super::wire::{Command, LONGEST, one_line};
use crate::capacity::Placement;
use crate::declare::{Policy, Source};
use crate::error::{Error, Kind, Result, errno_of};
use crate::host::Host;
use crate::model::{ParentId, StartMode};
use crate::ops::{
    self, Answer, Change, Context, CreateRequest, Effect, Persistence, RemoveRequest, Report,
    Selector, StartRequest, StopRequest, Tenant, UuidGiven,
};
use crate::output::{Reply, error_document, problem, reply_document, to_stderr};
use crate::text::{on_one_line, quoted};

/// How long a user may take to send the request, and to receive the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves the connection that standard input is.
pub fn serve(host: &Host) -> ExitCode {
    let (stream, caller) = match connection() {
        Ok(found) => found,
        Err(error) => {
            for line in problem("error", &error) {
                to_stderr(&line);
            }
            return ExitCode::from(error.kind().exit_status());
        }
    };
    let who = match &caller {
        Ok(caller) => caller.to_string(),
        Err(_) => "a user".to_owned(),
    };
    let mut what = "a request".to_owned();
    let result = read(&stream)
        .and_then(|line| Command::parse(&line))
        .and_then(|command| {
            what = line_of(&command);
            fulfil(host, &caller?, command)
        });
    note(&who, &what, &result);
    let document = match &result {
        Ok(reply) => reply_document(reply),
        Err(error) => error_document(error),
    };
    if let Err(error) = answer(&stream, &one_line(&document)) {
        to_stderr(&format!("cannot send the answer to {who}: {error}"));
    }
    ExitCode::SUCCESS
}

/// The connection and its peer, or why the peer cannot request anything.
fn connection() -> Result<(UnixStream, Result<Caller>)> {
    let refused = |errno| {
        let what = "standard input is not a client connection";
        let hint =
            "this command is started by systemd: systemctl enable --now vgpuctl-delegate.socket";
        Error::new(Kind::Usage, what).answered(errno).hint(hint)
    };
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let stream = UnixStream::from(stdin.map_err(|error| refused(errno_of(&error)))?);
    // Anything else has no peer.
    let peer = getsockopt(&stream, PeerCredentials).map_err(refused)?;
    Ok((stream, Caller::of(peer.uid())))
}

/// The one line that the user sends, without its end.
fn read(stream: &UnixStream) -> Result<Vec<u8>> {
    let failed = |error: &io::Error| {
        let errno = errno_of(error);
        Error::new(Kind::Failed, "cannot read the request").answered(errno)
    };
    let end = Instant::now() + PATIENCE;
    let mut line = vec![0; LONGEST + 1];
    let mut length = 0;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = format!("no request was received within {} s", PATIENCE.as_secs());
            return Err(Error::new(Kind::Usage, message));
        }
        let set = stream.set_read_timeout(Some(left));
        set.map_err(|error| failed(&error))?;
        let mut source = stream;
        let count = match source.read(&mut line[length..]) {
            Ok(count) => count,
            Err(error) if is_pause(&error) => continue,
            Err(error) => return Err(failed(&error)),
        };
        length += count;
        let fault = match line[..length].iter().position(|byte| *byte == b'\n') {
            Some(end) if end + 1 == length => {
                line.truncate(end);
                return Ok(line);
            }
            Some(_) => "unexpected data after the request".to_owned(),
            None if length > LONGEST => format!("the request is longer than {LONGEST} bytes"),
            None if count == 0 => "the request does not end with a newline".to_owned(),
            None => continue,
        };
        return Err(Error::new(Kind::Usage, fault));
    }
}

fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

fn answer(mut stream: &UnixStream, line: &str) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(line.as_bytes())
}

/// Does what is asked for, if the policy allows it.
fn fulfil(host: &Host, caller: &Caller, command: Command) -> Result<Reply> {
    let context = Context::of(host);
    let read = context.store.policy().and_then(|file| {
        let parse = |(path, text): (PathBuf, String)| {
            let name = path.display().to_string();
            Policy::parse(&Source { name, text })
        };
        file.map(parse).transpose()
    });
    let policy = read.map_err(|error| {
        for line in problem("error", &error) {
            to_stderr(&line);
        }
        // The content and location of root's files are not disclosed to the user.
        let message = "the delegation policy cannot be used, so all requests are refused";
        Error::new(Kind::Failed, message)
            .hint("ask root to check the log for the reason: journalctl -u 'vgpuctl-delegate@*'")
    })?;
    let quotas = match &policy {
        Some(policy) => caller.quotas(policy)?,
        None => None,
    };
    let Some(quotas) = quotas else {
        let message = format!("{caller} is not allowed to request vGPUs on this host");
        let hint = "root can grant access in the policy file, see DELEGATION in vgpuctl(8)";
        return Err(Error::new(Kind::NotPermitted, message).hint(hint));
    };
    let user = caller.user;
    let context = Context {
        tenant: Some(Tenant { user, quotas }),
        ..context
    };
    if command == Command::List {
        return list(&context);
    }
    // Serialized, so that concurrent requests of one user cannot exceed the quota.
    let _turn = context.store.lock_user(user)?;
    let is_new = matches!(command, Command::Create { .. });
    let report = change(&context, command).map_err(|error| plain(&error, is_new))?;
    Ok(match is_new {
        true => Reply::Made(report),
        false => Reply::Changed(report),
    })
}

fn list(context: &Context<'_>) -> Result<Reply> {
    let answer = Answer {
        value: ops::own(context)?,
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    Ok(Reply::Own(answer, ops::grants(context, None)?))
}

fn change(context: &Context<'_>, command: Command) -> Result<Report> {
    let report = match command {
        Command::Create {
            type_name,
            parent,
            uuid,
            at_boot,
        } => ops::create(
            context,
            &CreateRequest {
                type_name,
                parent,
                placement: Placement::default(),
                uuid,
                count: 1,
                attrs: Vec::new(),
                persistence: Persistence::Defined(match at_boot {
                    true => StartMode::Auto,
                    false => StartMode::Manual,
                }),
                make_instances: false,
                dry_run: false,
            },
        )?,
        Command::Start(uuid) => ops::start(
            context,
            &StartRequest {
                selectors: only(uuid),
                dry_run: false,
            },
        ),
        Command::Stop(uuid) => ops::stop(
            context,
            &StopRequest {
                selectors: only(uuid),
                wait: Duration::ZERO,
                dry_run: false,
            },
        ),
        Command::Remove(uuid) => ops::remove(
            context,
            &RemoveRequest {
                selectors: only(uuid),
                wait: Duration::ZERO,
                dry_run: false,
            },
        ),
        Command::List => Report::default(),
    };
    match report.changes.iter().find_map(Change::error) {
        Some(error) => Err(error.clone()),
        None => Ok(report),
    }
}

fn only(uuid: uuid::Uuid) -> Vec<Selector> {
    vec![Selector {
        uuid: UuidGiven::Whole(uuid),
        parent: None,
    }]
}

/// A failure as it is reported to a user, without the next steps that only root can take.
fn plain(error: &Error, is_new: bool) -> Error {
    let hint = match error.kind() {
        Kind::InUse => "shut down the virtual machine, or end the process",
        Kind::NoCapacity => "list available types: vgpuctl types --available",
        Kind::NotFound if is_new => "list parents and types: vgpuctl types",
        Kind::NotFound => "list your vGPUs: vgpuctl request list",
        Kind::NotPermitted => {
            "list your vGPUs and what you are allowed to create: vgpuctl request list"
        }
        Kind::Usage if is_new => {
            "omit the UUID to have one generated; to list type ids: vgpuctl types"
        }
        _ => return Error::new(error.kind(), error.to_string()),
    };
    Error::new(error.kind(), error.to_string()).hint(hint)
}

/// What is asked for, for the log.
fn line_of(command: &Command) -> String {
    match command {
        Command::Create {
            type_name,
            parent,
            uuid,
            at_boot,
        } => {
            let on = |parent: &ParentId| format!(" on {parent}");
            let under = |uuid: &uuid::Uuid| format!(" as {uuid}");
            format!(
                "create {}{}{}{}",
                quoted(type_name),
                parent.as_ref().map(on).unwrap_or_default(),
                uuid.as_ref().map(under).unwrap_or_default(),
                if *at_boot { " at boot too" } else { "" },
            )
        }
        Command::Start(uuid) => format!("start {uuid}"),
        Command::Stop(uuid) => format!("stop {uuid}"),
        Command::Remove(uuid) => format!("remove {uuid}"),
        Command::List => "list".to_owned(),
    }
}

/// One line in the log.
fn note(who: &str, what: &str, result: &Result<Reply>) {
    let came = match result {
        Ok(Reply::Made(report) | Reply::Changed(report)) => {
            let all: Vec<String> = report.changes.iter().map(done).collect();
            all.join(", ")
        }
        Ok(Reply::Own(answer, _)) => format!("listed {}", answer.value.len()),
        Ok(_) => "done".to_owned(),
        Err(error) => format!("refused ({}): {error}", error.kind().code()),
    };
    to_stderr(&on_one_line(format!("{who}: {what}: {came}")));
}

fn done(change: &Change) -> String {
    let what = match &change.effect {
        Effect::Done(action) => action.done(),
        _ => "unchanged",
    };
    let uuid = change.uuid.map(|uuid| format!(" {uuid}"));
    let parent = change.parent.as_ref();
    let on = parent.map(|parent| format!(" on {parent}"));
    format!(
        "{what}{}{}",
        uuid.unwrap_or_default(),
        on.unwrap_or_default()
    )
}
