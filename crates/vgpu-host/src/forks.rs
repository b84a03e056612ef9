//! What must not be inherited by a child, kept apart from what makes children.
//!
//! A fork copies every descriptor of the process, whoever opened it, and close-on-exec helps only
//! once the child runs another program. So whatever starts a process does it [`forking`], and what
//! has to have such a descriptor for a moment does it [`unforked`]; the two never overlap.

use std::sync::{PoisonError, RwLock};

static FORKS: RwLock<()> = RwLock::new(());

/// Runs what starts a process. Where that is `fork` itself, the child must not return from it.
pub fn forking<T>(start: impl FnOnce() -> T) -> T {
    let _forks = FORKS.read().unwrap_or_else(PoisonError::into_inner);
    start()
}

/// Runs `work` while no thread starts a process. It must leave no descriptor behind that matters.
pub fn unforked<T>(work: impl FnOnce() -> T) -> T {
    let _no_forks = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    work()
}
