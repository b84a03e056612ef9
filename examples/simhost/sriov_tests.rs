//! GPUs with virtual functions, of both frameworks, on hosts without a mount.

use std::time::Duration;

use super::*;
use crate::hostfile;
use crate::sriov::SriovManage;
use crate::tree::ROOT;
use crate::vf::VfFile;

const PF: &str = "0000:41:00.0";
const VF0: &str = "0000:41:00.4";
const VF1: &str = "0000:41:00.5";
const LAST: &str = "0000:41:04.3";
const PATH: &str = "devices/pci0000:00/0000:00:01.0";

fn host(text: &str) -> Host {
    Host::new(hostfile::parse(text).unwrap())
}

fn repository(file: &str) -> Host {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hosts");
    Host::new(hostfile::read(&std::path::Path::new(folder).join(file)).unwrap())
}

/// An L40S with four VFs.
fn l40s() -> Host {
    host(
        "mdev = false\n[[parent]]\nid = \"0000:41:00.0\"\ncard = \"l40s\"\nvfs = 4\n\
         enabled_vfs = 4\nvf_framework = \"vendor\"\n",
    )
}

fn exists(host: &Host, path: &str) -> bool {
    let found = path
        .split('/')
        .try_fold(ROOT, |at, name| host.sys.child(at, name));
    found.is_some()
}

fn set(host: &mut Host, vf: &str, data: &str) -> Result<(), Errno> {
    match host.begin_set(vf, data.as_bytes())? {
        Some(ticket) => host.finish_set(&ticket),
        None => Ok(()),
    }
}

fn current(host: &Host, vf: &str) -> String {
    host.read_vf(vf, VfFile::Current).unwrap()
}

fn creatable(host: &Host, vf: &str) -> usize {
    let text = host.read_vf(vf, VfFile::Creatable).unwrap();
    assert!(text.starts_with("ID    : vGPU Name\n"), "{text}");
    text.lines().count() - 1
}

fn create(host: &mut Host, vf: &str, type_id: &str, n: u32) -> Result<(), Errno> {
    let uuid = format!("00000000-0000-0000-0000-{n:012}");
    let ticket = host.begin_create(vf, type_id, uuid.as_bytes())?;
    host.finish_create(&ticket)
}

#[test]
fn sriov_manage_is_the_only_way_to_vfs() {
    let mut host = repository("a40-vf-mdev.toml");
    assert!(!exists(&host, &format!("class/mdev_bus/{PF}")));
    assert!(exists(&host, &format!("bus/pci/drivers/nvidia/{PF}")));
    assert_eq!(host.write_numvfs(PF, b"32\n"), Err(Errno::ENOENT));
    assert_eq!(host.write_numvfs(PF, b"33\n"), Err(Errno::ERANGE));
    host.faults.sriov_manage = SriovManage::NoVfs;
    assert_eq!(host.sriov_manage("-e", PF), Ok(String::new()));
    host.faults.sriov_manage = SriovManage::UnbindLock;
    let refused = host.sriov_manage("-e", "ALL").unwrap_err();
    assert_eq!(refused, format!("Cannot obtain unbindLock for {PF}"));
    assert_eq!(host.vfs_of(PF).count(), 0);
    host.faults.sriov_manage = SriovManage::Works;
    host.sriov_manage("-e", "0000:42:00.0").unwrap_err();
    host.sriov_manage("-e", "ALL").unwrap();
    assert_eq!(host.read(&Attr::NumVfs(PF.to_owned())), Ok(b"32\n".into()));
    for path in [
        format!("class/mdev_bus/{LAST}"),
        format!("{PATH}/{PF}/virtfn31"),
        format!("{PATH}/{LAST}/physfn"),
        format!("{PATH}/{LAST}/mdev_supported_types/nvidia-557/create"),
    ] {
        assert!(exists(&host, &path), "{path}");
    }
    host.sriov_manage("-d", PF).unwrap();
    assert!(!exists(&host, &format!("{PATH}/{VF0}")));
    assert!(!exists(&host, &format!("{PATH}/{PF}/virtfn0")));
    assert!(!exists(&host, &format!("class/mdev_bus/{VF0}")));
}

#[test]
fn a_vf_holds_one_vgpu_and_the_gpu_bounds_them_all() {
    let mut host = repository("a40-vf-mdev.toml");
    host.sriov_manage("-e", PF).unwrap();
    let left = |host: &Host, vf: &str, t: &str| host.available(vf, t).unwrap();
    assert_eq!(left(&host, VF0, "nvidia-557"), 1);
    create(&mut host, VF0, "nvidia-565", 1).unwrap();
    assert_eq!(left(&host, VF0, "nvidia-565"), 0, "the VF has one");
    assert_eq!(left(&host, VF1, "nvidia-565"), 1);
    assert_eq!(left(&host, VF1, "nvidia-557"), 0, "another size");
    assert_eq!(create(&mut host, VF0, "nvidia-565", 2), Err(Errno::EIO));
    create(&mut host, VF1, "nvidia-575", 2).unwrap();
    assert_eq!(left(&host, LAST, "nvidia-565"), 0, "the GPU is full");
    assert_eq!(create(&mut host, LAST, "nvidia-565", 3), Err(Errno::EIO));
    host.reboot();
    assert_eq!(host.vfs_of(PF).count(), 0, "a reboot switches VFs off");
    assert!(host.devices.is_empty());
}

