//! Programs of others that are run: mdevctl's callout scripts and notifiers, asked before a change
//! and told afterwards; and libvirt's `virsh`.
//!
//! A script is called as `SCRIPT -t TYPE -e EVENT -a ACTION -s STATE -u UUID -p PARENT`, with the
//! device's JSON on standard input where a change is what it is about. Exit status 2 says "not my
//! type", 0 "done", any other refuses. A versioned script says beforehand which actions and events
//! it serves; the first such script of a type is then the only one that is asked about it.

#[doc(hidden)]
pub mod answer;
mod ask;
mod find;
mod run;
mod trust;
mod vendor;
mod virsh;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, Kind, Result, Warnings};
use crate::host::Host;
use crate::model::{Attr, ParentId, TypeId};
use ask::{Call, Verdict};
use find::Found;

pub use find::program_in_path;
pub use vendor::{
    Asked, Said, Switch, allow_mixed_sizes, ask_nvidia_smi, change_with_nvidia_smi,
    check_nvidia_smi, complaint, ending, sriov_manage,
};
pub use virsh::{Domain, Lifetime, Unread, Virsh};

/// The environment variable that sets the time limit, in seconds.
pub const LIMIT_VARIABLE: &str = "VGPUCTL_SCRIPT_TIMEOUT";

/// How long one call of a script may take where nothing else is said.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// The time limit that the environment asks for, else the usual one. What is no number of seconds
/// counts as nothing.
pub fn limit() -> Duration {
    let asked = std::env::var(LIMIT_VARIABLE).ok();
    let seconds = asked.and_then(|text| text.parse::<u32>().ok());
    seconds.map_or(DEFAULT_LIMIT, |seconds| Duration::from_secs(seconds.into()))
}

/// What a script is told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The device's UUID.
    pub uuid: Uuid,
    /// Its parent.
    pub parent: &'a ParentId,
    /// Its type.
    pub type_id: &'a TypeId,
    /// The device's JSON as text, for the script's standard input.
    pub document: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($(#[$what:meta])* $variant:ident = $word:literal,)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$what])* $variant,)+ }

        impl $name {
            /// All of them, in the order in which mdevctl tells them to a script.
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$variant),+];

            /// The word on a script's command line and in its capabilities.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }
    };
}

words! {
    /// What is done to a device, or asked about it.
    Action:
    /// The device is made.
    Start = "start",
    /// The device is removed.
    Stop = "stop",
    /// A definition is written.
    Define = "define",
    /// A definition is removed.
    Undefine = "undefine",
    /// A definition, or with [`Event::Live`] the running device, is changed.
    Modify = "modify",
    /// The attributes of an active device are asked for.
    Attributes = "attributes",
    /// The script is asked what it can do.
    Capabilities = "capabilities",
}

words! {
    /// When, or why, a script is called.
    Event:
    /// Before an action, which it may refuse.
    Pre = "pre",
    /// After an action.
    Post = "post",
    /// After everything else; for notifiers.
    Notify = "notify",
    /// It is asked for something.
    Get = "get",
    /// It is to change a running device.
    Live = "live",
}

words! {
    /// How the action ended.
    State:
    /// It was not tried, or not yet.
    None = "none",
    /// It is done.
    Success = "success",
    /// It failed.
    Failure = "failure",
}

/// Whether a script's refusal counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusals {
    /// It does.
    Heeded,
    /// It becomes a warning (`--force`).
    Overruled,
}

/// The scripts of a host. Which there are, and what each can do, is looked up once; a script that
/// did not end in time is not called again. So make one for each command, not one for ever.
#[derive(Debug)]
pub struct Scripts<'h> {
    host: &'h Host,
    limit: Duration,
    callouts: OnceLock<Found>,
    notifiers: OnceLock<Vec<PathBuf>>,
    teams: Mutex<HashMap<TypeId, Team>>,
    hung: Mutex<HashSet<PathBuf>>,
    warnings: Mutex<Warnings>,
    warned: Once,
}

/// Who is asked about a type.
#[derive(Debug, Clone)]
enum Team {
    /// A versioned script, alone.
    One(PathBuf, answer::Capabilities),
    /// Every script in turn, until one does not say "not my type".
    Each(Vec<PathBuf>),
}

