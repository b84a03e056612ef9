//! Which device or definition a user means by what they typed.

use std::str::FromStr;

use nix::errno::Errno;
use uuid::Uuid;

use super::Context;
use super::tenant::{has, refuse_others};
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{Device, FrameworkKind, ParentId, Slot, parse_uuid};
use crate::store::Location;

/// The fewest characters of a UUID that may stand for all of it.
const SHORTEST_PREFIX: usize = 8;

/// A UUID, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UuidGiven {
    /// All of it.
    Whole(Uuid),
    /// The first 8 or more characters, in lower case.
    Prefix(String),
    /// The virtual function that the device sits on.
    Vf(ParentId),
}

impl FromStr for UuidGiven {
    type Err = Error;

    fn from_str(text: &str) -> Result<UuidGiven> {
        if let Ok(vf) = text.parse::<ParentId>()
            && vf.is_pci_address()
        {
            return Ok(UuidGiven::Vf(vf));
        }
        let whole = parse_uuid(text);
        let lower = text.to_ascii_lowercase();
        let looks_right = lower.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
        match whole {
            Ok(uuid) => Ok(UuidGiven::Whole(uuid)),
            Err(_) if looks_right && (SHORTEST_PREFIX..36).contains(&lower.len()) => {
                Ok(UuidGiven::Prefix(lower))
            }
            Err(error) => {
                let fault = error.message().to_owned();
                Err(error.retold(format!(
                    "{fault}; its first {SHORTEST_PREFIX} characters are enough"
                )))
            }
        }
    }
}

impl std::fmt::Display for UuidGiven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UuidGiven::Whole(uuid) => uuid.fmt(f),
            UuidGiven::Prefix(prefix) => prefix.fmt(f),
            UuidGiven::Vf(vf) => vf.fmt(f),
        }
    }
}

impl UuidGiven {
    /// The UUID, where all of it was given.
    pub fn whole(&self) -> Option<Uuid> {
        match self {
            UuidGiven::Whole(uuid) => Some(*uuid),
            UuidGiven::Prefix(_) | UuidGiven::Vf(_) => None,
        }
    }

    fn fits(&self, uuid: &Uuid) -> bool {
        match self {
            UuidGiven::Whole(whole) => whole == uuid,
            UuidGiven::Prefix(prefix) => uuid.to_string().starts_with(prefix),
            UuidGiven::Vf(_) => false,
        }
    }

    /// A vGPU that is not ours has no UUID that anybody could know.
    fn fits_device(&self, device: &Device) -> bool {
        match (self, &device.slot) {
            (UuidGiven::Vf(vf), _) => device.vf() == Some(vf),
            (_, Slot::ForeignVf(_)) => false,
            _ => self.fits(&device.uuid),
        }
    }
}

/// A device as a user names it: a UUID, and where that is not enough, a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The UUID or its beginning.
    pub uuid: UuidGiven,
    /// The parent, where the UUID is defined under several.
    pub parent: Option<ParentId>,
}

/// What a selector was found to mean.
#[derive(Debug, Clone)]
pub struct Target {
    /// The UUID.
    pub uuid: Uuid,
    /// The active device, on the selector's parent (or function) if it names one.
    pub device: Option<Device>,
    /// The definitions, under the selector's parent if it names one.
    pub defined: Vec<Location>,
    /// Directories that cannot be read, in which it may be defined too.
    pub doubts: Warnings,
}

impl Target {
    /// Fails where more definitions of it may be in what cannot be read.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn refuse_doubts(&self) -> Result<()> {
        match self.doubts.first() {
            Some(doubt) => Err(doubt.clone()),
            None => Ok(()),
        }
    }

    /// The only definition.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none; [`Kind::Usage`], asking for a parent, where there
    /// are several; what the kernel answered where there may be others.
    pub fn only_definition(&self, context: &Context<'_>) -> Result<&Location> {
        self.refuse_doubts()?;
        match self.defined.as_slice() {
            [only] => Ok(only),
            [] => Err(Error::new(
                Kind::NotFound,
                format!("{} has no definition", self.uuid),
            )),
            [one, other] if one.parent == other.parent => Err(Error::new(
                Kind::Usage,
                format!(
                    "{} is defined twice on {}, once for each framework",
                    self.uuid, one.parent
                ),
            )
            .hint(format!(
                "see what {} offers now (vgpuctl gpus), and delete the file that is not needed: {} \
                 or {}",
                one.parent,
                context.store.path(one).display(),
                context.store.path(other).display()
            ))),
            several => {
                let parents: Vec<String> = several.iter().map(|at| at.parent.to_string()).collect();
                Err(Error::new(
                    Kind::Usage,
                    format!("{} is defined under several parents", self.uuid),
                )
                .hint(format!("add --parent with one of: {}", parents.join(", "))))
            }
        }
    }
}

