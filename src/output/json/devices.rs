//! Devices and definitions, all of them and one.

use std::borrow::Cow;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::each;
use super::types::Type;
use crate::model::{self, ParentId, StartMode};
use crate::nvidia::params;
use crate::ops;
use crate::store::Owner;

/// The answer of `list` and `request list`.
#[derive(Serialize, JsonSchema)]
pub struct List<'a> {
    /// The devices and definitions.
    pub devices: Vec<Device<'a>>,
    /// `request list` only: the blocks of the policy that are about the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<Allowed<'a>>>,
}

/// A device or definition.
#[derive(Serialize, JsonSchema)]
pub struct Device<'a> {
    /// Its UUID; null for a vGPU that another program created on a virtual function.
    uuid: Option<String>,
    /// Its parent.
    parent: &'a str,
    /// Its virtual function: while it is inactive, the one that its definition names.
    vf: Option<&'a str>,
    /// The type's id.
    r#type: &'a str,
    /// The type's name.
    type_name: Option<&'a str>,
    /// Whether it exists in the kernel; null where that is not known.
    active: Option<bool>,
    /// `auto` or `manual`; null without a definition.
    start: Option<&'a str>,
}

/// A block of the policy.
#[derive(Serialize, JsonSchema)]
pub struct Allowed<'a> {
    /// The types that it allows.
    types: &'a [String],
    /// The parents that it allows; null for any.
    parents: Option<Vec<&'a str>>,
    /// How many vGPUs the user may have.
    devices: u32,
    /// How many of the user's vGPUs it covers.
    used: u32,
    /// Whether they may be started at boot.
    at_boot: bool,
}

/// The answer of `show`.
#[derive(Serialize, JsonSchema)]
pub struct Show<'a> {
    /// The device or definition.
    pub device: Shown<'a>,
}

/// All about one device or definition.
#[derive(Serialize, JsonSchema)]
pub struct Shown<'a> {
    /// Its UUID; null for a vGPU that another program created on a virtual function.
    uuid: Option<String>,
    /// Its parent.
    parent: &'a str,
    /// Its virtual function: while it is inactive, the one that its definition names.
    vf: Option<&'a str>,
    /// The type's id.
    r#type: Option<&'a str>,
    /// The type, while the parent offers it.
    type_details: Option<Type<'a>>,
    /// Whether it exists in the kernel.
    active: bool,
    /// `auto` or `manual`; null without a definition.
    start: Option<&'a str>,
    /// The number of the user whose vGPU it is, by `request`; null for root's.
    owner: Option<u32>,
    /// Attributes of the definition.
    attrs: Vec<Attr<'a>>,
    /// Parameters of the definition.
    params: Vec<Param<'a>>,
    /// The parameters that the driver has now.
    params_now: Option<Vec<Param<'a>>>,
    /// The file of the definition.
    definition: Option<Cow<'a, str>>,
    /// Other parents under which the UUID is defined.
    also_defined_on: Vec<&'a str>,
    /// The device's directory in sysfs.
    sysfs: Option<Cow<'a, str>>,
    /// The number of its IOMMU group.
    iommu_group: Option<&'a str>,
    /// The group's file in /dev/vfio.
    vfio_group: Option<Cow<'a, str>>,
    /// The device's file in /dev/vfio/devices.
    vfio_device: Option<Cow<'a, str>>,
    /// The processes that have it open; null while it is inactive.
    holders: Option<Vec<Holder<'a>>>,
    /// Whether all processes could be looked at; false where other users' could not.
    holders_complete: Option<bool>,
}

/// An attribute.
#[derive(Serialize, JsonSchema)]
pub struct Attr<'a> {
    /// Its name.
    name: &'a str,
    /// The value that is written.
    value: &'a str,
}

/// A parameter.
#[derive(Serialize, JsonSchema)]
struct Param<'a> {
    /// Its name.
    name: &'a str,
    /// Its value.
    value: Option<&'a str>,
}

/// A process that has a device open.
#[derive(Serialize, JsonSchema)]
pub struct Holder<'a> {
    /// The process id.
    pid: i32,
    /// The command's name.
    command: &'a str,
    /// The virtual machine's name.
    vm: Option<&'a str>,
}

impl<'a> From<&'a ops::Listed> for Device<'a> {
    fn from(device: &'a ops::Listed) -> Self {
        Device {
            uuid: device.known_uuid().map(|uuid| uuid.to_string()),
            parent: device.parent.as_str(),
            vf: device.vf().map(ParentId::as_str),
            r#type: device.type_id.as_str(),
            type_name: device.type_name.as_deref(),
            active: device.active,
            start: device.start.map(StartMode::as_str),
        }
    }
}

impl<'a> From<&'a ops::Grant> for Allowed<'a> {
    fn from(grant: &'a ops::Grant) -> Self {
        let parents = grant.quota.parents.as_ref();
        Allowed {
            types: &grant.quota.types,
            parents: parents.map(|parents| parents.iter().map(ParentId::as_str).collect()),
            devices: grant.quota.devices,
            used: grant.used,
            at_boot: grant.quota.at_boot,
        }
    }
}

impl<'a> From<&'a ops::Shown> for Shown<'a> {
    fn from(shown: &'a ops::Shown) -> Self {
        let running = shown.running.as_ref();
        let nodes = running.map(|running| &running.nodes);
        let holders = running.map(|running| &running.holders);
        let definition = shown.definition.as_ref();
        Shown {
            uuid: shown.known_uuid().map(|uuid| uuid.to_string()),
            parent: shown.at.parent.as_str(),
            vf: shown.vf().map(ParentId::as_str),
            r#type: shown.type_id.as_ref().map(|id| id.as_str()),
            type_details: shown.vgpu_type.as_ref().map(Type::from),
            active: running.is_some(),
            start: definition.map(|d| d.start.as_str()),
            owner: definition.and_then(Owner::of).map(|Owner(user)| user),
            attrs: definition.map_or(Vec::new(), |d| each(&d.attrs)),
            params: each(shown.params.list()),
            params_now: shown.params_now.as_ref().map(|now| each(now.list())),
            definition: shown.definition_path.as_deref().map(Path::to_string_lossy),
            also_defined_on: shown.also_defined_on.iter().map(ParentId::as_str).collect(),
            sysfs: nodes.map(|nodes| nodes.sysfs.to_string_lossy()),
            iommu_group: nodes.and_then(|nodes| nodes.iommu_group.as_deref()),
            vfio_group: nodes.and_then(|nodes| Some(nodes.group.as_deref()?.to_string_lossy())),
            vfio_device: nodes.and_then(|nodes| Some(nodes.device.as_deref()?.to_string_lossy())),
            holders: holders.map(|holders| each(&holders.found)),
            holders_complete: holders.map(|holders| holders.complete),
        }
    }
}

impl<'a> From<&'a model::Attr> for Attr<'a> {
    fn from(attr: &'a model::Attr) -> Self {
        Attr {
            name: attr.name.as_str(),
            value: &attr.value,
        }
    }
}

impl<'a> From<&'a params::Param> for Param<'a> {
    fn from(param: &'a params::Param) -> Self {
        Param {
            name: &param.name,
            value: param.value.as_deref(),
        }
    }
}

impl<'a> From<&'a model::Holder> for Holder<'a> {
    fn from(holder: &'a model::Holder) -> Self {
        Holder {
            pid: holder.pid,
            command: &holder.command,
            vm: holder.vm.as_deref(),
        }
    }
}
