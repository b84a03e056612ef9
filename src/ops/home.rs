//! For which framework a new definition is, which decides where it is kept: mdevctl and libvirt take
//! whatever lies in mdevctl's place for a mediated device.

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::model::{FrameworkKind, Parent, ParentId};
use crate::sysfs::SriovGpu;

/// What a definition under this name is made on. What is not there is taken for a parent of mediated
/// devices, as mdevctl does, unless it is a GPU of NVIDIA's whose virtual functions are off, or may
/// be one of those functions.
///
/// # Errors
/// [`Kind::Usage`] where one of the GPU's functions has to be named, or where it is not known what
/// the functions will be once they are on.
pub fn home_of(context: &Context<'_>, name: &ParentId) -> Result<Parent> {
    match context.kernel.parent(name, &mut Vec::new()) {
        Err(error) if error.kind() == Kind::NotFound => {}
        result => return result,
    }
    let Some(gpu) = switched_off(context, name) else {
        return Ok(whole(name, FrameworkKind::Mdev));
    };
    let on_functions = Parent {
        gpu: (gpu != *name).then(|| gpu.clone()),
        ..whole(name, FrameworkKind::Vfio)
    };
    if context.store.keeps(FrameworkKind::Vfio, &gpu) || !context.kernel.has_mediated_devices() {
        return Ok(on_functions);
    }
    if context.store.keeps(FrameworkKind::Mdev, name) {
        return Ok(whole(name, FrameworkKind::Mdev));
    }
    Err(Error::new(
        Kind::Usage,
        format!(
            "cannot tell what {name} will offer: the virtual functions of {gpu} are off, and this \
             host also has mediated devices"
        ),
    )
    .hint(format!("switch them on first: vgpuctl vfs enable {gpu}")))
}

fn whole(name: &ParentId, framework: FrameworkKind) -> Parent {
    Parent {
        id: name.clone(),
        framework,
        gpu: None,
    }
}

/// The GPU whose functions are off and which has that name, or whose function would have it: those
/// share its bus.
pub fn switched_off(context: &Context<'_>, name: &ParentId) -> Option<ParentId> {
    let gpus = context.kernel.sriov_gpus(&mut Vec::new()).ok()?;
    let mut off = gpus.into_iter().filter(|gpu| gpu.functions.is_empty());
    let bus = |id: &ParentId| id.as_str().rsplit_once(':').map(|(bus, _)| bus.to_owned());
    let is_near = |gpu: &SriovGpu| name.is_pci_address() && bus(&gpu.gpu) == bus(name);
    off.find(|gpu| gpu.gpu == *name || is_near(gpu))
        .map(|gpu| gpu.gpu)
}
