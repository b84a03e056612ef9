//! Signals that ask the program to end: what is begun is brought to an end first.
//!
//! - A [`Step`] is a change that is not to be left half done. While one lives, such a signal waits;
//!   when the last is over, the program dies of the signal.
//! - A script ([`Running`]) is in a process group of its own, so that the time limit ends it with all
//!   that it started; for the same reason a terminal's Ctrl-C does not reach it. It is ended first,
//!   and the program dies then. What is on disk and in the kernel is what a crash leaves there.
//! - A command of several steps that has something to say at its end, or to take back, has
//!   [`Patience`]: its step and that step's scripts go on to their end, it asks [`is_asked`] between
//!   steps, and the program dies at its [`end`]. Asked for the second time, it dies at once.

// A handler cannot be installed without; what it does is below, in one function.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::Signal;

use crate::error::{Error, Kind, Result};

/// What asks a program to end: a closed terminal, Ctrl-C, Ctrl-\, `kill` and systemd.
const ENDING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The first signal that has come, or 0.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// How often somebody has asked. A terminal that goes away may send SIGHUP twice, and nobody has
/// asked twice then.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// How many scripts run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How many scripts and steps are not to be left alone.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// How many commands end by themselves.
static PATIENT: AtomicUsize = AtomicUsize::new(0);

/// What is still done is done because of the signal.
static IN_SPITE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// How much of what is not to be left alone is this thread's.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

/// How often a nap looks whether the program is to end.
const NAP: Duration = Duration::from_millis(50);

/// A change that is not left half done. Where a signal has come meanwhile, the last to be dropped
/// ends the program, and those before it never return.
#[derive(Debug)]
pub struct Step(());

impl Step {
    /// To be called before the change. Does not return where a signal has come, unless the command
    /// has [`Patience`].
    pub fn begin() -> Step {
        enter();
        if ends_now() {
            leave_all_and_die();
        }
        Step(())
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        match ends_now() {
            true if OWN.get() == 1 => leave_all_and_die(),
            _ => leave(),
        }
    }
}

/// While it lives, a signal does not end the program, but says [`Running::is_interrupted`]. Where
/// one has come, the last to be dropped ends the program, and those before it never return.
#[derive(Debug)]
pub struct Running {
    ends_by_itself: bool,
}

impl Running {
    /// To be called before a script is started; one that `ends_by_itself` leaves something broken
    /// where it is ended. Does not return where a signal has come, unless the command has
    /// [`Patience`].
    pub fn begin(ends_by_itself: bool) -> Running {
        enter();
        if ends_now() {
            leave_all_and_die();
        }
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Running { ends_by_itself }
    }