#[test]
fn types_are_set_and_unset_with_the_drivers_errors() {
    let mut host = l40s();
    assert_eq!(creatable(&host, VF0), 22);
    let placement = |host: &Host, vf: &str| host.read_vf(vf, VfFile::Placement);
    assert_eq!(placement(&host, VF0), Err(Errno::ENXIO));
    for (data, errno) in [
        ("0", Errno::EPERM),
        ("L40S-1Q", Errno::EINVAL),
        ("63", Errno::EIO),
    ] {
        assert_eq!(set(&mut host, VF0, data), Err(errno), "{data}");
    }
    set(&mut host, VF0, "1155\n").unwrap();
    assert_eq!(current(&host, VF0), "1155\n");
    assert_eq!(set(&mut host, VF0, "1155"), Err(Errno::EPERM));
    assert_eq!(set(&mut host, VF0, "1147"), Err(Errno::EPERM));
    assert_eq!(set(&mut host, VF1, "1147"), Err(Errno::EIO), "other size");
    assert_eq!((creatable(&host, VF0), creatable(&host, VF1)), (0, 2));
    set(&mut host, VF1, "1165").unwrap();
    assert_eq!(placement(&host, VF1), Ok("24\n".to_owned()));
    let third = "0000:41:00.6";
    assert_eq!(creatable(&host, third), 0);
    assert_eq!(set(&mut host, third, "1155"), Err(Errno::EIO), "full");
    set(&mut host, VF0, "0").unwrap();
    assert_eq!(current(&host, VF0), "0\n");
    set(&mut host, third, "1155").unwrap();
    assert_eq!(placement(&host, third), Ok("0\n".to_owned()));
}

#[test]
fn an_open_vf_keeps_its_type_and_a_leaving_plugin_too() {
    let mut host = l40s();
    let device = Attr::Cdev(VF0.to_owned());
    assert_eq!(host.open_dev(&device, 1), Err(Errno::ENODEV), "no type yet");
    set(&mut host, VF0, "1155").unwrap();
    let params = |host: &mut Host, text: &str| host.write_vf(VF0, VfFile::Params, text.as_bytes());
    params(&mut host, "disable_vnc=1\n").unwrap();
    params(&mut host, "enable_uvm=1\n").unwrap();
    assert_eq!(
        host.read_vf(VF0, VfFile::Params),
        Ok("enable_uvm=1\n".to_owned())
    );
    assert_eq!(params(&mut host, &"x".repeat(1025)), Err(Errno::E2BIG));
    let handle = host.open_dev(&device, 1).unwrap();
    assert_eq!(host.open_dev(&device, 2), Err(Errno::EBUSY));
    assert_eq!(set(&mut host, VF0, "0"), Err(Errno::EPERM));
    assert_eq!(params(&mut host, "x=1"), Err(Errno::EPERM));
    let pf = host.parent(PF).unwrap();
    assert_eq!(host.set_vfs(&pf, 0), Err(Errno::EBUSY));
    host.close_dev(handle);
    host.faults.plugin_exit = Duration::from_secs(3600);
    assert_eq!(set(&mut host, VF0, "0"), Err(Errno::EBUSY));
    host.faults.plugin_exit = Duration::ZERO;
    set(&mut host, VF0, "0").unwrap();
    assert_eq!(host.read_vf(VF0, VfFile::Params), Ok("\n".to_owned()));
}

#[test]
fn a_type_that_fails_to_be_set_gives_its_memory_back() {
    let mut host = l40s();
    host.faults.create.add(1, Errno::ETIMEDOUT);
    host.faults.delay_create = Duration::from_secs(60);
    let ticket = host.begin_set(VF0, b"1156").unwrap().unwrap();
    assert!(matches!(
        host.waits_for(&ticket, Instant::now()),
        Wait::Time(_)
    ));
    assert_eq!(current(&host, VF0), "0\n", "not before the write returns");
    assert_eq!(creatable(&host, VF1), 0, "but its memory is taken");
    assert_eq!(host.finish_set(&ticket), Err(Errno::ETIMEDOUT));
    assert_eq!(creatable(&host, VF1), 22);
    let ticket = host.begin_set(VF0, b"1156").unwrap().unwrap();
    host.reboot();
    assert_eq!(host.finish_set(&ticket), Err(Errno::ENODEV));
    assert_eq!(host.vfs_of(PF).count(), 4, "on from the start");
    assert_eq!(current(&host, VF0), "0\n");
}

