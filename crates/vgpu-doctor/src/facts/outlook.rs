//! What the program that starts devices expects of them. It is asked, and not worked out here.

use std::collections::BTreeMap;

use uuid::Uuid;

use nvidia_vgpu::params::Params;
use vgpu_host::error::Error;
use vgpu_host::model::ParentId;
use vgpu_host::store::Location;

/// What it says, as far as there is something to be said.
#[derive(Debug, Default)]
pub struct Outlook {
    /// Devices for which the next boot has no room on a GPU, and why.
    pub left_out: Vec<(ParentId, Uuid, Error)>,
    /// What else may fail for want of a GPU's memory.
    pub doubts: Vec<(ParentId, Error)>,
    /// The places that claim one UUID at boot, and what comes of it.
    pub rivals: Vec<(Vec<Location>, Error)>,
    /// What to do where definitions are for a parent that is gone, and its card may be elsewhere.
    pub moved: BTreeMap<ParentId, String>,
    /// The same of a GPU's settings.
    pub moved_settings: BTreeMap<ParentId, String>,
    /// What active devices run with, where their definitions say otherwise.
    pub other_params: Vec<(Location, Params)>,
    /// Another program switches virtual functions on at boot.
    pub switches_functions: bool,
}
