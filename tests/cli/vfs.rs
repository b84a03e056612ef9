//! `vfs`: virtual functions shown and switched, by hand and at boot.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Run, SimHost};
use crate::helpers::uuid;

const GPU: &str = "0000:c1:00.0";

/// A stand-in for NVIDIA's program. While `script/fail` holds a number above 0, it fails that often
/// as it does while an NVML client runs; while `script/idle` is there, it does nothing, well.
fn install_manager(host: &SimHost) {
    let dir = host.path("usr/lib/nvidia");
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir_all(host.path("script")).unwrap();
    let text = format!(
        "#!/bin/sh\n\
         echo \"$1 $2\" >>'{0}/script/calls'\n\
         n=$(cat '{0}/script/fail' 2>/dev/null || echo 0)\n\
         if [ \"$n\" -gt 0 ]; then\n\
         echo $((n - 1)) >'{0}/script/fail'\n\
         echo \"Cannot obtain unbindLock for $2\" >&2; exit 1; fi\n\
         [ ! -e '{0}/script/idle' ] || exit 0\n\
         case $1 in -e) n=32 ;; *) n=0 ;; esac\n\
         exec '{1}' ctl '{0}' vfs \"$2\" $n\n",
        host.root().display(),
        crate::harness::simhost().display(),
    );
    let path = dir.join("sriov-manage");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn count(host: &SimHost) -> u64 {
    let answer = host.run(&format!("vfs {GPU} --json")).expect(0).json();
    answer["gpus"][0]["enabled"].as_u64().unwrap()
}

fn calls(host: &SimHost) -> String {
    fs::read_to_string(host.path("script/calls")).unwrap_or_default()
}

fn off(host: &SimHost) {
    host.ctl(&["vfs", GPU, "0"]);
}

fn said(run: &Run, word: &str) {
    assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
}

#[test]
fn they_are_shown_with_what_they_hold() {
    let host = SimHost::start("l40s");
    host.run(&format!("create --type nvidia-1153 --uuid {}", uuid(1)))
        .expect(0);
    let shown = host.run("vfs").expect(0).stdout;
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(shown.contains(&uuid(1)) && shown.contains("nvidia-1153") && shown.contains("free"));
    off(&SimHost::start("l40s"));
    host.run("vfs 0000:99:00.0").expect(3);
}

#[test]
fn nvidias_program_switches_them_and_the_functions_count_not_its_exit_status() {
    let host = SimHost::start("l40s");
    install_manager(&host);
    off(&host);
    said(
        &host.run(&format!("vfs enable {GPU} --dry-run")).expect(0),
        "would switch 32",
    );
    assert_eq!(calls(&host), "");
    said(
        &host.run(&format!("vfs enable {GPU}")).expect(0),
        "switched 32",
    );
    assert_eq!(calls(&host), format!("-e {GPU}\n"));
    said(
        &host.run(&format!("vfs enable {GPU}")).expect(0),
        "on already",
    );
    assert_eq!(calls(&host), format!("-e {GPU}\n"), "nothing was to do");
    said(
        &host.run(&format!("vfs disable {GPU}")).expect(0),
        "switched 32",
    );
    assert_eq!(count(&host), 0);

    fs::write(host.path("script/idle"), "").unwrap();
    let failed = host.run(&format!("vfs enable {GPU}")).expect(1);
    said(&failed, "still has no virtual functions after 5 attempts");
    said(&failed, "ended as if it had worked");
    assert_eq!(count(&host), 0);
}

#[test]
fn a_lock_that_cannot_be_had_is_tried_again_and_then_explained() {
    let host = SimHost::start("l40s");
    install_manager(&host);
    off(&host);
    fs::write(host.path("script/fail"), "2").unwrap();
    said(
        &host.run(&format!("vfs enable {GPU}")).expect(0),
        "switched 32",
    );
    host.run(&format!("vfs disable {GPU}")).expect(0);
    fs::write(host.path("script/fail"), "99").unwrap();
    let failed = host.run(&format!("vfs enable {GPU}")).expect(1);
    said(&failed, "unbindLock");
    said(&failed, "nvidia-persistenced");
}

#[test]
fn without_nvidias_program_the_kernel_is_asked() {
    let host = SimHost::start("l40s");
    off(&host);
    said(
        &host.run(&format!("vfs enable {GPU}")).expect(0),
        "switched 32",
    );
    assert_eq!(count(&host), 32);
}

#[test]
fn nothing_that_runs_is_destroyed() {
    let host = SimHost::start("l40s");
    install_manager(&host);
    host.run(&format!("create --type nvidia-1153 --uuid {}", uuid(1)))
        .expect(0);
    let refused = host.run(&format!("vfs disable {GPU}")).expect(5);
    said(&refused, "1 vGPU");
    said(&refused, &format!("vgpuctl stop {}", uuid(1)));
    assert_eq!(calls(&host), "");
    assert_eq!(count(&host), 4);
}

#[test]
fn boot_switches_them_on_only_where_that_was_asked_for() {
    let host = SimHost::start("l40s");
    install_manager(&host);
    host.run(&format!("create --type nvidia-1153 --uuid {}", uuid(1)))
        .expect(0);
    host.ctl(&["reboot"]);
    off(&host);
    let failed = host.run("restore").expect(7);
    assert_eq!(calls(&host), "", "nobody asked for it");
    let told = format!("{}{}", failed.stdout, failed.stderr);
    assert!(
        told.contains(&format!("vgpuctl vfs enable {GPU}")),
        "{told}"
    );

    host.run(&format!("vfs enable {GPU} --at-boot")).expect(0);
    host.ctl(&["reboot"]);
    off(&host);
    let planned = host.run("restore --dry-run");
    assert!(
        planned.stdout.contains("would enable"),
        "{}",
        planned.stdout
    );
    let restored = host.run("restore").expect(0);
    assert!(restored.stdout.contains("enabled"), "{}", restored.stdout);
    assert_eq!(host.active().len(), 1);

    // A bad file is told, and the GPU is left alone.
    let settings = host.path(&format!("etc/vgpuctl.d/{GPU}/gpu.conf"));
    fs::write(&settings, "vfs = yes please\n").unwrap();
    let told = host.run("restore").expect(7);
    said(&told, "gpu.conf");
    said(&told, "line 1");
}
