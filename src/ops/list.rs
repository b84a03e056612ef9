//! `list`: active and defined devices in one table.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::scope::Scope;
use super::{Answer, Context};
use crate::error::{Result, Warnings};
use crate::model::{Definition, Device, FrameworkKind, ParentId, Slot, StartMode, TypeId};
use crate::nvidia::short_name;

/// Which devices to tell, by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that exist in the kernel.
    Active,
    /// Those that have a definition.
    Defined,
}

/// Which devices to tell.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// By state.
    pub which: Which,
    /// Only this parent's.
    pub parent: Option<ParentId>,
    /// Only of this type: id, full name or short name.
    pub type_name: Option<String>,
}

/// One device, active or defined or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// For which framework it is.
    pub framework: FrameworkKind,
    /// Its UUID; for a [`Slot::ForeignVf`] not one that means anything.
    pub uuid: Uuid,
    /// Where it sits, while it is active.
    pub slot: Option<Slot>,
    /// The one function that its definition names, where it names one.
    pub defined_vf: Option<ParentId>,
    /// Its parent.
    pub parent: ParentId,
    /// Its type: the active device's, else the definition's.
    pub type_id: TypeId,
    /// The type's name, while the parent tells it.
    pub type_name: Option<Arc<str>>,
    /// Whether it exists in the kernel; `None` where something of that name does, but cannot be
    /// read.
    pub active: Option<bool>,
    /// Its definition's start mode; `None` for one that has no (readable) definition.
    pub start: Option<StartMode>,
}

impl Listed {
    fn of_device(device: Device) -> Listed {
        Listed {
            framework: device.framework(),
            uuid: device.uuid,
            slot: Some(device.slot),
            defined_vf: None,
            parent: device.parent,
            type_id: device.type_id,
            type_name: None,
            active: Some(true),
            start: None,
        }
    }

    fn of_definition(definition: Definition) -> Listed {
        Listed {
            framework: definition.framework,
            uuid: definition.uuid,
            slot: None,
            defined_vf: definition.vf,
            parent: definition.parent,
            type_id: definition.type_id,
            type_name: None,
            active: Some(false),
            start: Some(definition.start),
        }
    }

    /// The virtual function that it occupies, or is to have while it is not active.
    pub fn vf(&self) -> Option<&ParentId> {
        match &self.slot {
            Some(slot) => slot.vf(),
            None => self.defined_vf.as_ref(),
        }
    }

    /// Its UUID, unless it is somebody else's on a virtual function.
    pub fn known_uuid(&self) -> Option<Uuid> {
        match self.slot {
            Some(Slot::ForeignVf(_)) => None,
            _ => Some(self.uuid),
        }
    }
}

/// The devices by parent and UUID.
///
/// # Errors
/// Devices or definitions cannot be listed at all. One that cannot be read is a warning.
pub fn list(context: &Context<'_>, request: &ListRequest) -> Result<Answer<Vec<Listed>>> {
    let (context, mut warnings) = (&context.snapshot(), Vec::new());
    let scope = request.parent.as_ref().map(|name| Scope::of(context, name));
    let definitions = match &scope {
        Some(scope) => scope.definitions(context, &mut warnings)?,
        None => context.store.all(&mut warnings)?,
    };
    let devices = match request.which {
        Which::All | Which::Active => context.kernel.devices(&mut warnings)?,
        // What is only active is not asked for.
        Which::Defined => {
            let defined: HashSet<Uuid> = definitions.iter().map(|one| one.uuid).collect();
            let is_defined = |uuid: &Uuid| defined.contains(uuid);
            context.kernel.devices_among(&is_defined, &mut warnings)?
        }
    };
    let mut all = merge(devices, definitions);
    if !warnings.is_empty() {
        doubt_unreadable(context, &mut all);
    }
    all.retain(|one| match request.which {
        Which::All => true,
        Which::Active => one.active != Some(false),
        Which::Defined => one.start.is_some(),
    });
    if let Some(scope) = &scope {
        all.retain(|one| scope.has(one));
    }
    name_types(context, &mut all, &mut warnings);
    if let Some(wanted) = &request.type_name {
        all.retain(|one| {
            let name = one.type_name.as_deref();
            one.type_id.as_str() == wanted
                || name == Some(wanted.as_str())
                || name.map(short_name) == Some(wanted.as_str())
        });
    }
    let notes = match all.is_empty() {
        true => vec![why_empty(request)],
        false => Vec::new(),
    };
    Ok(Answer {
        value: all,
        warnings,
        notes,
    })
}

/// Puts active devices and definitions of the same device together, by parent and UUID.
pub fn merge(devices: Vec<Device>, definitions: Vec<Definition>) -> Vec<Listed> {
    let mut all: Vec<Listed> = devices.into_iter().map(Listed::of_device).collect();
    all.sort_by_key(|one| one.uuid);
    let mut only_defined = Vec::new();
    for definition in definitions {
        match active_as(&mut all, &definition) {
            Some(one) => {
                one.start = Some(definition.start);
                one.defined_vf = definition.vf;
            }
            None => only_defined.push(Listed::of_definition(definition)),
        }
    }
    all.extend(only_defined);
    all.sort_by(|a, b| (&a.parent, a.vf(), a.uuid).cmp(&(&b.parent, b.vf(), b.uuid)));
    all
}

/// The active device of a definition, among all by UUID.
fn active_as<'l>(active: &'l mut [Listed], definition: &Definition) -> Option<&'l mut Listed> {
    let first = active.partition_point(|one| one.uuid < definition.uuid);
    let alike = active[first..].iter_mut();
    let mut alike = alike.take_while(|one| one.uuid == definition.uuid);
    alike.find(|one| one.framework == definition.framework && one.parent == definition.parent)
}

/// Something was unreadable: what seems inactive may be a device that could not be understood.
pub fn doubt_unreadable(context: &Context<'_>, all: &mut [Listed]) {
    let inactive = all.iter_mut().filter(|one| one.active == Some(false));
    for one in inactive {
        if context.kernel.device(one.uuid).is_err() {
            one.active = None;
        }
    }
}

/// Asks each parent once for the name of each type that is in the list.
fn name_types(context: &Context<'_>, all: &mut [Listed], warnings: &mut Warnings) {
    let mut known: BTreeMap<(&ParentId, &TypeId), Option<Arc<str>>> = BTreeMap::new();
    let mut names = Vec::with_capacity(all.len());
    for Listed {
        parent, type_id, ..
    } in all.iter()
    {
        let ask = || context.kernel.type_name(parent, type_id, warnings);
        names.push(known.entry((parent, type_id)).or_insert_with(ask).clone());
    }
    for (one, name) in all.iter_mut().zip(names) {
        one.type_name = name;
    }
}

fn why_empty(request: &ListRequest) -> String {
    let what = match request.which {
        Which::All => "no active or defined devices",
        Which::Active => "no active devices",
        Which::Defined => "no defined devices",
    };
    match (&request.parent, &request.type_name) {
        (None, None) => format!("{what}; create one with: vgpuctl create --type TYPE"),
        _ => format!("{what} match; see all: vgpuctl list"),
    }
}
