//! Giving a virtual function its type, and taking it away.

use std::thread::sleep;
use std::time::{Duration, Instant};

use log::debug;
use nix::errno::Errno;

use super::functions::{CURRENT, current_type};
use super::listing::{number_of, type_id};
use crate::dir::Dir;
use crate::error::{Advice, Error, Kind, Result};
use crate::model::TypeId;
use crate::sysfs::attr;

/// After a VM ends, NVIDIA's plugin takes about 5 s to leave; until then the answer is EBUSY.
const LEAVING_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Gives a function that holds none its type.
///
/// # Errors
/// [`Kind::InUse`] where somebody else has just given it one, or the plugin stays; what the driver
/// answered.
pub fn set(vf: &Dir, number: u32, what: &str) -> Result<()> {
    write_patiently(vf, number, what).map_err(|error| explain_set(error, vf))
}

/// Looks whether a function has the type that it was given.
///
/// # Errors
/// It has another one, or none; that cannot be told.
pub fn confirm(vf: &Dir, number: u32, what: &str) -> Result<()> {
    match current_type(vf)? {
        now if now == number => Ok(()),
        now => Err(Error::new(
            Kind::Failed,
            format!("{what}: the driver accepted the request, but the type is now {now}"),
        )
        .at(vf.join(CURRENT))
        .hint("see the driver's reason: dmesg, journalctl -u nvidia-vgpu-mgr")),
    }
}

/// Takes the type `believed` away from a function. Any other type is left alone: addresses are used
/// again, and it may be another VM's.
///
/// # Errors
/// [`Kind::InUse`] where a process has it open or the plugin stays; another type; what the driver
/// answered. A function that holds none is no error.
pub fn clear(vf: &Dir, believed: &TypeId, what: &str) -> Result<()> {
    match current_type(vf)? {
        0 => return Ok(()),
        now if Some(now) == number_of(believed) => {}
        now => {
            return Err(Error::new(
                Kind::Failed,
                format!(
                    "{what}: the function holds {}, not {believed}; not changed",
                    type_id(now)
                ),
            )
            .at(vf.join(CURRENT))
            .hint(Advice::UsedSince));
        }
    }
    match write_patiently(vf, 0, what) {
        // Somebody else has taken it away meanwhile.
        Err(error) if error.errno() == Some(Errno::EPERM) && current_type(vf)? == 0 => Ok(()),
        Err(error) => Err(explain_clear(error)),
        Ok(()) => match current_type(vf)? {
            0 => Ok(()),
            _ => Err(Error::new(
                Kind::InUse,
                format!("{what}: the driver accepted the request, but the type is still set"),
            )
            .at(vf.join(CURRENT))),
        },
    }
}

fn write_patiently(vf: &Dir, number: u32, what: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        match attr::write_value(vf, CURRENT, &number.to_string(), what) {
            Err(error)
                if error.errno() == Some(Errno::EBUSY) && begin.elapsed() < LEAVING_PATIENCE =>
            {
                debug!("waiting for NVIDIA's plugin: {error}");
                sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn explain_set(error: Error, vf: &Dir) -> Error {
    match error.errno() {
        Some(Errno::EPERM) if current_type(vf).is_ok_and(|now| now != 0) => error
            .with_kind(Kind::InUse)
            .hint("another process has just set a type on this virtual function"),
        Some(Errno::EBUSY) => error.with_kind(Kind::InUse).hint(
            "NVIDIA's plugin of the previous VM has not exited: see journalctl -u nvidia-vgpu-mgr",
        ),
        Some(Errno::EIO) => error.hint(Advice::Known("vf-type-refused")),
        _ => error,
    }
}

fn explain_clear(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EPERM) => error
            .with_kind(Kind::InUse)
            .hint("a process has it open: shut down the VM, then try again"),
        Some(Errno::EBUSY) => error.with_kind(Kind::InUse).hint(
            "NVIDIA's plugin has not exited: see journalctl -u nvidia-vgpu-mgr, then try again",
        ),
        _ => error,
    }
}
