//! Types, create, list, reboot, restore: what the tool is for.

use crate::harness::SimHost;

#[test]
fn a_created_device_comes_back_after_a_reboot_under_its_uuid() {
    let host = SimHost::start("two-p4");
    let created = host.run("create --type nvidia-63").expect(0);
    let uuid = created.stdout.trim_end();
    let only = [uuid.to_owned()];
    assert_eq!(uuid.len(), 36, "stdout is the UUID alone: {created:?}");
    assert!(created.stderr.contains("nvidia-63 (P4-1Q) on 0000:81:00.0"));
    assert_eq!(host.active(), only);

    host.ctl(&["reboot"]);
    assert_eq!(host.active(), [""; 0]);
    let restored = host.run("restore").expect(0);
    assert!(restored.stdout.starts_with(&format!("started  {uuid}")));
    assert_eq!(host.active(), only);

    let again = host.run("restore").expect(0);
    assert!(again.stdout.starts_with(&format!("active   {uuid}")));

    host.run(&format!("remove {uuid}")).expect(0);
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}
