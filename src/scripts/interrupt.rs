//! Signals that end the program while a script runs end the script first.
//!
//! A script is in a process group of its own, so that the time limit ends it with all that it
//! started; for the same reason a terminal's Ctrl-C does not reach it. So, from the first script
//! on, such a signal waits until whoever serves a script has ended it; then the program dies of
//! that signal. What is on disk and in the kernel then is what a crash at this point leaves.

// A handler cannot be installed without; what it does is below, in one function.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::thread;

use nix::libc;

/// What asks a program to end: a closed terminal, Ctrl-C, Ctrl-\, `kill` and systemd.
const ENDING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The signal that has come, or 0.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// How many scripts run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// While it lives, a signal does not end the program, but says [`Running::is_interrupted`]. Where
/// one has come, the last to be dropped ends the program, and those before it never return.
pub(super) struct Running(());

impl Running {
    /// To be called before a script is started. Does not return where a signal has come.
    pub fn begin() -> Running {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| ENDING.into_iter().for_each(install));
        RUNNING.fetch_add(1, Ordering::SeqCst);
        let running = Running(());
        if running.is_interrupted() {
            drop(running);
            wait_for_the_end();
        }
        running
    }

    /// Whether the script is to be ended now.
    pub fn is_interrupted(&self) -> bool {
        CAUGHT.load(Ordering::SeqCst) != 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let before = RUNNING.fetch_sub(1, Ordering::SeqCst);
        match CAUGHT.load(Ordering::SeqCst) {
            0 => {}
            signal if before == 1 => die_of(signal),
            _ => wait_for_the_end(),
        }
    }
}

/// Another thread ends its script, and then the program.
fn wait_for_the_end() -> ! {
    loop {
        thread::park();
    }
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

/// The handler. Between two scripts nobody else would see to the end.
extern "C" fn note(signal: c_int) {
    CAUGHT.store(signal, Ordering::SeqCst);
    if RUNNING.load(Ordering::SeqCst) == 0 {
        die_of(signal);
    }
}

/// What would have happened without a handler.
fn die_of(signal: c_int) {
    // SAFETY: async-signal-safe calls with a signal that the kernel sent.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