impl<'h> Scripts<'h> {
    /// The scripts of `host`. Nothing is looked at before it is needed.
    pub fn of(host: &'h Host) -> Scripts<'h> {
        Scripts {
            host,
            limit: DEFAULT_LIMIT,
            callouts: OnceLock::new(),
            notifiers: OnceLock::new(),
            teams: Mutex::default(),
            hung: Mutex::default(),
            warnings: Mutex::default(),
            warned: Once::new(),
        }
    }

    /// Sets the time that one call of a script may take.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Scripts<'h> {
        self.limit = limit;
        self
    }

    /// Runs the `pre` scripts, then `work`, then the `post` scripts with the result, then every
    /// notifier. Trouble with what comes after the work becomes a warning and undoes nothing.
    ///
    /// # Errors
    /// What `work` returned; or a script's refusal, then without `work` having run.
    pub fn around<T>(
        &self,
        subject: &Subject<'_>,
        action: Action,
        refusals: Refusals,
        warnings: &mut Warnings,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let call = |event, state| Call::new(subject, event, action, state);
        let mut handler = None;
        let before = self.pre(&call(Event::Pre, State::None), &mut handler);
        warnings.extend(self.take_warnings());
        match (before, refusals) {
            (Ok(()), _) => {}
            (Err(refusal), Refusals::Overruled) => warnings.push(refusal),
            (Err(refusal), Refusals::Heeded) => {
                self.notify(&call(Event::Notify, State::None), warnings);
                return Err(refusal);
            }
        }
        let result = work();
        let state = match result {
            Ok(_) => State::Success,
            Err(_) => State::Failure,
        };
        if let Err(error) = self.post(&call(Event::Post, state), handler) {
            warnings.push(error);
        }
        self.notify(&call(Event::Notify, state), warnings);
        result
    }

    /// The attributes that a script tells of an active device: `None` where no script handles the
    /// type, or the one that does says nothing.
    ///
    /// # Errors
    /// The script failed, or its answer cannot be understood.
    pub fn attributes(&self, subject: &Subject<'_>) -> Result<Option<Vec<Attr>>> {
        let call = Call::new(subject, Event::Get, Action::Attributes, State::None);
        self.warn_of_refused();
        let (scripts, is_alone) = match self.team(subject)? {
            Team::One(script, can) if can.cover(call.event, call.action) => (vec![script], true),
            Team::One(..) => (Vec::new(), true),
            Team::Each(scripts) => (scripts, false),
        };
        for script in scripts {
            match self.ask(&script, &call)? {
                Verdict::Done(output) => {
                    return answer::attributes(&output).map_err(|error| error.at(script));
                }
                Verdict::NotMine if is_alone => return Err(call.not_mine(&script)),
                Verdict::NotMine => {}
                Verdict::Refused(refusal) => return Err(refusal),
            }
        }
        Ok(None)
    }

    /// Hands a changed definition to a running device: needs a versioned script that serves the
    /// event `live` and the action `modify`. Nothing overrules its refusal, for nobody else can do
    /// what it does.
    ///
    /// # Errors
    /// No script can do it for this type, or the one that can failed.
    pub fn live_modify(&self, subject: &Subject<'_>, warnings: &mut Warnings) -> Result<()> {
        let call = Call::new(subject, Event::Live, Action::Modify, State::None);
        self.warn_of_refused();
        let team = self.team(subject);
        warnings.extend(self.take_warnings());
        let script = match team? {
            Team::One(script, can) if can.cover(call.event, call.action) => script,
            _ => return Err(cannot_modify_live(subject)),
        };
        let verdict = self.ask(&script, &call);
        let notify = Call::new(subject, Event::Notify, Action::Modify, State::None);
        self.notify(&notify, warnings);
        match verdict? {
            Verdict::Done(_) => Ok(()),
            Verdict::NotMine => Err(call.not_mine(&script)),
            Verdict::Refused(refusal) => Err(refusal),
        }
    }

    /// What was found to be wrong with scripts and not been told yet: those that others could have
    /// written and that nobody needs to ask, or that could not be started. [`Scripts::around`] and [`Scripts::live_modify`] tell it
    /// themselves; ask after [`Scripts::attributes`].
    pub fn take_warnings(&self) -> Warnings {
        std::mem::take(&mut *lock(&self.warnings))
    }

