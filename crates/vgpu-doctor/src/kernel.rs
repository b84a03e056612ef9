//! The kernel, and the modules that vGPUs need.

use super::facts::driver::branch;
use super::facts::kernel::Release;
use super::{Facts, Finding, remedies};

/// The last branch of drivers that needs patches for kernels from 5.10 on.
const LAST_OLD_BRANCH: u32 = 460;
const FIRST_PATCHED: (u32, u32) = (5, 10);
/// No driver of those branches worked with this one, patched or not.
const UNLUCKY: (u32, u32) = (5, 13);
/// From here on mediated devices need no module of their own to be opened.
const NO_VFIO_MDEV: (u32, u32) = (5, 14);

/// The kernel's version, and whether the driver was built for it.
pub fn kernel(facts: &Facts<'_>) -> Vec<Finding> {
    let path = facts.host.kernel_release();
    let Some(release) = &facts.release else {
        if !facts.is_for_vgpus() {
            return Vec::new();
        }
        let finding = Finding::unchecked("cannot read the kernel release");
        return finding.seen(path, "absent").into();
    };
    let system = facts.system.as_ref();
    let system = system.map_or(String::new(), |system| format!(" ({system})"));
    if !facts.cards().is_empty()
        && let Some(finding) = not_built(facts, release)
    {
        return finding.into();
    }
    if !facts.is_for_vgpus() {
        return Vec::new();
    }
    let old_driver = facts
        .driver
        .branch()
        .is_some_and(|branch| branch <= LAST_OLD_BRANCH);
    if release.number == UNLUCKY && old_driver {
        let message = format!(
            "kernel {} with a driver up to R460: vGPUs do not work on 5.13, patched or not",
            release.text
        );
        return Finding::warning(message)
            .seen(path, &release.text)
            .advise("use kernel 5.4, 5.10 or 5.11, or a newer driver")
            .into();
    }
    let message = format!("kernel {}{system}", release.text);
    Finding::ok(message).seen(path, &release.text).into()
}

/// A driver's source is there, and no module of it for the kernel that runs.
fn not_built(facts: &Facts<'_>, release: &Release) -> Option<Finding> {
    let source = facts.driver.sources.last()?;
    let on_disk = facts
        .on_disk
        .as_ref()
        .filter(|on_disk| !on_disk.has_nvidia)?;
    let modules = &on_disk.dir;
    let mut finding = Finding::problem(format!(
        "NVIDIA's driver {} is not built for the running kernel {}",
        source.version, release.text
    ))
    .seen(&source.dir, "present")
    .seen(
        modules,
        "no nvidia.ko in updates, extra or kernel/drivers/video",
    );
    let is_old = branch(&source.version).is_some_and(|branch| branch <= LAST_OLD_BRANCH);
    if is_old && release.number >= FIRST_PATCHED {
        return Some(finding.advise(
            "drivers up to R460 need patches to build on kernel 5.10 and newer: patch the source, \
             or boot a kernel before 5.10",
        ));
    }
    if !on_disk.has_headers {
        finding = finding
            .seen(modules.join("build"), "absent")
            .then([remedies::headers(facts.distro, &release.text)]);
    }
    Some(
        finding
            .run(format!(
                "dkms install nvidia/{} -k {}",
                source.version, release.text
            ))
            .advise(format!(
                "if that fails, see /var/lib/dkms/nvidia/{}/build/make.log",
                source.version
            )),
    )
}

/// The modules that vGPUs need beside NVIDIA's driver.
pub fn modules(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.candidates().is_empty() || facts.driver.module.is_none() || !facts.has_manager() {
        return Vec::new();
    }
    let list = facts.host.loaded_modules();
    let modules = match &facts.modules {
        Ok(Some(modules)) => modules,
        Ok(None) => {
            let finding = Finding::unchecked("cannot list kernel modules");
            return finding.seen(list, "absent").into();
        }
        Err(error) => return Finding::unreadable(error).into(),
    };
    let missing = |name: &str| !modules.has(name);
    let kernel = facts.release.as_ref().map(|release| release.number);
    let finding = if missing("nvidia_vgpu_vfio") {
        Finding::problem(
            "nvidia_vgpu_vfio is not loaded: NVIDIA's driver offers no vGPUs without it",
        )
        .seen(list, "no nvidia_vgpu_vfio")
        .run("modprobe nvidia-vgpu-vfio")
        .advise(
            "if there is no such module, the driver is not the vGPU manager, or was built without \
             it",
        )
    } else if kernel.is_some_and(|number| number < NO_VFIO_MDEV) && missing("vfio_mdev") {
        Finding::problem(
            "vfio_mdev is not loaded: on kernels before 5.14 vGPUs cannot be opened without it",
        )
        .seen(list, "no vfio_mdev")
        .run("modprobe vfio_mdev")
    } else if missing("vfio_iommu_type1") {
        Finding::warning("vfio_iommu_type1 is not loaded: VMs may not be able to open vGPUs")
            .seen(list, "no vfio_iommu_type1")
            .run("modprobe vfio_iommu_type1")
    } else {
        Finding::ok("nvidia_vgpu_vfio and VFIO are loaded")
            .seen(list, "nvidia_vgpu_vfio, vfio_iommu_type1")
    };
    finding.into()
}
