//! Making a device out of what a definition says.

use super::callouts::around;
use crate::error::{Error, Kind, Result};
use crate::model::{Definition, Device, Parent};
use crate::ops::params::write_attr;
use crate::ops::{Action, Context};
use crate::store::Lock;

/// Makes the device and writes its attributes. Where one fails, the device is taken back. Killed in
/// between, it leaves the device marked as unfinished. Call it with the parent's lock.
///
/// # Errors
/// What the kernel answered, and what came of taking the device back. A driver that refuses and
/// has nothing free (NVIDIA's answers EIO then) means [`Kind::NoCapacity`].
pub fn make(context: &Context<'_>, lock: &Lock, parent: &Parent, what: &Definition) -> Result<()> {
    around(context, what, Action::Start, || {
        make_marked(context, lock, parent, what)
    })
}

fn make_marked(
    context: &Context<'_>,
    lock: &Lock,
    parent: &Parent,
    what: &Definition,
) -> Result<()> {
    if what.attrs.is_empty() {
        return make_bare(context, parent, what).map(|_| ());
    }
    context.store.begin(lock, &what.parent, what.uuid)?;
    let made = make_bare(context, parent, what);
    match made.and_then(|device| set_attrs(context, &device, what)) {
        // A device that could not be taken back stays marked.
        Err(error) if error.clean_up().is_some() => Err(error.hint(format!(
            "the device is still there, without its attributes: vgpuctl remove {}",
            what.uuid
        ))),
        Err(error) => Err(error.and_clean_up(context.store.finish(lock, what.uuid))),
        Ok(()) => context.store.finish(lock, what.uuid),
    }
}

fn make_bare(context: &Context<'_>, parent: &Parent, what: &Definition) -> Result<Device> {
    let framework = context.kernel.serving(parent);
    framework
        .create(&parent.id, &what.type_id, what.uuid)
        .map_err(|error| judge(context, parent, what, error))
}

fn set_attrs(context: &Context<'_>, device: &Device, what: &Definition) -> Result<()> {
    let framework = context.kernel.owning(device);
    for attr in &what.attrs {
        if let Err(error) = write_attr(context, device, attr) {
            return Err(error.and_clean_up(framework.remove(device)));
        }
    }
    Ok(())
}

fn judge(context: &Context<'_>, parent: &Parent, what: &Definition, error: Error) -> Error {
    let framework = context.kernel.serving(parent);
    let mut unrelated = Vec::new();
    let now = framework.vgpu_type(&parent.id, &what.type_id, &mut unrelated);
    match now {
        Ok(found) if error.kind() == Kind::Failed && found.available == Some(0) => {
            error.with_kind(Kind::NoCapacity)
        }
        _ => error,
    }
}
