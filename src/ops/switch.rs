//! Switching a GPU's virtual functions, again and again while what is in the way may pass: at boot
//! NVML clients come and go, the driver is still busy, and NVIDIA's program loses races with it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Context;
use super::vfs::{SWITCHING, already, is_as_wanted, refuse_used, the_gpu};
use crate::error::{Error, Kind, Result};
use crate::interrupt::{nap, refuse_if_asked};
use crate::model::ParentId;
use crate::scripts::{Said, Switch, complaint, ending, sriov_manage};
use crate::store::Lock;
use crate::sysfs::SriovGpu;

/// How long is tried at the least: most NVML clients run for moments only.
pub const BRIEFLY: Duration = Duration::from_secs(10);

/// The waits between two attempts grow from the one to the other. After a lost race the driver was
/// seen to need 15 s and more.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long functions may take to appear after the program has ended.
const APPEARING: Duration = Duration::from_secs(3);
/// How long a GPU without a driver is left to whoever may be about to give it one.
const GRACE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Drivers that hold a device for somebody else.
const SET_ASIDE_BY: [&str; 3] = ["pci-stub", "pciback", "xen-pciback"];

/// Switches, and says in words what came of it, with the GPU's lock held. What counts is the
/// functions that are there afterwards: NVIDIA's program may end well without any. Each attempt that
/// fails is told at once, with what was answered and when the next one is; the last one is made at
/// the deadline. Between them the lock is free.
///
/// # Errors
/// [`Kind::InUse`] while a vGPU is on the GPU; the functions did not come, or not go.
pub fn switch(
    context: &Context<'_>,
    gpu: &ParentId,
    switch: Switch,
    deadline: Instant,
) -> Result<(Lock, String)> {
    let begin = Instant::now();
    let mut wait = FIRST_WAIT;
    let mut left_by_us = None;
    let mut attempt = 1;
    loop {
        let lock = context.store.lock(gpu)?;
        let one = Attempt {
            context,
            gpu,
            switch,
        };
        let trouble = match one.make(&mut left_by_us)? {
            Outcome::Done(said) => return Ok((lock, said)),
            Outcome::Trouble(trouble) => trouble,
        };
        drop(lock);
        let message = format!(
            "attempt {attempt} to switch the virtual functions of {gpu} {}: {}",
            word(switch),
            trouble.in_words(context)
        );
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            log::warn!("{message}; giving up");
            let seconds = begin.elapsed().as_secs();
            return Err(one.failed(trouble, attempt, seconds));
        }
        let next = wait.min(left);
        let seconds = next.as_secs_f64().ceil();
        log::warn!("{message}; next try in {seconds} s");
        nap(next);
        refuse_if_asked(&format!("switching the virtual functions of {gpu}"))?;
        wait = (wait * 2).min(LONGEST_WAIT);
        attempt += 1;
    }
}

fn word(switch: Switch) -> &'static str {
    match switch {
        Switch::On => "on",
        Switch::Off => "off",
    }
}

/// One attempt at one GPU.
struct Attempt<'c, 'h> {
    context: &'c Context<'h>,
    gpu: &'c ParentId,
    switch: Switch,
}

/// How an attempt ended.
enum Outcome {
    /// The functions are as wanted; in words.
    Done(String),
    /// They are not, which may pass.
    Trouble(Trouble),
}

/// Why an attempt came to nothing.
struct Trouble {
    answer: Answer,
    driver: Option<Driver>,
}

/// What was answered.
enum Answer {
    /// By NVIDIA's program.
    Said(Said),
    /// By the kernel, which took the request or not.
    Kernel(Option<Error>),
    /// Nothing was asked.
    NotAsked,
}

/// What became of a driver that an attempt left the GPU without.
enum Driver {
    /// It has the GPU again.
    Back(String),
    /// It has not.
    Gone(Error),
    /// Nobody of ours took it away, so nobody of ours gives it back.
    NotOurs,
}

