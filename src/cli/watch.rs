//! `vgpuctl watch`.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::os::fd::AsFd;

use clap::Args;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::print::{Form, style};
use crate::error::{Error, Kind, Result};
use crate::ops::Context;
use crate::ops::watch::{Change, Look, Stop, WatchRequest, watch};
use crate::output::{Reader, live_stdout, to_stderr, watch as told};

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct WatchArgs {
    /// First report the current state, so that no change is missed
    #[arg(short, long, conflicts_with = "table")]
    initial: bool,
    /// Show a table on the terminal and keep it up to date
    #[arg(short, long)]
    table: bool,
}

const AFTER_HELP: &str = "\
Prints one line per change. All changes after the line \"watch ready\" are reported. With --json,
prints one document per line. Ctrl-C, SIGTERM or a closed output end it with exit status 0.";

/// How the changes are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Lines,
    Documents,
    Table,
}

impl WatchArgs {
    /// Runs until it is ended; the output is complete by then.
    pub fn run(self, context: &Context<'_>, form: Form) -> Result<()> {
        let manner = self.manner(form)?;
        let signals = ending_signals()?;
        let stdout = io::stdout();
        let stop = Stop {
            asked: signals.as_fd(),
            reader: stdout.as_fd(),
        };
        watch(context, &WatchRequest { stop }, |look| {
            let text = match manner {
                Manner::Table => told::frame(&look, style()),
                Manner::Lines => told::lines(&self.wanted(&look).as_look(&look)),
                Manner::Documents => told::documents(&self.wanted(&look).as_look(&look)),
            };
            if manner == Manner::Lines {
                told::asides(&look).iter().for_each(|line| to_stderr(line));
            }
            Ok(match live_stdout(&text, signals.as_fd())? {
                Reader::There => ControlFlow::Continue(()),
                Reader::Gone => ControlFlow::Break(()),
            })
        })
    }

    fn manner(&self, form: Form) -> Result<Manner> {
        let refused = |what: &str, hint: &str| Err(Error::new(Kind::Usage, what).hint(hint));
        match (self.table, form) {
            (true, Form::Json) => {
                refused("--table and --json cannot be combined", "omit one of them")
            }
            (true, Form::Text) if !io::stdout().is_terminal() => refused(
                "--table needs a terminal",
                "without it, each change is printed as a line: vgpuctl watch",
            ),
            (true, Form::Text) => Ok(Manner::Table),
            (false, Form::Text) => Ok(Manner::Lines),
            (false, Form::Json) => Ok(Manner::Documents),
        }
    }

    /// What is reported of a look: of the first one, only what was requested or is wrong.
    fn wanted(&self, look: &Look<'_>) -> Wanted {
        let is_wanted = |change: &&Change| !look.is_first || self.initial || change.is_news();
        Wanted(look.changes.iter().filter(is_wanted).cloned().collect())
    }
}

struct Wanted(Vec<Change>);

impl Wanted {
    fn as_look<'a>(&'a self, look: &Look<'a>) -> Look<'a> {
        Look {
            changes: &self.0,
            time: look.time,
            is_first: look.is_first,
            scene: look.scene,
        }
    }
}

/// The signals that end a watch normally. SIGHUP is not among them, because of `nohup`.
fn ending_signals() -> Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    let failed = |errno| Error::system("cannot wait for signals", "signalfd", errno);
    signals.thread_block().map_err(failed)?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(failed)
}
