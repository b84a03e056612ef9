//! Making a device out of what a definition says.

use uuid::Uuid;

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::model::{Attr, Device, Parent, TypeId};
use crate::store::Lock;

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Blueprint<'a> {
    /// Where.
    pub parent: &'a Parent,
    /// Of which type.
    pub type_id: &'a TypeId,
    /// Under which UUID.
    pub uuid: Uuid,
    /// What is written to it afterwards, in order.
    pub attrs: &'a [Attr],
}

/// Makes the device and writes its attributes. Where one fails, the device is taken back. Killed in
/// between, it leaves the device marked as unfinished. Call it with the parent's lock.
///
/// # Errors
/// What the kernel answered, and what came of taking the device back. A driver that refuses and
/// has nothing free (NVIDIA's answers EIO then) means [`Kind::NoCapacity`].
pub fn make(context: &Context<'_>, lock: &Lock, what: Blueprint<'_>) -> Result<()> {
    if what.attrs.is_empty() {
        return make_bare(context, what);
    }
    context.store.begin(lock, what.uuid)?;
    match make_bare(context, what).and_then(|()| set_attrs(context, what)) {
        // A device that could not be taken back stays marked.
        Err(error) if error.clean_up().is_some() => Err(error.hint(format!(
            "the device is still there, without its attributes: vgpuctl remove {}",
            what.uuid
        ))),
        Err(error) => Err(error.and_clean_up(context.store.finish(lock, what.uuid))),
        Ok(()) => context.store.finish(lock, what.uuid),
    }
}

fn make_bare(context: &Context<'_>, what: Blueprint<'_>) -> Result<()> {
    let framework = context.kernel.serving(what.parent);
    framework
        .create(&what.parent.id, what.type_id, what.uuid)
        .map_err(|error| judge(context, what, error))
}

fn set_attrs(context: &Context<'_>, what: Blueprint<'_>) -> Result<()> {
    let framework = context.kernel.serving(what.parent);
    let device = Device {
        uuid: what.uuid,
        parent: what.parent.id.clone(),
        type_id: what.type_id.clone(),
        framework: what.parent.framework,
    };
    for attr in what.attrs {
        if let Err(error) = framework.write_attr(&device, attr) {
            return Err(error.and_clean_up(framework.remove(&device)));
        }
    }
    Ok(())
}

fn judge(context: &Context<'_>, what: Blueprint<'_>, error: Error) -> Error {
    let framework = context.kernel.serving(what.parent);
    let mut unrelated = Vec::new();
    let now = framework.vgpu_type(&what.parent.id, what.type_id, &mut unrelated);
    match now {
        Ok(found) if error.kind() == Kind::Failed && found.available == Some(0) => {
            error.with_kind(Kind::NoCapacity)
        }
        _ => error,
    }
}