impl Attempt<'_, '_> {
    /// `left_by_us` is the driver that an attempt before this one left the GPU without.
    fn make(&self, left_by_us: &mut Option<String>) -> Result<Outcome> {
        let (context, gpu) = (self.context, self.gpu);
        let now = the_gpu(context, gpu)?;
        let mut driver = context.kernel.driver_of(gpu)?;
        if driver.is_none()
            && let Some(own) = left_by_us.take()
        {
            if let Driver::Gone(error) = self.give_back(&own, left_by_us) {
                return Ok(self.trouble(Answer::NotAsked, Some(Driver::Gone(error))));
            }
            driver = context.kernel.driver_of(gpu)?;
        }
        *left_by_us = None;
        if is_as_wanted(&now, self.switch) {
            return Ok(Outcome::Done(already(&now)));
        }
        match &driver {
            None => return Ok(self.trouble(Answer::NotAsked, Some(Driver::NotOurs))),
            Some(other) if is_set_aside_by(other) => return Err(set_aside(gpu, other)),
            Some(_) => {}
        }
        // Mediated devices on functions are made under the functions' own locks.
        let _held_too: Vec<Lock> = now
            .functions
            .iter()
            .filter(|vf| context.kernel.part(vf, &mut Vec::new()).is_none())
            .map(|vf| context.store.lock(vf))
            .collect::<Result<_>>()?;
        refuse_used(context, &now, SWITCHING)?;
        context.kernel.settle(gpu);
        let answer = self.ask(&now)?;
        let then = self.wait_for(&answer)?;
        let lost = match driver {
            Some(own) if !answer.is_without_lock() => self.look_after(own, left_by_us)?,
            _ => None,
        };
        let has_driver = !matches!(lost, Some(Driver::Gone(_)));
        if is_as_wanted(&then, self.switch) && has_driver {
            context.kernel.settle(gpu);
            let count = match self.switch {
                Switch::On => then.functions.len(),
                Switch::Off => now.functions.len(),
            };
            let word = word(self.switch);
            let said = format!("switched {count} virtual functions of {gpu} {word}");
            return Ok(Outcome::Done(said));
        }
        Ok(self.trouble(answer, lost))
    }

    fn trouble(&self, answer: Answer, driver: Option<Driver>) -> Outcome {
        Outcome::Trouble(Trouble { answer, driver })
    }

    /// Asks NVIDIA's program, which its driver insists on; where there is none, the kernel.
    fn ask(&self, now: &SriovGpu) -> Result<Answer> {
        if let Some(said) = sriov_manage(self.context.host, self.switch, self.gpu)? {
            return Ok(Answer::Said(said));
        }
        let number = match self.switch {
            Switch::On => now.total,
            Switch::Off => 0,
        };
        match self.context.kernel.ask_for_functions(self.gpu, number) {
            Ok(()) => Ok(Answer::Kernel(None)),
            Err(error) if may_pass(&error) => Ok(Answer::Kernel(Some(error))),
            Err(error) => Err(error),
        }
    }

    fn wait_for(&self, answer: &Answer) -> Result<SriovGpu> {
        // One that says that it failed is not waited for.
        let patience = match answer {
            Answer::Said(said) if !said.claims_success() => Duration::ZERO,
            Answer::Kernel(Some(_)) => Duration::ZERO,
            _ => APPEARING,
        };
        let begin = Instant::now();
        loop {
            let now = the_gpu(self.context, self.gpu)?;
            if is_as_wanted(&now, self.switch) || begin.elapsed() >= patience {
                return Ok(now);
            }
            sleep(PAUSE);
        }
    }

    /// Whether the GPU still has the driver that it had before; where it has none, the driver gets
    /// it back. One that another driver has by now is that one's.
    fn look_after(&self, own: String, left_by_us: &mut Option<String>) -> Result<Option<Driver>> {
        let begin = Instant::now();
        while self.context.kernel.driver_of(self.gpu)?.is_none() {
            if begin.elapsed() >= GRACE {
                return Ok(Some(self.give_back(&own, left_by_us)));
            }
            sleep(PAUSE);
        }
        Ok(None)
    }

