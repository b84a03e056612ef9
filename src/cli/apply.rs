//! `vgpuctl apply`.

use std::io::{self, BufRead as _, IsTerminal, Read as _, Write as _};

use clap::Args;

use super::declaration::DeclarationArgs;
use super::print::Form;
use super::progress::ProgressLine;
use super::selector::WaitArgs;
use crate::error::{Error, Kind, Result};
use crate::ops::{self, Answer, ApplyDeclared, Carried, Context, Plan, PlanRequest};
use crate::output::{Lines, Reply, asides, plan_text, to_stderr};

#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    file: DeclarationArgs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// Show what would be done without changing anything, like plan, with its exit statuses
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl ApplyArgs {
    /// Whether it only plans.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub fn run(self, context: &Context<'_>, form: Form) -> Result<Reply> {
        if self.dry_run {
            let answer = self.file.plan(context)?;
            return Ok(Reply::Planned(answer, Lines::Differences));
        }
        if !self.yes {
            self.refuse_without_terminal()?;
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
        if !self.yes && answer.value.has_work() {
            ask(&answer)?;
            if form == Form::Text {
                // They were shown with the question.
                answer.warnings.clear();
                answer.notes.clear();
                answer.value.cautions.clear();
            }
        }
        carry_out(context, answer, form).map(Reply::Carried)
    }

    fn refuse_without_terminal(&self) -> Result<()> {
        let message = if self.file.is_stdin() {
            "cannot ask for confirmation: the file is read from standard input"
        } else if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            "cannot ask for confirmation: there is no terminal"
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Usage, message)
            .hint("review the plan with: vgpuctl plan FILE; then add --yes"))
    }
}

fn carry_out(context: &Context<'_>, answer: Answer<Plan>, form: Form) -> Result<Answer<Carried>> {
    let line = ProgressLine::new(form);
    let progress = |done, total| line.tell(done, total);
    Ok(Answer {
        value: ops::apply(context, answer.value, &progress)?,
        warnings: answer.warnings,
        notes: answer.notes,
    })
}

/// More than a person answers.
const LONGEST_ANSWER: u64 = 1000;

/// Shows the plan and asks whether to carry it out.
///
/// # Errors
/// The user does not agree.
fn ask(answer: &Answer<Plan>) -> Result<()> {
    to_stderr(plan_text(&answer.value, Lines::Differences).trim_end());
    let warnings = answer.warnings.iter().chain(&answer.value.cautions);
    for line in asides(Some(&answer.value), warnings, &answer.notes) {
        to_stderr(&line);
    }
    let _ = write!(io::stderr().lock(), "Apply these changes? [y/N] ");
    let mut said = String::new();
    let read = io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut said);
    if !said.ends_with('\n') {
        // The line of the question has not ended.
        to_stderr("");
    }
    read.map_err(|error| Error::new(Kind::Failed, format!("cannot read the answer: {error}")))?;
    match said.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new(
            Kind::Failed,
            "not confirmed: nothing was changed",
        )),
    }
}
