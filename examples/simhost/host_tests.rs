//! The kernel's and NVIDIA's rules, on hosts without a mount.

use std::time::Duration;

use super::*;
use crate::hostfile;
use crate::tree::ROOT;

const GPU: &str = "0000:81:00.0";
const OTHER: &str = "0000:82:00.0";

fn host(file: &str) -> Host {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hosts");
    Host::new(hostfile::read(&std::path::Path::new(folder).join(file)).unwrap())
}

fn uuid(n: u32) -> String {
    format!("00000000-0000-0000-0000-{n:012}")
}

fn create(host: &mut Host, parent: &str, type_id: &str, n: u32) -> Result<(), Errno> {
    let ticket = host.begin_create(parent, type_id, uuid(n).as_bytes())?;
    host.finish_create(&ticket)
}

fn begin_remove(host: &mut Host, n: u32, data: &[u8]) -> Result<RemoveStep, Errno> {
    host.begin_remove(&uuid(n), data, |_| false)
}

fn ticket(step: RemoveStep) -> Ticket {
    match step {
        RemoveStep::Begun(ticket) => ticket,
        RemoveStep::Done => panic!("the remove did nothing"),
    }
}

fn find(tree: &Tree, path: &str) -> Option<u64> {
    path.split('/')
        .try_fold(ROOT, |at, name| tree.child(at, name))
}

fn group(host: &Host, n: u32) -> Attr {
    Attr::Group(
        host.devices
            .contains_key(&uuid(n))
            .then(|| uuid(n))
            .unwrap(),
    )
}

#[test]
fn one_gpu_has_one_framebuffer_size_and_series_share_its_count() {
    let mut host = host("two-p4.toml");
    assert_eq!(host.available(GPU, "nvidia-64"), Ok(4));
    for n in 0..3 {
        create(&mut host, GPU, "nvidia-64", n).unwrap();
    }
    let left = |t: &str| host.available(GPU, t).unwrap();
    // 2Q, 2A, 2B and 2B4 have the same size; 1Q and 4C do not.
    assert_eq!(
        ["64", "68", "157", "214"].map(|t| left(&format!("nvidia-{t}"))),
        [1; 4]
    );
    assert_eq!(["63", "288"].map(|t| left(&format!("nvidia-{t}"))), [0; 2]);
    assert_eq!(host.available(OTHER, "nvidia-63"), Ok(8));
    create(&mut host, GPU, "nvidia-68", 3).unwrap();
    assert_eq!(create(&mut host, GPU, "nvidia-64", 4), Err(Errno::EIO));
    assert_eq!(create(&mut host, GPU, "nvidia-63", 4), Err(Errno::EIO));
}

#[test]
fn a_pool_is_shared_by_weight_and_says_its_own_errno_when_empty() {
    let mut host = host("gvt-g.toml");
    let gpu = "0000:00:02.0";
    create(&mut host, gpu, "i915-GVTg_V5_8", 0).unwrap();
    assert_eq!(host.available(gpu, "i915-GVTg_V5_4"), Ok(0));
    assert_eq!(host.available(gpu, "i915-GVTg_V5_8"), Ok(1));
    assert_eq!(
        create(&mut host, gpu, "i915-GVTg_V5_4", 1),
        Err(Errno::ENOSPC)
    );
}

#[test]
fn create_takes_a_uuid_and_at_most_a_newline() {
    let mut host = host("two-p4.toml");
    let good = uuid(1);
    let wrong = [
        String::new(),
        good[..35].to_owned(),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n\n"),
        format!("{{{good}}}"),
        good.replace('-', ""),
        good.replace('-', "_"),
        good.replace('0', "g"),
    ];
    for text in wrong {
        let result = host.begin_create(GPU, "nvidia-63", text.as_bytes());
        assert_eq!(result.unwrap_err(), Errno::EINVAL, "{text:?}");
    }
    let upper = b"ABCDEF00-0000-0000-0000-00000000000A\n";
    let ticket = host.begin_create(GPU, "nvidia-63", upper).unwrap();
    assert_eq!(ticket.uuid, "abcdef00-0000-0000-0000-00000000000a");
    let again = host.begin_create(OTHER, "nvidia-63", upper);
    assert_eq!(again.unwrap_err(), Errno::EEXIST);
}