#[test]
fn the_vendors_framework_needs_no_mediated_devices() {
    let host = repository("l40s.toml");
    assert!(!exists(&host, "class/mdev_bus") && !exists(&host, "bus/mdev"));
    assert!(!exists(&host, &format!("{PATH}/{PF}/nvidia")));
    let broken = host.path_of(&format!("{VF0}/nvidia/creatable_vgpu_types"));
    assert_eq!(
        broken,
        Ok(format!("{PATH}/{VF0}/nvidia/creatable_vgpu_types"))
    );
    for path in [
        "driver",
        "physfn",
        "iommu_group",
        "vfio-dev/vfio1031/dev",
        "nvidia/warm_update",
    ] {
        assert!(exists(&host, &format!("{PATH}/{LAST}/{path}")), "{path}");
    }
}

#[test]
fn mistakes_in_a_host_file_are_named() {
    let parent = "[[parent]]\nid = \"0000:41:00.0\"\ncard = \"l40s\"\n";
    for (more, said) in [
        ("vfs = 4\n", "needs both vfs and vf_framework"),
        ("vfs = 0\nvf_framework = \"vendor\"\n", "0 of 0 VFs"),
        (
            "vfs = 4\nenabled_vfs = 5\nvf_framework = \"mdev\"\n",
            "5 of 4 VFs",
        ),
        ("vfs = 999\nvf_framework = \"mdev\"\n", "0 of 999 VFs"),
    ] {
        let error = hostfile::parse(&format!("{parent}{more}")).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    let error = hostfile::parse(&format!(
        "mdev = false\n{parent}vfs = 4\nvf_framework = \"mdev\"\n"
    ));
    assert!(error.unwrap_err().contains("no place for parents"));
}

#[test]
fn a_gpu_that_was_told_so_takes_several_sizes_where_they_have_a_place() {
    let mut host = l40s();
    assert!(host.mix_sizes("1", "0000:42:00.0").is_err());
    set(&mut host, VF0, "1152").unwrap();
    assert!(host.mix_sizes("1", PF).is_err(), "it has a vGPU");
    set(&mut host, VF0, "0").unwrap();
    host.mix_sizes("1", PF).unwrap();
    // 8 GiB from 0 on, 24 GiB from 24 on, and 12 between them.
    for (vf, number) in [(VF0, "1152"), (VF1, "1155"), ("0000:41:00.6", "1153")] {
        set(&mut host, vf, number).unwrap();
    }
    assert_eq!(set(&mut host, "0000:41:00.7", "1152"), Err(Errno::EIO));
    host.sriov_manage("-d", PF).unwrap();
    host.sriov_manage("-e", PF).unwrap();
    set(&mut host, VF0, "1152").unwrap();
    assert_eq!(
        set(&mut host, VF1, "1155"),
        Err(Errno::EIO),
        "one size again"
    );
}

#[test]
fn a_lost_race_leaves_the_gpu_to_whoever_binds_it_again() {
    let mut host = repository("a40-vf-mdev.toml");
    host.faults.sriov_manage = SriovManage::by_name(&["race", "2"]).unwrap();
    let refused = host.sriov_manage("-e", PF).unwrap_err();
    assert!(refused.contains("File exists"), "{refused}");
    let link = format!("bus/pci/drivers/nvidia/{PF}");
    assert!(!exists(&host, &link) && exists(&host, &format!("bus/pci/devices/{PF}")));
    host.sriov_manage("-e", PF).unwrap_err();
    assert_eq!(host.bind("vfio-pci", PF.as_bytes()), Err(Errno::ENODEV));
    assert_eq!(host.bind("nvidia", format!("{PF}\n").as_bytes()), Ok(()));
    assert_eq!(host.bind("nvidia", PF.as_bytes()), Err(Errno::EBUSY));
    assert!(exists(&host, &link));
    let said = host.sriov_manage("-e", PF).unwrap();
    assert!(said.contains("No such device"), "{said}");
    host.bind("nvidia", PF.as_bytes()).unwrap();
    host.sriov_manage("-e", PF).unwrap();
    assert_eq!(host.vfs_of(PF).count(), 32);

    host.unbind("nvidia", PF.as_bytes()).unwrap();
    assert_eq!(host.vfs_of(PF).count(), 0);
    host.take(PF, "vfio-pci").unwrap();
    assert_eq!(host.bind("nvidia", PF.as_bytes()), Err(Errno::EBUSY));
    host.unbind("vfio-pci", PF.as_bytes()).unwrap();
    host.bind("nvidia", PF.as_bytes()).unwrap();
    assert!(exists(&host, &link));
}
