//! Creates the directories, links and files of a host in `/sys` and `/dev`.

use crate::ap;

use crate::hostfile::{Flavour, HostFile, ParentSpec};
use crate::state::Device;
use crate::tree::{Attr, Tree};
use crate::vf;

/// IOMMU groups below this one belong to the parents.
pub fn first_group(spec: &HostFile) -> u32 {
    spec.parents.len() as u32 + 10
}

/// The tree before any driver registers a parent.
pub fn base(sys: &mut Tree, dev: &mut Tree, spec: &HostFile) {
    for dir in [
        "bus/pci/devices",
        "bus/pci/drivers",
        "devices",
        "class",
        "module",
        "kernel",
    ] {
        sys.lasting_dir(dir);
    }
    sys.lasting_dir("kernel/iommu_groups");
    sys.text("module/vfio/refcnt", "0");
    if spec.mdev {
        for dir in [
            "class/mdev_bus",
            "bus/mdev/devices",
            "bus/mdev/drivers",
            "module/mdev",
        ] {
            sys.lasting_dir(dir);
        }
    }
    dev.lasting_dir("vfio/devices");
    dev.file("vfio/vfio", 0o666, Attr::Container);
    for (group, parent) in spec.parents.iter().enumerate() {
        if let Some((above, _)) = parent.path.rsplit_once('/') {
            sys.lasting_dir(above);
        }
        pci_function(sys, parent, group as u32);
        sriov_files(sys, parent);
    }
}

/// The additional files of a GPU with VFs.
fn sriov_files(sys: &mut Tree, pf: &ParentSpec) {
    let Some(sriov) = &pf.sriov else { return };
    let path = &pf.path;
    let device = pf.pci.map_or(0, |pci| pci.device);
    for (name, value) in [
        ("sriov_totalvfs", sriov.total.to_string()),
        ("sriov_offset", "4".to_owned()),
        ("sriov_stride", "1".to_owned()),
        ("sriov_vf_device", format!("{device:x}")),
    ] {
        sys.text(&format!("{path}/{name}"), &value);
    }
    sys.file(
        &format!("{path}/sriov_numvfs"),
        0o644,
        Attr::NumVfs(pf.id.clone()),
    );
    let autoprobe = Attr::Text("1\n".to_owned());
    sys.file(&format!("{path}/sriov_drivers_autoprobe"), 0o644, autoprobe);
}

/// VF `n` of a PF, without a driver.
pub fn vf(sys: &mut Tree, pf: &ParentSpec, vf: &ParentSpec, n: u16, group: u32) {
    pci_function(sys, vf, group);
    sys.link(&format!("{}/virtfn{n}", pf.path), &vf.path);
    sys.link(&format!("{}/physfn", vf.path), &pf.path);
}

/// Removes VF `n`, with its driver links.
pub fn vf_gone(sys: &mut Tree, vf: &ParentSpec, n: usize) {
    if let Some((slot, _)) = vf.path.rsplit_once('/') {
        sys.remove(&format!("{slot}/{}/virtfn{n}", vf.gpu()));
    }
    sys.remove(&format!("class/mdev_bus/{}", vf.id));
    sys.remove(&format!("{}/{}", driver_dir(vf), vf.id));
    sys.remove(&format!("bus/pci/devices/{}", vf.id));
    let group = sys.target(&format!("{}/iommu_group", vf.path));
    sys.remove(&vf.path);
    if let Some(number) = group.and_then(|g| g.rsplit('/').next().map(str::to_owned)) {
        sys.remove(&format!("kernel/iommu_groups/{number}"));
    }
}

/// The vendor driver registers the VF as a VFIO device.
pub fn vendor_vf(sys: &mut Tree, dev: &mut Tree, vf: &ParentSpec, group: u32) {
    bind(sys, vf);
    for (name, mode, file) in vf::FILES {
        let attr = Attr::Vf(vf.id.clone(), file);
        sys.file(&format!("{}/nvidia/{name}", vf.path), mode, attr);
    }
    let device = format!("{}/vfio-dev/vfio{group}/dev", vf.path);
    sys.text(&device, &format!("511:{group}"));
    let own = || vf.id.clone();
    dev.file(&format!("vfio/{group}"), 0o600, Attr::Group(own()));
    let cdev = format!("vfio/devices/vfio{group}");
    dev.file(&cdev, 0o600, Attr::Cdev(own()));
}

/// Removes its nodes in `/dev`.
pub fn vendor_vf_gone(dev: &mut Tree, group: u32) {
    dev.remove(&format!("vfio/{group}"));
    dev.remove(&format!("vfio/devices/vfio{group}"));
}