#[test]
fn a_device_is_linked_from_its_bus_its_type_and_its_group() {
    let mut host = host("two-p4.toml");
    let path = format!("devices/pci0000:80/0000:80:01.0/{GPU}");
    let ticket = host
        .begin_create(GPU, "nvidia-63", uuid(1).as_bytes())
        .unwrap();
    assert!(find(&host.sys, &format!("bus/mdev/devices/{}", uuid(1))).is_some());
    assert!(find(&host.sys, &format!("{path}/{}/mdev_type", uuid(1))).is_none());
    host.finish_create(&ticket).unwrap();
    assert!(find(&host.sys, &format!("{path}/{}/mdev_type", uuid(1))).is_some());
    let devices = format!("{path}/mdev_supported_types/nvidia-63/devices/{}", uuid(1));
    assert!(find(&host.sys, &devices).is_some());
    let number = host.devices[&uuid(1)].group;
    assert!(find(&host.dev, &format!("vfio/{number}")).is_some());
    let ticket = self::ticket(begin_remove(&mut host, 1, b"1").unwrap());
    host.finish_remove(&ticket).unwrap();
    assert!(find(&host.sys, &format!("{path}/{}", uuid(1))).is_none());
    assert!(find(&host.sys, &devices).is_none());
    assert!(find(&host.dev, &format!("vfio/{number}")).is_none());
}

#[test]
fn remove_reads_a_number() {
    let mut host = host("two-p4.toml");
    create(&mut host, GPU, "nvidia-63", 1).unwrap();
    assert_eq!(
        begin_remove(&mut host, 1, b"yes").unwrap_err(),
        Errno::EINVAL
    );
    assert!(matches!(
        begin_remove(&mut host, 1, b"0"),
        Ok(RemoveStep::Done)
    ));
    assert_eq!(host.devices[&uuid(1)].stage, Stage::Active);
    assert!(matches!(
        begin_remove(&mut host, 1, b"1\n"),
        Ok(RemoveStep::Begun(_))
    ));
}

#[test]
fn remove_before_create_has_returned_costs_the_attribute() {
    let mut host = host("two-p4.toml");
    let ticket = host
        .begin_create(GPU, "nvidia-63", uuid(1).as_bytes())
        .unwrap();
    assert_eq!(begin_remove(&mut host, 1, b"1").unwrap_err(), Errno::EAGAIN);
    host.finish_create(&ticket).unwrap();
    let remove = format!("devices/pci0000:80/0000:80:01.0/{GPU}/{}/remove", uuid(1));
    assert!(!host.sys.holds(&remove));
}

#[test]
fn a_stranger_holds_a_remove_up_and_the_instance_counts_meanwhile() {
    let mut host = host("two-p4.toml");
    create(&mut host, GPU, "nvidia-63", 1).unwrap();
    let attr = group(&host, 1);
    let handle = host.open_dev(&attr, 77).unwrap();
    assert_eq!(host.open_dev(&attr, 78), Err(Errno::EBUSY));
    let params = Attr::Params(uuid(1));
    assert_eq!(host.write(&params, "vgpu_params", b"x"), Err(Errno::EPERM));
    let ticket = ticket(begin_remove(&mut host, 1, b"1").unwrap());
    assert_eq!(host.waits_for(&ticket, ticket.due), Wait::Close);
    assert!(find(&host.sys, &format!("bus/mdev/devices/{}", uuid(1))).is_none());
    assert_eq!(host.available(GPU, "nvidia-63"), Ok(7));
    assert_eq!(create(&mut host, GPU, "nvidia-63", 1), Err(Errno::EEXIST));
    assert_eq!(host.open_dev(&attr, 79), Err(Errno::ENODEV));
    host.close_dev(handle);
    assert_eq!(host.waits_for(&ticket, ticket.due), Wait::Nothing);
    host.finish_remove(&ticket).unwrap();
    assert_eq!(host.available(GPU, "nvidia-63"), Ok(8));
}

#[test]
fn the_remover_itself_may_hold_the_group() {
    let mut host = host("two-p4.toml");
    create(&mut host, GPU, "nvidia-63", 1).unwrap();
    let attr = group(&host, 1);
    host.open_dev(&attr, 77).unwrap();
    let step = host.begin_remove(&uuid(1), b"1", |pid| pid == 77).unwrap();
    let ticket = ticket(step);
    assert_eq!(host.waits_for(&ticket, ticket.due), Wait::Nothing);
}