    /// Binds the GPU to its driver again; what fails is tried again by the next attempt.
    fn give_back(&self, own: &str, left_by_us: &mut Option<String>) -> Driver {
        let bound = self.context.kernel.bind(self.gpu, own);
        let now = self.context.kernel.driver_of(self.gpu);
        match (bound, now) {
            // Somebody else may have been faster.
            (_, Ok(Some(now))) if now == own => Driver::Back(now),
            (Err(error), _) if error.kind() == Kind::InUse => Driver::Gone(error),
            (Err(error), _) => {
                *left_by_us = Some(own.to_owned());
                Driver::Gone(error)
            }
            (Ok(()), _) => {
                *left_by_us = Some(own.to_owned());
                let message = format!(
                    "the kernel accepted the request to bind it to {own}, but did not bind it"
                );
                Driver::Gone(Error::new(Kind::Failed, message))
            }
        }
    }

    fn failed(&self, trouble: Trouble, attempts: u32, seconds: u64) -> Error {
        let (context, gpu) = (self.context, self.gpu);
        let still = match self.switch {
            Switch::On => "still has no virtual functions",
            Switch::Off => "still has its virtual functions",
        };
        let what = format!("{gpu} {still} after {attempts} attempts in {seconds} s");
        let error = match &trouble.answer {
            Answer::Said(said) => {
                let error = complaint(&what, said).at(context.host.sriov_manage());
                match trouble.answer.is_without_lock() {
                    true => error.hint(
                        "a program is using the GPU through NVML: stop nvidia-persistenced, DCGM, \
                         monitoring and nvidia-smi, then repeat",
                    ),
                    false => error.hint("see the kernel's log: dmesg"),
                }
            }
            Answer::Kernel(Some(error)) => error.clone().retold(what),
            Answer::Kernel(None) => {
                Error::new(Kind::Failed, what).hint("see the kernel's log: dmesg")
            }
            Answer::NotAsked => Error::new(Kind::Failed, what),
        };
        match &trouble.driver {
            None | Some(Driver::Back(_)) => error,
            Some(Driver::Gone(why)) => error.hint(format!("it was left without a driver: {why}")),
            Some(Driver::NotOurs) => error.hint(format!(
                "it has no driver, so it was not changed; to bind it to one: echo {gpu} > {}",
                context.host.nvidia_driver().join("bind").display()
            )),
        }
    }
}

impl Answer {
    /// Whether NVIDIA's program could not have the lock under which it takes the GPU from its driver.
    fn is_without_lock(&self) -> bool {
        matches!(self, Answer::Said(said) if said.text.contains("unbindLock"))
    }
}

impl Trouble {
    fn in_words(&self, context: &Context<'_>) -> String {
        let answered = match &self.answer {
            Answer::Said(said) => {
                let program = context.host.sriov_manage();
                format!("{}: {}", program.display(), said_line(said))
            }
            Answer::Kernel(None) => {
                "the kernel accepted the request, but nothing changed".to_owned()
            }
            Answer::Kernel(Some(error)) => error.to_string(),
            Answer::NotAsked => "no request was made".to_owned(),
        };
        match &self.driver {
            None => answered,
            Some(Driver::Back(own)) => {
                format!(
                    "{answered}; it left the GPU without a driver, and the GPU was bound to {own} \
                     again"
                )
            }
            Some(Driver::Gone(why)) => {
                format!("{answered}; the GPU was left without a driver: {why}")
            }
            Some(Driver::NotOurs) => {
                "it has no driver, and vgpuctl did not unbind it, so it is not changed".to_owned()
            }
        }
    }
}

fn said_line(said: &Said) -> String {
    match said.text.is_empty() {
        true => ending(said),
        false => format!("{}, and it said: {}", ending(said), said.text),
    }
}

/// What the kernel answers while somebody is at it.
fn may_pass(error: &Error) -> bool {
    matches!(
        error.errno(),
        Some(Errno::EBUSY | Errno::EAGAIN | Errno::EINTR | Errno::ENOMEM)
    )
}

fn is_set_aside_by(driver: &str) -> bool {
    driver.starts_with("vfio") || SET_ASIDE_BY.contains(&driver)
}

fn set_aside(gpu: &ParentId, driver: &str) -> Error {
    Error::new(
        Kind::InUse,
        format!(
            "{gpu} is bound to {driver}, for a virtual machine or to keep it unused: it is not changed"
        ),
    )
    .hint("its virtual functions can be switched once it is bound to its own driver again")
}