/// The PCI function of the parent, which exists independently of its driver.
fn pci_function(sys: &mut Tree, parent: &ParentSpec, group: u32) {
    let Some(pci) = parent.pci else { return };
    let path = &parent.path;
    for (name, value) in [
        ("vendor", pci.vendor),
        ("device", pci.device),
        ("subsystem_vendor", pci.subsystem_vendor),
        ("subsystem_device", pci.subsystem_device),
    ] {
        sys.text(&format!("{path}/{name}"), &format!("{value:#06x}"));
    }
    sys.text(&format!("{path}/class"), &format!("{:#08x}", pci.class));
    sys.text(&format!("{path}/modalias"), &pci.modalias());
    let uevent = format!(
        "DRIVER={}\nPCI_CLASS={:X}\nPCI_ID={:04X}:{:04X}\nPCI_SUBSYS_ID={:04X}:{:04X}\n\
         PCI_SLOT_NAME={}\nMODALIAS={}\n",
        parent.driver,
        pci.class,
        pci.vendor,
        pci.device,
        pci.subsystem_vendor,
        pci.subsystem_device,
        parent.id,
        pci.modalias()
    );
    sys.file(&format!("{path}/uevent"), 0o644, Attr::Text(uevent));
    sys.file(
        &format!("{path}/numa_node"),
        0o644,
        Attr::Text("-1\n".to_owned()),
    );
    sys.link(&format!("{path}/subsystem"), "bus/pci");
    sys.link(&format!("bus/pci/devices/{}", parent.id), path);
    iommu_group(sys, group, &parent.id, path);
}

fn iommu_group(sys: &mut Tree, group: u32, id: &str, path: &str) {
    let dir = format!("kernel/iommu_groups/{group}");
    sys.text(&format!("{dir}/type"), "DMA");
    sys.link(&format!("{dir}/devices/{id}"), path);
    sys.link(&format!("{path}/iommu_group"), &dir);
}

fn driver_dir(parent: &ParentSpec) -> String {
    match (parent.pci, parent.flavour) {
        (Some(_), _) => format!("bus/pci/drivers/{}", parent.driver),
        (None, Flavour::ApMatrix) => format!("bus/matrix/drivers/{}", parent.driver),
        (None, _) => format!("bus/platform/drivers/{}", parent.driver),
    }
}

fn mdev_driver(parent: &ParentSpec) -> String {
    match (parent.flavour, parent.driver.as_str()) {
        (Flavour::Nvidia, _) => "nvidia-vgpu-vfio".to_owned(),
        (Flavour::ApMatrix, _) => "vfio_ap_mdev".to_owned(),
        (Flavour::Plain, "i915") => "intel_vgpu_mdev".to_owned(),
        (Flavour::Plain, driver) => format!("{driver}-mdev"),
    }
}

/// Binds the function to the driver.
fn bind(sys: &mut Tree, parent: &ParentSpec) {
    let path = &parent.path;
    sys.dir(path);
    let driver = driver_dir(parent);
    sys.dir(&driver);
    sys.dir(&format!("module/{}", parent.driver));
    driver_files(sys, parent, &parent.driver);
    sys.link(&format!("{path}/driver"), &driver);
    sys.link(&format!("{driver}/{}", parent.id), path);
}

/// The `bind` and `unbind` files of a PCI driver.
fn driver_files(sys: &mut Tree, parent: &ParentSpec, driver: &str) {
    if parent.pci.is_none() {
        return;
    }
    let files = [
        ("bind", Attr::Bind(driver.to_owned())),
        ("unbind", Attr::Unbind(driver.to_owned())),
    ];
    for (name, attr) in files {
        let path = format!("bus/pci/drivers/{driver}/{name}");
        if !sys.holds(&path) {
            sys.file(&path, 0o200, attr);
        }
    }
}

/// Binds the function to another driver.
pub fn take(sys: &mut Tree, parent: &ParentSpec, driver: &str) {
    let dir = format!("bus/pci/drivers/{driver}");
    sys.dir(&dir);
    driver_files(sys, parent, driver);
    sys.link(&format!("{}/driver", parent.path), &dir);
    sys.link(&format!("{dir}/{}", parent.id), &parent.path);
}

/// Unbinds it.
pub fn untake(sys: &mut Tree, parent: &ParentSpec, driver: &str) {
    sys.remove(&format!("{}/driver", parent.path));
    sys.remove(&format!("bus/pci/drivers/{driver}/{}", parent.id));
}

/// The parent's driver registers it; a GPU with VFs, and one that is not a parent, is only bound.
pub fn attach(sys: &mut Tree, parent: &ParentSpec) {
    bind(sys, parent);
    if parent.sriov.is_some() || !parent.registers {
        return;
    }
    let path = &parent.path;
    let driver = driver_dir(parent);
    sys.dir(&format!("bus/mdev/drivers/{}", mdev_driver(parent)));
    sys.link(&format!("class/mdev_bus/{}", parent.id), path);
    if parent.pci.is_none() {
        sys.file(&format!("{path}/uevent"), 0o644, Attr::Text(String::new()));
        if let Some((bus, _)) = driver.split_once("/drivers/") {
            sys.link(&format!("{path}/subsystem"), bus);
        }
    }
    if parent.supported_types {
        for spec in &parent.types {
            let dir = types_path(parent, &spec.id);
            let names = || (parent.id.clone(), spec.id.clone());
            let (p, t) = names();
            sys.file(
                &format!("{dir}/available_instances"),
                0o444,
                Attr::Available(p, t),
            );
            let (p, t) = names();
            sys.file(&format!("{dir}/create"), 0o200, Attr::Create(p, t));
            sys.text(&format!("{dir}/device_api"), &spec.device_api);
            sys.dir(&format!("{dir}/devices"));
            if let Some(name) = &spec.name {
                sys.text(&format!("{dir}/name"), name);
            }
            if let Some(description) = &spec.description {
                sys.text(&format!("{dir}/description"), description);
            }
        }
    }
}

