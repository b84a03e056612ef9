//! Which virtual functions a user means: by the function, by its GPU, or by a type alone.

use crate::harness::SimHost;
use crate::helpers::uuid;

const GPU: &str = "0000:41:00.0";
const VF0: &str = "0000:41:00.4";
const VF1: &str = "0000:41:00.5";

#[test]
fn a_function_selects_what_is_on_it_wherever_a_parent_does() {
    let host = SimHost::start("l40s");
    let (here, elsewhere, any) = (uuid(1), uuid(2), uuid(3));
    let vf = "0000:41:00.7";
    for (id, place) in [(&here, vf), (&elsewhere, VF1)] {
        host.run(&format!(
            "define --type nvidia-1153 --parent {place} --uuid {id} --manual"
        ))
        .expect(0);
    }
    host.run(&format!("create --type nvidia-1153 --uuid {any}"))
        .expect(0);
    let unnamed = uuid(4);
    let listed = |parent: &str| -> Vec<String> {
        let list = host
            .run(&format!("list --parent {parent} --json"))
            .expect(0)
            .json();
        let devices = list["devices"].as_array().unwrap().iter();
        devices
            .map(|device| device["uuid"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listed(vf), [here.as_str()]);
    assert_eq!(listed(VF0), [any.as_str()]);
    assert_eq!(listed(GPU).len(), 3);
    let types = host
        .run(&format!("types --parent {vf} --json"))
        .expect(0)
        .json();
    assert_eq!(types["parents"][0]["parent"], vf);

    for verb in ["start", "show", "attach", "stop"] {
        host.run(&format!("{verb} {here} --parent {VF0}")).expect(3);
        host.run(&format!("{verb} {here} --parent {vf}")).expect(0);
        host.run(&format!("{verb} {any} --parent {VF0}")).expect(0);
    }
    host.run(&format!("modify {here} --parent {VF1} --auto"))
        .expect(3);
    host.run(&format!("modify {here} --parent {vf} --auto"))
        .expect(0);
    // What may be on it: its own, and what names no function (yet).
    host.run(&format!("modify {elsewhere} --auto")).expect(0);
    host.run(&format!(
        "define --type nvidia-1153 --parent {GPU} --uuid {unnamed}"
    ))
    .expect(0);
    let restored = host.run(&format!("restore --parent {vf}")).expect(0);
    assert!(
        restored.stdout.contains(&here) && restored.stdout.contains(&unnamed),
        "{restored:?}"
    );
    for other in [&elsewhere, &any] {
        assert!(!restored.stdout.contains(other), "{restored:?}");
    }
    host.run(&format!("remove {unnamed}")).expect(0);
    host.run(&format!("remove {elsewhere} --parent {vf}"))
        .expect(3);
    host.run(&format!("remove {here} --parent {vf}")).expect(0);
    host.run(&format!("undefine {elsewhere} --parent {VF1}"))
        .expect(0);
    assert_eq!(host.defined_functions(GPU), [any.as_str()]);
}

#[test]
fn a_gpu_selects_what_is_on_its_functions_that_are_parents() {
    let host = SimHost::start("a40-vf-mdev");
    host.run(&format!("vfs enable {GPU}")).expect(0);
    let id = uuid(1);
    host.run(&format!("create --type A40-16Q --uuid {id}"))
        .expect(0);
    host.run(&format!("stop {id} --parent {VF1}")).expect(3);
    host.run(&format!("stop {id} --parent {GPU}")).expect(0);
    host.run(&format!("remove {id} --parent {GPU}")).expect(0);
}

#[test]
fn a_type_that_functions_may_have_once_they_are_on_is_asked_for_there() {
    let host = SimHost::start("both-frameworks");
    let gpu = "0000:c1:00.0";
    let hint = format!("vgpuctl vfs enable {gpu}");
    host.ctl(&["sriov-manage", "-d", gpu]);
    for what in ["--type L40S-12Q", "--type nvidia-1153", "--framebuffer 12G"] {
        let refused = host.run(&format!("create {what}")).expect(3);
        assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    }
    // A parent that is named has what it has.
    let refused = host.run("create --type L40S-12Q --parent 0000:81:00.0");
    assert!(!refused.expect(3).stderr.contains(&hint));
    host.ctl(&["sriov-manage", "-e", gpu]);
    let refused = host.run("create --type L40S-13Q").expect(3);
    assert!(!refused.stderr.contains(&hint), "{}", refused.stderr);
    // Where nothing else is there at all.
    let host = SimHost::start("a40-vf-mdev");
    let refused = host.run("create --type A40-16Q").expect(3);
    let hint = format!("vgpuctl vfs enable {GPU}");
    assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
}
