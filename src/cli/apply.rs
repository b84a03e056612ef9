//! `vgpuctl apply`.

use std::io::{self, BufRead as _, IsTerminal, Write as _};

use clap::Args;

use super::declaration::DeclarationArgs;
use super::selector::WaitArgs;
use crate::error::{Error, Kind, Result};
use crate::ops::{self, Answer, ApplyDeclared, Carried, Context, Plan, PlanRequest};
use crate::output::{Lines, Reply, plan_text, to_stderr};

/// Make this host as a file declares it
///
/// Does what plan says, and asks first. What frees room comes before what takes it; where something
/// fails, what was done is taken back. What a process holds is left as it is.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    file: DeclarationArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// Only say what would be done, as plan does, with its exit statuses
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl ApplyArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let asks = !self.yes && !self.dry_run;
        if asks && (self.file.is_stdin() || !io::stdin().is_terminal()) {
            return Err(Error::new(
                Kind::Usage,
                "there is no terminal to ask on whether to go on",
            )
            .hint("look first with: vgpuctl plan FILE; then add --yes"));
        }
        if self.dry_run {
            let answer = self.file.plan(context)?;
            return Ok(Reply::Planned(answer, Lines::Differences));
        }
        let reading = self.file.read(context)?;
        let request = ApplyDeclared {
            plan: PlanRequest {
                declaration: reading.declaration,
            },
            wait: self.wait.duration(),
        };
        let mut answer = ops::plan_patiently(context, &request)?;
        answer.notes.extend(reading.notes);
        if asks && answer.value.has_work() && !is_agreed(&answer.value)? {
            return Err(Error::new(Kind::Failed, "nothing was changed"));
        }
        carry_out(context, answer).map(Reply::Carried)
    }
}

fn carry_out(context: &Context<'_>, answer: Answer<Plan>) -> Result<Answer<Carried>> {
    let shows = io::stderr().is_terminal();
    let progress = |done: usize, total: usize| {
        if shows {
            // A line that is written over, so that it is gone at the end.
            let end = if done == total { "\r\x1b[K" } else { "" };
            let _ = write!(io::stderr().lock(), "\r{done} of {total}\x1b[K{end}");
        }
    };
    let carried = ops::apply(context, answer.value, &progress);
    if carried.is_err() && shows {
        let _ = write!(io::stderr().lock(), "\r\x1b[K");
    }
    Ok(Answer {
        value: carried?,
        warnings: answer.warnings,
        notes: answer.notes,
    })
}

fn is_agreed(plan: &Plan) -> Result<bool> {
    to_stderr(plan_text(plan, Lines::Differences).trim_end());
    let _ = write!(io::stderr().lock(), "Do this? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Error::new(Kind::Failed, format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