    /// Whether the script is to be ended now.
    pub fn is_interrupted(&self) -> bool {
        match self.ends_by_itself {
            true => is_insisted(),
            false => ends_now(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        match ends_now() {
            true => leave_all_and_die(),
            false => leave(),
        }
    }
}

/// While it lives, the command itself sees to its end.
#[derive(Debug)]
pub struct Patience(());

impl Patience {
    /// From now on.
    pub fn begin() -> Patience {
        install_once();
        PATIENT.fetch_add(1, Ordering::SeqCst);
        Patience(())
    }

    /// What is done from now on is what the signal asks for: [`is_asked`] is over.
    pub fn go_on(&self) {
        IN_SPITE.store(true, Ordering::SeqCst);
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        PATIENT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a command with [`Patience`] is to end after its step.
pub fn is_asked() -> bool {
    CAUGHT.load(Ordering::SeqCst) != 0 && !IN_SPITE.load(Ordering::SeqCst)
}

/// Fails where the command is to end; `what` it was doing.
///
/// # Errors
/// [`Kind::Interrupted`].
pub fn refuse_if_asked(what: &str) -> Result<()> {
    match is_asked() {
        true => Err(Error::new(
            Kind::Interrupted,
            format!("{what} was ended by {}", name()),
        )),
        false => Ok(()),
    }
}

/// The signal's name; to be asked for once one has come.
pub fn name() -> &'static str {
    Signal::try_from(CAUGHT.load(Ordering::SeqCst)).map_or("a signal", Signal::as_str)
}

/// Sleeps for that long, or until the program is to end.
pub fn nap(duration: Duration) {
    let begin = Instant::now();
    while !is_asked() {
        let left = duration.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(NAP));
    }
}

/// The end of a command: the program dies of the signal that has come, if one has.
pub fn end() {
    match CAUGHT.load(Ordering::SeqCst) {
        0 => {}
        signal => die_of(signal),
    }
}

/// Whether the program dies as soon as nothing is half done.
fn ends_now() -> bool {
    CAUGHT.load(Ordering::SeqCst) != 0 && (PATIENT.load(Ordering::SeqCst) == 0 || is_insisted())
}

/// Whether somebody has asked again.
fn is_insisted() -> bool {
    ASKED.load(Ordering::SeqCst) > 1
}

fn enter() {
    install_once();
    BUSY.fetch_add(1, Ordering::SeqCst);
    OWN.set(OWN.get() + 1);
}

fn leave() {
    BUSY.fetch_sub(1, Ordering::SeqCst);
    OWN.set(OWN.get().saturating_sub(1));
    // A signal may have come since the last look, while this was in its way.
    if ends_now() && OWN.get() == 0 {
        leave_all_and_die();
    }
}

/// Whatever this thread was at is over. The last of all threads ends the program.
fn leave_all_and_die() -> ! {
    let own = OWN.replace(0);
    let is_last = BUSY.fetch_sub(own, Ordering::SeqCst) == own;
    if is_last || is_insisted() && RUNNING.load(Ordering::SeqCst) == 0 {
        end();
    }
    loop {
        thread::park();
    }
}

fn install_once() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| ENDING.into_iter().for_each(install));
}

/// Has the signal noted, unless the program was started with it ignored, as by `nohup`.
fn install(signal: c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction fills in the one and reads the other, which is whole: all zeros are a valid
    // one. The handler makes async-signal-safe calls only.
    unsafe {
        if libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) != 0 {
            return;
        }
        let mut action = action.assume_init();
        if action.sa_sigaction != libc::SIG_DFL {
            return;
        }
        action.sa_sigaction = note as extern "C" fn(c_int) as libc::sighandler_t;
        // The signal must not be blocked while its handler lets the program die of it.
        action.sa_flags = libc::SA_RESTART | libc::SA_NODEFER;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

/// The handler. Where nobody is at anything, nobody else would see to the end; where somebody asks
/// for the second time, nothing but a script is waited for.
extern "C" fn note(signal: c_int) {
    let _ = CAUGHT.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
    if signal != libc::SIGHUP {
        ASKED.fetch_add(1, Ordering::SeqCst);
    }
    let is_idle = BUSY.load(Ordering::SeqCst) == 0;
    if ends_now() && (is_idle || is_insisted() && RUNNING.load(Ordering::SeqCst) == 0) {
        die_of(signal);
    }
}

/// What a terminal is told so that its line is empty again.
pub const EMPTY_LINE: &str = "\r\x1b[K";

/// Whether there is something on the terminal's line that is to be gone at the end.
static HAS_LINE: AtomicBool = AtomicBool::new(false);

/// Notes that standard error is a terminal with something on its last line, or that it is gone.
pub fn has_line(is_there: bool) {
    HAS_LINE.store(is_there, Ordering::SeqCst);
}

/// What would have happened without a handler.
fn die_of(signal: c_int) {
    // SAFETY: async-signal-safe calls with a signal that the kernel sent, and a text that stays.
    unsafe {
        if HAS_LINE.load(Ordering::SeqCst) {
            libc::write(2, EMPTY_LINE.as_ptr().cast(), EMPTY_LINE.len());
        }
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
