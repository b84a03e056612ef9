//! What a process opens in order to use a device.

use crate::dir::Dir;
use crate::error::{Result, if_present};
use crate::host::Host;
use crate::model::Nodes;

/// The nodes of the device whose directory in sysfs this is.
///
/// # Errors
/// What the kernel answered, with the path.
pub fn of(host: &Host, device: &Dir) -> Result<Nodes> {
    let iommu_group = device.link_name_if_any("iommu_group")?;
    let vfio_names = match if_present(device.open_dir("vfio-dev"))? {
        Some(mut vfio) => vfio.entries()?,
        None => Vec::new(),
    };
    Ok(Nodes {
        sysfs: device.path().to_owned(),
        group: iommu_group.as_ref().map(|g| host.vfio_group(g)),
        iommu_group,
        device: vfio_names
            .first()
            .and_then(|entry| entry.name.to_str())
            .map(|name| host.vfio_device(name)),
    })
}