    /// Asks whether the action may be. `handler` becomes the script that felt responsible.
    fn pre(&self, call: &Call<'_>, handler: &mut Option<PathBuf>) -> Result<()> {
        if let Some(refused) = self.callouts().refused.first() {
            // It might have said no.
            return Err(refused.clone().with_kind(Kind::Failed));
        }
        let scripts = match self.team(call.subject)? {
            Team::One(script, can) if can.cover(call.event, call.action) => {
                return match self.ask(&script, call)? {
                    Verdict::Done(_) => Ok(()),
                    Verdict::NotMine => Err(call.not_mine(&script)),
                    Verdict::Refused(refusal) => Err(refusal),
                };
            }
            Team::One(script, _) => return Err(call.not_served(&script)),
            Team::Each(scripts) => scripts,
        };
        for script in scripts {
            match self.ask(&script, call)? {
                Verdict::NotMine => continue,
                verdict => {
                    *handler = Some(script);
                    return match verdict {
                        Verdict::Refused(refusal) => Err(refusal),
                        _ => Ok(()),
                    };
                }
            }
        }
        Ok(())
    }

    /// Tells the script that was responsible before, or else the first that is now.
    fn post(&self, call: &Call<'_>, handler: Option<PathBuf>) -> Result<()> {
        let scripts = match (self.team(call.subject)?, handler) {
            (Team::One(script, can), _) => match can.cover(call.event, call.action) {
                true => vec![script],
                false => Vec::new(),
            },
            (Team::Each(_), Some(script)) => vec![script],
            (Team::Each(scripts), None) => scripts,
        };
        for script in scripts {
            match self.ask(&script, call)? {
                Verdict::NotMine => {}
                Verdict::Done(_) => break,
                Verdict::Refused(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells every notifier.
    fn notify(&self, call: &Call<'_>, warnings: &mut Warnings) {
        let notifiers = self.notifiers.get_or_init(|| {
            let mut warnings = lock(&self.warnings);
            let found = find::scripts(self.host, &self.host.notifiers(), &mut warnings);
            warnings.extend(found.refused);
            found.scripts
        });
        for script in notifiers {
            match self.ask(script, call) {
                Ok(Verdict::Refused(error)) | Err(error) => warnings.push(error),
                Ok(Verdict::Done(_) | Verdict::NotMine) => {}
            }
        }
        warnings.extend(self.take_warnings());
    }

    /// Whether there is anybody to ask about a device.
    pub fn has_callouts(&self) -> bool {
        let found = self.callouts();
        !found.scripts.is_empty() || !found.refused.is_empty()
    }

    fn callouts(&self) -> &Found {
        self.callouts.get_or_init(|| {
            let mut warnings = lock(&self.warnings);
            find::scripts(self.host, &self.host.callouts(), &mut warnings)
        })
    }

    /// Says which callouts are not asked. Before a change they are not left out, but refuse it.
    fn warn_of_refused(&self) {
        let refused = &self.callouts().refused;
        self.warned
            .call_once(|| lock(&self.warnings).extend(refused.iter().cloned()));
    }

    /// Who is asked about the subject's type. Asks every script for its capabilities, the first
    /// time, until one knows the answer.
    fn team(&self, subject: &Subject<'_>) -> Result<Team> {
        if let Some(team) = lock(&self.teams).get(subject.type_id) {
            return Ok(team.clone());
        }
        let scripts = &self.callouts().scripts;
        let mut team = Team::Each(scripts.clone());
        for script in scripts {
            if let Some(can) = self.capabilities(script, subject)? {
                team = Team::One(script.clone(), can);
                break;
            }
        }
        lock(&self.teams).insert(subject.type_id.clone(), team.clone());
        Ok(team)
    }
}

fn cannot_modify_live(subject: &Subject<'_>) -> Error {
    let (uuid, type_id) = (subject.uuid, subject.type_id);
    let message =
        format!("cannot change {uuid} while it is running: no script supports this for {type_id}");
    Error::new(Kind::Failed, message)
        .hint("change its definition, then stop the device and start it again")
}

/// The data behind these locks is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