/// Finds out what the selector means, among active devices and definitions (readable or not).
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Usage`] where the beginning of a UUID fits several.
pub fn find(context: &Context<'_>, selector: &Selector) -> Result<Target> {
    refuse_others(context, selector)?;
    // What is odd elsewhere does not matter to the one device that is asked for.
    let mut unrelated = Vec::new();
    let is_here = |device: &Device| covers(context, selector, &device.parent, device.vf());
    let mut devices = match &selector.uuid {
        UuidGiven::Whole(uuid) => context.kernel.device(*uuid)?.into_iter().collect(),
        UuidGiven::Prefix(_) | UuidGiven::Vf(_) => context.kernel.devices(&mut unrelated)?,
    };
    devices.retain(|device| selector.uuid.fits_device(device) && is_here(device));
    let mut doubts = Vec::new();
    let mut defined = context.store.index(&mut doubts)?;
    let is_meant =
        |uuid: &Uuid| selector.uuid.fits(uuid) || devices.iter().any(|d| d.uuid == *uuid);
    let is_of_device = |at: &Location| devices.iter().any(|d| Location::of_device(d) == *at);
    defined.retain(|at| {
        is_meant(&at.uuid) && (is_of_device(at) || is_defined_on(context, selector, at))
    });
    if context.tenant.is_some() {
        defined.retain(|at| has(context, at));
        devices.retain(|device| defined.contains(&Location::of_device(device)));
        doubts.clear();
    }

    let homes: Vec<&ParentId> = devices.iter().map(|device| &device.parent).collect();
    if devices.is_empty() && !defined.is_empty() {
        doubts.clear();
    }
    doubts.retain(|doubt| hides_definitions(doubt, &homes) && names_parent(doubt, selector));

    let mut uuids: Vec<Uuid> = defined.iter().map(|at| at.uuid).collect();
    uuids.extend(devices.iter().map(|device| device.uuid));
    uuids.sort_unstable();
    uuids.dedup();
    match uuids.as_slice() {
        [uuid] => Ok(Target {
            uuid: *uuid,
            device: devices.pop(),
            defined,
            doubts,
        }),
        [] => Err(doubts.pop().unwrap_or_else(|| not_found(selector))),
        several => {
            let several: Vec<String> = several.iter().map(Uuid::to_string).collect();
            Err(Error::new(
                Kind::Usage,
                format!("{} matches several UUIDs", selector.uuid),
            )
            .hint(format!("specify more of it: {}", several.join(", "))))
        }
    }
}

/// Whether the selector's parent, where it names one, is this parent, its GPU, or this function.
fn covers(
    context: &Context<'_>,
    selector: &Selector,
    parent: &ParentId,
    vf: Option<&ParentId>,
) -> bool {
    selector.parent.as_ref().is_none_or(|wanted| {
        wanted == parent || vf == Some(wanted) || context.kernel.gpu_of(parent) == *wanted
    })
}

/// As [`covers`], of a definition, which is read only for the function that it may name.
fn is_defined_on(context: &Context<'_>, selector: &Selector, at: &Location) -> bool {
    let vf = || context.store.read(at).ok()?.vf;
    covers(context, selector, &at.parent, None)
        || at.framework == FrameworkKind::Vfio
            && covers(context, selector, &at.parent, vf().as_ref())
}

/// Whether definitions of devices on `homes`, or of any device where there are none, may be in what
/// cannot be read. There are none behind links, which are never followed.
fn hides_definitions(doubt: &Error, homes: &[&ParentId]) -> bool {
    let is_link = matches!(doubt.errno(), Some(Errno::ENOTDIR | Errno::ELOOP));
    let is_at_home = |home: &&ParentId| is_of(doubt, home);
    doubt.errno().is_some() && !is_link && (homes.is_empty() || homes.iter().any(is_at_home))
}

fn names_parent(doubt: &Error, selector: &Selector) -> bool {
    let parent = selector.parent.as_ref();
    parent.is_none_or(|parent| is_of(doubt, parent))
}

fn is_of(doubt: &Error, parent: &ParentId) -> bool {
    doubt
        .path()
        .is_some_and(|path| path.ends_with(parent.as_str()))
}

fn not_found(selector: &Selector) -> Error {
    let on = selector
        .parent
        .as_ref()
        .map(|parent| format!(" on {parent}"))
        .unwrap_or_default();
    Error::new(
        Kind::NotFound,
        format!("{} is neither active nor defined{on}", selector.uuid),
    )
    .hint("see: vgpuctl list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_characters_or_more_of_a_uuid_will_do_and_nothing_else() {
        let uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
        for length in [8, 9, 12, 13, 14, 35, 36] {
            let given: UuidGiven = uuid[..length].to_uppercase().parse().unwrap();
            assert!(given.fits(&parse_uuid(uuid).unwrap()), "{length}");
        }
        for bad in [
            "",
            "83b8f4f",
            "83b8f4f2509f",
            "../x",
            "83b8f4f2-/",
            "zzzzzzzz",
        ] {
            assert!(bad.parse::<UuidGiven>().is_err(), "{bad:?}");
        }
        assert!(format!("{uuid}0").parse::<UuidGiven>().is_err());
    }
}
