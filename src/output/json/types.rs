//! Types.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{model, ops};

/// The answer of `types`.
#[derive(Serialize, JsonSchema)]
pub struct Types<'a> {
    /// The parents. A GPU whose virtual functions are the parents is one.
    pub parents: Vec<Parent<'a>>,
}

/// A parent and its types.
#[derive(Serialize, JsonSchema)]
pub struct Parent<'a> {
    /// Its name.
    parent: &'a str,
    /// `mdev` (mediated devices) or `vfio` (virtual functions that take a type).
    framework: &'a str,
    /// Its virtual functions, where those are the parents.
    functions: Vec<&'a str>,
    /// Its types.
    types: Vec<Type<'a>>,
}

/// A type.
#[derive(Serialize, JsonSchema)]
pub struct Type<'a> {
    /// Its name in the kernel, such as nvidia-63.
    id: &'a str,
    /// What the driver calls it, such as "GRID P4-1Q".
    name: Option<&'a str>,
    /// The GPU, from the name of an NVIDIA type.
    gpu: Option<String>,
    /// Slices of the GPU, from the name of a MIG-backed type.
    slices: Option<u32>,
    /// The series, from the name of an NVIDIA type: `A`, `B`, `C`, `Q` or `gaming`.
    series: Option<&'a str>,
    /// What follows the series in the name.
    suffix: Option<&'a str>,
    /// What the series is made for.
    r#use: Option<&'a str>,
    /// The licence that a guest needs.
    licence: Option<&'a str>,
    /// The name under which that licence is sold today.
    licence_today: Option<&'a str>,
    /// Whether CUDA and OpenCL work.
    cuda: Option<bool>,
    /// Whether OpenGL is accelerated.
    opengl: Option<bool>,
    /// Framebuffer of an instance.
    framebuffer_mib: Option<u64>,
    /// Virtual displays of an instance.
    displays: Option<u32>,
    /// The frame rate limit, in frames a second.
    frame_limit: Option<u32>,
    /// The largest resolution, such as 5120x2880.
    resolution: Option<&'a str>,
    /// Instances that can be created now; null where the driver does not say.
    available: Option<u32>,
    /// Instances that can surely be created now.
    available_at_least: u32,
    /// Instances that fit on an idle GPU; of a MIG-backed type, the GPU instances of its profile that exist or can still
    /// be created beside the others.
    max_instances: Option<u32>,
    /// The interface of an instance, such as vfio-pci.
    device_api: Option<&'a str>,
    /// The driver's description.
    description: Option<&'a str>,
}

impl<'a> From<&'a ops::ParentTypes> for Parent<'a> {
    fn from(parent: &'a ops::ParentTypes) -> Self {
        let of_parent = |vgpu_type: &'a model::VgpuType| {
            let told = Type::from(vgpu_type);
            let counted = parent.most.get(&vgpu_type.id).copied();
            Type {
                max_instances: counted.or(told.max_instances),
                ..told
            }
        };
        Parent {
            parent: parent.parent.id.as_str(),
            framework: parent.parent.framework.as_str(),
            functions: parent.functions.iter().map(|vf| vf.as_str()).collect(),
            types: parent.types.iter().map(of_parent).collect(),
        }
    }
}

impl<'a> From<&'a model::VgpuType> for Type<'a> {
    fn from(vgpu_type: &'a model::VgpuType) -> Self {
        let details = vgpu_type.details();
        let details = details.as_ref();
        let name = vgpu_type.name_parts();
        let name = name.as_ref();
        let series = name.map(|n| n.series);
        Type {
            id: vgpu_type.id.as_str(),
            name: vgpu_type.name.as_deref(),
            gpu: name.map(|n| n.gpu.clone()),
            slices: name.and_then(|n| n.slices),
            series: series.map(|s| s.name()),
            suffix: name.and_then(|n| n.suffix),
            r#use: series.map(|s| s.purpose()),
            licence: series.map(|s| s.licence()),
            licence_today: series.map(|s| s.licence_today().unwrap_or(s.licence())),
            cuda: name.and_then(|n| n.cuda()),
            opengl: series.and_then(|s| s.opengl()),
            framebuffer_mib: vgpu_type.framebuffer_mib(),
            displays: details.map(|d| d.displays),
            frame_limit: details.map(|d| d.frame_limit),
            resolution: details.map(|d| d.resolution),
            available: vgpu_type.available,
            available_at_least: vgpu_type.at_least,
            max_instances: details.map(|d| d.max_instances),
            device_api: vgpu_type.device_api.as_deref(),
            description: vgpu_type.description.as_deref(),
        }
    }
}