/// The parent's driver unregisters it; a PCI function remains.
pub fn detach(sys: &mut Tree, parent: &ParentSpec) {
    sys.remove(&format!("class/mdev_bus/{}", parent.id));
    sys.remove(&format!("{}/{}", driver_dir(parent), parent.id));
    if parent.pci.is_some() {
        sys.remove(&format!("{}/mdev_supported_types", parent.path));
        sys.remove(&format!("{}/driver", parent.path));
    } else {
        sys.remove(&parent.path);
    }
}

fn types_path(parent: &ParentSpec, type_id: &str) -> String {
    format!("{}/mdev_supported_types/{type_id}", parent.path)
}

/// The first step of a create: the device is on the bus, without its `mdev_type`.
pub fn device(sys: &mut Tree, dev: &mut Tree, parent: &ParentSpec, uuid: &str, d: &Device) {
    let path = format!("{}/{uuid}", parent.path);
    sys.file(
        &format!("{path}/remove"),
        0o200,
        Attr::Remove(uuid.to_owned()),
    );
    let driver = format!("bus/mdev/drivers/{}", mdev_driver(parent));
    let uevent = format!("DRIVER={}\n", mdev_driver(parent));
    sys.file(&format!("{path}/uevent"), 0o644, Attr::Text(uevent));
    sys.link(&format!("{path}/driver"), &driver);
    sys.link(&format!("{path}/subsystem"), "bus/mdev");
    sys.link(&format!("{driver}/{uuid}"), &path);
    sys.link(&format!("bus/mdev/devices/{uuid}"), &path);
    iommu_group(sys, d.group, uuid, &path);
    sys.text(
        &format!("{path}/vfio-dev/vfio{}/dev", d.vfio),
        &format!("511:{}", d.vfio),
    );
    vendor_attributes(sys, parent.flavour, &path, uuid);
    dev.file(
        &format!("vfio/{}", d.group),
        0o600,
        Attr::Group(uuid.to_owned()),
    );
    dev.file(
        &format!("vfio/devices/vfio{}", d.vfio),
        0o600,
        Attr::Cdev(uuid.to_owned()),
    );
}

fn vendor_attributes(sys: &mut Tree, flavour: Flavour, path: &str, uuid: &str) {
    let own = || uuid.to_owned();
    match flavour {
        Flavour::Nvidia => {
            sys.file(
                &format!("{path}/nvidia/vgpu_params"),
                0o644,
                Attr::Params(own()),
            );
        }
        Flavour::ApMatrix => {
            for (name, change) in ap::FILES {
                sys.file(
                    &format!("{path}/{name}"),
                    0o200,
                    Attr::Assign(own(), change),
                );
            }
            sys.file(&format!("{path}/matrix"), 0o444, Attr::Matrix(own()));
            sys.file(
                &format!("{path}/control_domains"),
                0o444,
                Attr::ControlDomains(own()),
            );
        }
        Flavour::Plain => {}
    }
}

/// The last step of a create: adds the links between a device and its type.
pub fn whole(sys: &mut Tree, parent: &ParentSpec, uuid: &str, d: &Device) {
    let path = format!("{}/{uuid}", parent.path);
    let type_path = types_path(parent, &d.type_id);
    sys.link(&format!("{path}/mdev_type"), &type_path);
    sys.link(&format!("{type_path}/devices/{uuid}"), &path);
}

/// The first step of a remove: removes the device from the bus and its type, but keeps the directory.
pub fn unlink(sys: &mut Tree, parent: &ParentSpec, uuid: &str, d: &Device) {
    let path = format!("{}/{uuid}", parent.path);
    sys.remove(&format!("{path}/remove"));
    sys.remove(&format!("{path}/mdev_type"));
    sys.remove(&format!(
        "{}/devices/{uuid}",
        types_path(parent, &d.type_id)
    ));
    sys.remove(&format!("bus/mdev/devices/{uuid}"));
}

/// The last step of a remove: removes the directory.
pub fn gone(sys: &mut Tree, dev: &mut Tree, parent: &ParentSpec, uuid: &str, d: &Device) {
    sys.remove(&format!("{}/{uuid}", parent.path));
    sys.remove(&format!("bus/mdev/drivers/{}/{uuid}", mdev_driver(parent)));
    sys.remove(&format!("kernel/iommu_groups/{}", d.group));
    dev.remove(&format!("vfio/{}", d.group));
    dev.remove(&format!("vfio/devices/vfio{}", d.vfio));
}
