//! A host shared by threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::host::Host;
use crate::state::{Ticket, Wait};

/// The host, and the notification of changes.
#[derive(Debug)]
pub struct Shared {
    host: Mutex<Host>,
    changed: Condvar,
}

impl Shared {
    /// Wraps a host.
    pub fn new(host: Host) -> Arc<Self> {
        Arc::new(Self {
            host: Mutex::new(host),
            changed: Condvar::new(),
        })
    }

    /// Locks the host.
    pub fn lock(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes creates and removes that wait.
    pub fn announce(&self) {
        self.changed.notify_all();
    }

    /// Waits until the create or remove of `ticket` can complete.
    pub fn wait(&self, ticket: &Ticket) -> MutexGuard<'_, Host> {
        let mut host = self.lock();
        loop {
            host = match host.waits_for(ticket, Instant::now()) {
                Wait::Nothing => return host,
                Wait::Time(left) => {
                    let woken = self.changed.wait_timeout(host, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Wait::Close => {
                    let woken = self.changed.wait(host);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}
