//! `show`: all about one device.

use std::path::PathBuf;

use uuid::Uuid;

use super::params::{params_in, params_now};
use super::target::find;
use super::{Answer, Context, Selector};
use crate::error::{Kind, Result, Warnings, if_present, or_warn};
use crate::model::{Definition, Device, Nodes, ParentId, Slot, TypeId, VgpuType};
use crate::nvidia::params::Params;
use crate::store::Location;
use crate::sysfs::Holders;

/// Which device to tell about.
#[derive(Debug, Clone)]
pub struct ShowRequest {
    /// Which one.
    pub selector: Selector,
}

/// All about one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which device, under which parent.
    pub at: Location,
    /// Its type: the active device's, else the definition's.
    pub type_id: Option<TypeId>,
    /// What the parent tells of that type now.
    pub vgpu_type: Option<VgpuType>,
    /// What exists in the kernel.
    pub running: Option<Running>,
    /// The definition's path, where there is a definition.
    pub definition_path: Option<PathBuf>,
    /// The definition, where it can be read.
    pub definition: Option<Definition>,
    /// The vGPU parameters that the definition sets.
    pub params: Params,
    /// Those that the device has now; `None` where it does not run or takes none.
    pub params_now: Option<Params>,
    /// Other parents under which the same UUID is defined.
    pub also_defined_on: Vec<ParentId>,
}

impl Shown {
    /// The virtual function that it occupies or, while it is not active, must have.
    pub fn vf(&self) -> Option<&ParentId> {
        match (&self.running, &self.definition) {
            (Some(running), _) => running.device.vf(),
            (None, definition) => definition.as_ref()?.vf.as_ref(),
        }
    }

    /// Its UUID, unless it is somebody else's on a virtual function.
    pub fn known_uuid(&self) -> Option<Uuid> {
        let running = self.running.as_ref();
        match running.map(|running| &running.device.slot) {
            Some(Slot::ForeignVf(_)) => None,
            _ => Some(self.at.uuid),
        }
    }
}

/// What exists in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The device.
    pub device: Device,
    /// Where it stands and what is opened to use it.
    pub nodes: Nodes,
    /// Who has it open.
    pub holders: Holders,
}

/// Tells all about one device.
///
/// # Errors
/// It is neither active nor defined; more of the UUID, or a parent, is needed to tell which.
pub fn show(context: &Context<'_>, request: &ShowRequest) -> Result<Answer<Shown>> {
    let context = &context.snapshot();
    let target = find(context, &request.selector)?;
    let mut warnings = target.doubts.clone();
    let at = match &target.device {
        Some(device) => Location::of_device(device),
        None => target.only_definition(context)?.clone(),
    };
    let is_defined = target.defined.contains(&at);
    let definition = match is_defined.then(|| context.store.read(&at)) {
        Some(Ok(definition)) => Some(definition),
        // Also where it is a link that leads nowhere.
        Some(Err(error)) => {
            warnings.push(error);
            None
        }
        None => None,
    };
    let running = match target.device {
        Some(device) => look(context, device)?,
        None => None,
    };
    let params_now = match running.as_ref().map(|running| &running.device) {
        Some(device) => params_now(context, device).unwrap_or_else(|error| {
            warnings.push(error);
            None
        }),
        None => None,
    };
    let type_id = match (&running, &definition) {
        (Some(running), _) => Some(running.device.type_id.clone()),
        (None, Some(definition)) => Some(definition.type_id.clone()),
        (None, None) => None,
    };
    let vgpu_type = type_id
        .as_ref()
        .and_then(|id| type_now(context, &at.parent, id, &mut warnings));
    let params = params_in(definition.as_ref().map_or(&[], |d| &d.attrs));
    let mut notes = Vec::new();
    if definition.is_some() && params_now.as_ref().is_some_and(|now| *now != params) {
        let uuid = at.uuid;
        notes.push(format!(
            "its current parameters differ from its definition; to apply those of the definition: \
             vgpuctl stop {uuid}, then vgpuctl start {uuid}"
        ));
    }
    let others = target.defined.iter().filter(|other| **other != at);
    Ok(Answer {
        value: Shown {
            also_defined_on: others.map(|other| other.parent.clone()).collect(),
            definition_path: is_defined.then(|| context.store.path(&at)),
            at,
            params,
            params_now,
            type_id,
            vgpu_type,
            running,
            definition,
        },
        warnings,
        notes,
    })
}

/// What the parent tells of a type; nothing where one of the two is not there.
fn type_now(
    context: &Context<'_>,
    parent: &ParentId,
    id: &TypeId,
    warnings: &mut Warnings,
) -> Option<VgpuType> {
    // What is odd about other parents does not matter here.
    let found = context.kernel.parent(parent, &mut Vec::new());
    let vgpu_type = found.and_then(|parent| {
        let framework = context.kernel.serving(&parent);
        framework.vgpu_type(&parent.id, id, warnings)
    });
    match vgpu_type {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Usage) => None,
        result => or_warn(result, warnings),
    }
}

fn look(context: &Context<'_>, device: Device) -> Result<Option<Running>> {
    let framework = context.kernel.owning(&device);
    let Some(nodes) = if_present(framework.nodes(&device))? else {
        return Ok(None);
    };
    let holders = context.kernel.holders(&nodes)?;
    Ok(Some(Running {
        device,
        nodes,
        holders,
    }))
}