#[test]
fn params_are_replaced_whole_up_to_1024_bytes_and_lose_the_last() {
    let mut host = host("two-p4.toml");
    create(&mut host, GPU, "nvidia-63", 1).unwrap();
    let attr = Attr::Params(uuid(1));
    let mut write = |data: &[u8]| {
        host.write(&attr, "vgpu_params", data)?;
        host.read(&attr).map(|d| String::from_utf8(d).unwrap())
    };
    assert_eq!(
        write(b"frame_rate_limiter=0, disable_vnc=1\n").as_deref(),
        Ok("frame_rate_limiter=0, disable_vnc=1\n")
    );
    assert_eq!(write(b"a=1\n").as_deref(), Ok("a=1\n"));
    assert_eq!(write(b"a=1").as_deref(), Ok("a=\n"), "no newline to drop");
    assert_eq!(write(b" \n").as_deref(), Ok(" \n"));
    assert_eq!(write(b"a=1\n").as_deref(), Ok("a=1\n"));
    assert_eq!(write(&[b'x'; 1025]), Err(Errno::E2BIG));
    assert!(write(&[b'x'; 1024]).is_ok());
    host.faults
        .attr
        .push(("nvidia/vgpu_params".to_owned(), Errno::EIO));
    assert_eq!(host.write(&attr, "vgpu_params", b"y"), Err(Errno::EIO));
    assert_eq!(host.write(&attr, "vgpu_params", b"y"), Ok(()));
}

#[test]
fn one_gpu_works_off_slow_creates_in_turn() {
    let mut host = host("two-p4.toml");
    host.faults.delay_create = Duration::from_secs(1);
    let start = Instant::now();
    let mut due = |parent, n: u32| {
        let ticket = host
            .begin_create(parent, "nvidia-63", uuid(n).as_bytes())
            .unwrap();
        (ticket.due - start).as_secs()
    };
    assert_eq!([due(GPU, 1), due(GPU, 2), due(OTHER, 3)], [1, 2, 1]);
}

#[test]
fn a_failed_create_leaves_nothing_and_a_reboot_leaves_no_device() {
    let mut host = host("two-p4.toml");
    host.faults.create.add(1, Errno::EIO);
    assert_eq!(create(&mut host, GPU, "nvidia-63", 1), Err(Errno::EIO));
    assert_eq!(host.available(GPU, "nvidia-66"), Ok(1));
    create(&mut host, GPU, "nvidia-63", 1).unwrap();
    let late = host
        .begin_create(GPU, "nvidia-63", uuid(2).as_bytes())
        .unwrap();
    host.detach(OTHER).unwrap();
    host.reboot();
    assert_eq!(host.finish_create(&late), Err(Errno::ENODEV));
    assert!(host.devices.is_empty());
    assert_eq!(host.available(GPU, "nvidia-66"), Ok(1));
    assert!(host.attached.contains(OTHER));
}

#[test]
fn a_detached_parent_leaves_its_pci_function() {
    let mut host = host("two-p4.toml");
    create(&mut host, GPU, "nvidia-63", 1).unwrap();
    let attr = group(&host, 1);
    let handle = host.open_dev(&attr, 77).unwrap();
    assert!(host.detach(GPU).unwrap_err().contains("open by process 77"));
    host.close_dev(handle);
    host.detach(GPU).unwrap();
    assert!(host.devices.is_empty());
    assert!(find(&host.sys, &format!("class/mdev_bus/{GPU}")).is_none());
    assert!(find(&host.sys, &format!("bus/pci/devices/{GPU}")).is_some());
    host.attach(GPU).unwrap();
    assert_eq!(host.available(GPU, "nvidia-66"), Ok(1));
}

#[test]
fn a_card_without_types_and_a_kernel_without_mdev() {
    let mixed = host("mixed.toml");
    let path = format!("devices/pci0000:80/0000:80:02.0/{OTHER}");
    assert!(find(&mixed.sys, &path).is_some());
    assert!(find(&mixed.sys, &format!("{path}/mdev_supported_types")).is_none());
    assert!(find(&host("no-mdev.toml").sys, "class/mdev_bus").is_none());
    let empty = host("empty.toml");
    let class = find(&empty.sys, "class/mdev_bus").unwrap();
    assert!(empty.sys.children(class).is_empty());
}
