//! One call of one script, and what its end means.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use log::debug;
use nix::errno::Errno;

use crate::error::{Error, Kind, Result};
use crate::scripts::answer::{self, Capabilities};
use crate::scripts::run::{self, Ended, Output};
use crate::scripts::{Action, Event, LIMIT_VARIABLE, Scripts, State, Subject, lock};
use crate::text::quoted;

/// The exit status that says "not my type".
const NOT_MINE: i32 = 2;

/// The most of a script's words that is repeated in a message.
const MOST_WORDS: usize = 200;

/// What a script is called for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub subject: &'a Subject<'a>,
    pub event: Event,
    pub action: Action,
    pub state: State,
}

/// What a script made of a call.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is done; with what it said on standard output, where that is the answer.
    Done(Vec<u8>),
    /// The script has nothing to do with the type.
    NotMine,
    /// It refused or failed.
    Refused(Error),
}

impl<'a> Call<'a> {
    pub fn new(subject: &'a Subject<'a>, event: Event, action: Action, state: State) -> Call<'a> {
        Call {
            subject,
            event,
            action,
            state,
        }
    }

    fn args(&self) -> Vec<String> {
        [
            ("-t", self.subject.type_id.as_str()),
            ("-e", self.event.as_str()),
            ("-a", self.action.as_str()),
            ("-s", self.state.as_str()),
            ("-u", &self.subject.uuid.to_string()),
            ("-p", self.subject.parent.as_str()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value.to_owned()])
        .collect()
    }

    /// What the script gets on its standard input. Questions and news come without the device.
    fn input(&self) -> String {
        match (self.event, self.action) {
            (_, Action::Capabilities) => answer::question(),
            (Event::Get | Event::Notify, _) => String::new(),
            _ => self.subject.document.clone(),
        }
    }

    /// What was asked of the script, for messages.
    fn purpose(&self) -> String {
        let (event, action) = (self.event.as_str(), self.action.as_str());
        format!("{event} {action} of {}", self.subject.uuid)
    }

    fn failure(&self, script: &Path, what: &str) -> Error {
        let message = format!("the script for {} {what}", self.purpose());
        Error::new(Kind::Failed, message).at(script)
    }

    /// A script said that it serves the type and now says that it does not.
    pub fn not_mine(&self, script: &Path) -> Error {
        self.failure(
            script,
            "exited with status 2, although it declared support for this",
        )
    }

    /// The script that is alone responsible does not serve this.
    pub fn not_served(&self, script: &Path) -> Error {
        let what = "supports the type, but not this event and action";
        self.failure(script, what)
    }
}

impl Scripts<'_> {
    /// Runs a script.
    pub(super) fn ask(&self, script: &Path, call: &Call<'_>) -> Result<Verdict> {
        let Some(ended) = self.run(script, call)? else {
            return Ok(Verdict::NotMine);
        };
        let said = first_line(&ended.stderr);
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let Some(status) = ended.status else {
            lock(&self.hung).insert(script.to_owned());
            return Ok(Verdict::Refused(self.too_slow(script, call, &said)));
        };
        Ok(match status.code() {
            Some(0) if ended.overflowed => {
                let what = format!("printed more than {} bytes", run::MOST_OUTPUT);
                Verdict::Refused(call.failure(script, &what))
            }
            Some(0) => Verdict::Done(ended.stdout),
            Some(NOT_MINE) => Verdict::NotMine,
            _ => {
                let what = format!("{}{said}", how(status));
                Verdict::Refused(call.failure(script, &what))
            }
        })
    }

    /// What a script says that it can do; `None` for one that does not know the question.
    pub(super) fn capabilities(
        &self,
        script: &Path,
        subject: &Subject<'_>,
    ) -> Result<Option<Capabilities>> {
        let call = Call::new(subject, Event::Get, Action::Capabilities, State::None);
        let Some(ended) = self.run(script, &call)? else {
            return Ok(None);
        };
        let Some(status) = ended.status else {
            lock(&self.hung).insert(script.to_owned());
            return Ok(None);
        };
        let can = match status.code() {
            None | Some(NOT_MINE) => None,
            Some(_) => answer::capabilities(&ended.stdout),
        };
        for word in can.iter().flat_map(|can| &can.unknown) {
            let message = format!("a script declares an unknown capability, {}", quoted(word));
            lock(&self.warnings).push(Error::new(Kind::Failed, message).at(script));
        }
        Ok(can)
    }

    fn too_slow(&self, script: &Path, call: &Call<'_>, more: &str) -> Error {
        let what = format!(
            "did not finish within {:?} and was killed{more}",
            self.limit
        );
        call.failure(script, &what)
            .hint(format!("{LIMIT_VARIABLE}=SECONDS sets the limit"))
    }

    /// Runs a script to its end; `None` where there is nothing that can be run.
    fn run(&self, script: &Path, call: &Call<'_>) -> Result<Option<Ended>> {
        if lock(&self.hung).contains(script) {
            return Err(self.too_slow(script, call, ", and is not called again"));
        }
        let (args, input) = (call.args(), call.input());
        let output = match call.event {
            Event::Get => Output::Kept,
            _ => Output::Dropped,
        };
        let ended = run::run(script, &args, input.as_bytes(), output, self.limit);
        debug!("run {} {}: {ended:?}", script.display(), args.join(" "));
        match ended {
            Ok(ended) => Ok(Some(ended)),
            Err(errno @ (Errno::ENOEXEC | Errno::ENOENT | Errno::EACCES)) => {
                let message = "a script is skipped: the kernel cannot run it or its interpreter";
                lock(&self.warnings).push(Error::system(message, script, errno));
                Ok(None)
            }
            Err(errno) => Err(Error::system("cannot run the script", script, errno)),
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => match nix::sys::signal::Signal::try_from(signal) {
            Ok(signal) => format!("was killed by {signal}"),
            Err(_) => format!("was killed by signal {signal}"),
        },
        (None, None) => "ended abnormally".to_owned(),
    }
}

/// The first words of a script's.
fn first_line(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(MOST_WORDS).collect())
}
