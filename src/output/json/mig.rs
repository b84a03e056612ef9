//! GPUs that have MIG.

use schemars::JsonSchema;
use serde::Serialize;

use super::each;
use crate::model::{Device, Slot};
use crate::ops;

/// The answer of `mig`.
#[derive(Serialize, JsonSchema)]
pub struct Mig<'a> {
    /// The GPUs that have MIG.
    pub gpus: Vec<MigGpu<'a>>,
}

/// A GPU that has MIG.
#[derive(Serialize, JsonSchema)]
pub struct MigGpu<'a> {
    /// Its address.
    gpu: &'a str,
    /// MIG mode now: `enabled` or `disabled`.
    mode: &'a str,
    /// MIG mode after the next reset of the GPU or reboot.
    pending_mode: &'a str,
    /// Its GPU instance profiles; older drivers list none while MIG mode is disabled.
    profiles: Vec<Profile<'a>>,
    /// Its GPU instances.
    gpu_instances: Vec<GpuInstance<'a>>,
}

/// A GPU instance profile.
#[derive(Serialize, JsonSchema)]
struct Profile<'a> {
    /// Its name, such as 3g.40gb.
    profile: &'a str,
    /// Its number, as `nvidia-smi mig -cgi` accepts it.
    profile_id: u32,
    /// How many more of its instances can be created now.
    free: u32,
    /// How many fit on an empty GPU.
    total: u32,
    /// Memory of one instance.
    memory_mib: u64,
    /// Streaming multiprocessors of one instance.
    multiprocessors: u32,
    /// Copy engines of one instance.
    copy_engines: u32,
    /// Video decoders of one instance.
    decoders: u32,
    /// Video encoders of one instance.
    encoders: u32,
    /// JPEG decoders of one instance.
    jpeg_decoders: u32,
    /// Optical flow accelerators of one instance.
    optical_flow_accelerators: u32,
    /// The memory slices at which an instance may start, whether free or not; null where the driver does not say.
    placement_starts: Option<&'a [u32]>,
    /// How many memory slices an instance takes.
    placement_size: Option<u32>,
}

/// A GPU instance.
#[derive(Serialize, JsonSchema)]
pub struct GpuInstance<'a> {
    /// Its number on its GPU, as a virtual function tells it in `nvidia/gpu_instance_id`.
    gpu_instance_id: u32,
    /// The name of its profile.
    profile: &'a str,
    /// The number of its profile.
    profile_id: u32,
    /// The memory slice at which it starts.
    placement_start: u32,
    /// How many memory slices it takes.
    placement_size: u32,
    /// The vGPUs on it; several only where the driver time-slices GPU instances.
    vgpus: Vec<Vgpu<'a>>,
}

/// A vGPU on a GPU instance.
#[derive(Serialize, JsonSchema)]
struct Vgpu<'a> {
    /// Its UUID; null where another program created it.
    uuid: Option<String>,
    /// Its virtual function; null for a mediated device.
    vf: Option<&'a str>,
    /// Its type.
    r#type: &'a str,
}

impl<'a> From<&'a ops::MigGpu> for MigGpu<'a> {
    fn from(gpu: &'a ops::MigGpu) -> Self {
        MigGpu {
            gpu: gpu.gpu.as_str(),
            mode: gpu.current.as_str(),
            pending_mode: gpu.pending.as_str(),
            profiles: each(&gpu.profiles),
            gpu_instances: each(&gpu.instances),
        }
    }
}

impl<'a> From<&'a ops::MigProfile> for Profile<'a> {
    fn from(one: &'a ops::MigProfile) -> Self {
        let profile = &one.profile;
        let placements = one.placements.as_ref();
        Profile {
            profile: &profile.name,
            profile_id: profile.id,
            free: profile.free,
            total: profile.total,
            memory_mib: profile.memory_mib,
            multiprocessors: profile.multiprocessors,
            copy_engines: profile.engines.copy,
            decoders: profile.engines.decoders,
            encoders: profile.engines.encoders,
            jpeg_decoders: profile.engines.jpeg,
            optical_flow_accelerators: profile.engines.optical_flow,
            placement_starts: placements.map(|one| one.starts.as_slice()),
            placement_size: placements.map(|one| one.size),
        }
    }
}

impl<'a> From<&'a ops::MigInstance> for GpuInstance<'a> {
    fn from(one: &'a ops::MigInstance) -> Self {
        let instance = &one.instance;
        GpuInstance {
            gpu_instance_id: instance.id,
            profile: &instance.profile_name,
            profile_id: instance.profile,
            placement_start: instance.start,
            placement_size: instance.size,
            vgpus: each(&one.devices),
        }
    }
}

impl<'a> From<&'a Device> for Vgpu<'a> {
    fn from(device: &'a Device) -> Self {
        let is_ours = !matches!(device.slot, Slot::ForeignVf(_));
        Vgpu {
            uuid: is_ours.then(|| device.uuid.to_string()),
            vf: device.vf().map(|vf| vf.as_str()),
            r#type: device.type_id.as_str(),
        }
    }
}
