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
        let mut prepared = None;
        if answer.value.is_first_part() && answer.value.sets_up() {
            self.agree(&mut answer, form)?;
            let set_up = ops::set_up(context, &answer.value.gpus)?;
            let gpus = std::mem::take(&mut answer.value.gpus);
            let notes = std::mem::take(&mut answer.notes);
            answer = match ops::plan_patiently(context, &request) {
                Ok(answer) => answer,
                Err(error) => return Err(set_up.take_back(context, error)),
            };
            answer.value.gpus = gpus;
            answer
                .notes
                .extend(notes.into_iter().filter(|note| note != ops::LATER));
            prepared = Some(set_up);
        }
        let carried = answer
            .value
            .refuse_without_placement()
            .and_then(|()| self.agree_on_vgpus(&mut answer, prepared.is_some(), form))
            .and_then(|()| match &prepared {
                Some(_) => Ok(None),
                None => ops::set_up(context, &answer.value.gpus).map(Some),
            });
        let set_up = match (carried, prepared) {
            (Err(error), Some(set_up)) => return Err(set_up.take_back(context, error)),
            (Err(error), None) => return Err(error),
            (Ok(made), prepared) => prepared.or(made),
        };
        carry_out(context, answer, form)
            .map(Reply::Carried)
            .map_err(|error| match (error.kind(), set_up) {
                // What is done stays, as with vGPUs.
                (Kind::Interrupted, _) | (_, None) => error,
                (_, Some(set_up)) => set_up.take_back(context, error),
            })
    }

    fn agree(&self, answer: &mut Answer<Plan>, form: Form) -> Result<()> {
        if self.yes || !answer.value.has_work() {
            return Ok(());
        }
        ask(answer)?;
        if form == Form::Text {
            // They were shown with the question.
            answer.warnings.clear();
            answer.notes.clear();
            answer.value.cautions.clear();
        }
        Ok(())
    }

    /// Asks again where the first question could only be about GPUs.
    fn agree_on_vgpus(&self, answer: &mut Answer<Plan>, asked: bool, form: Form) -> Result<()> {
        let gpus = match asked {
            true => std::mem::take(&mut answer.value.gpus),
            false => Vec::new(),
        };
        let agreed = self.agree(answer, form);
        if asked {
            answer.value.gpus = gpus;
        }
        agreed
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
