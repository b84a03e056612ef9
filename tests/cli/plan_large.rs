//! 2,048 vGPUs on 64 GPUs: what a plan and an apply of them take. Nothing here is a limit: times are
//! printed, and what is asserted is that no file is read once for each vGPU.

use std::time::Instant;

use crate::harness::{SimHost, finished};
use crate::plan::{MACHINE_ID, apply, file, plan};

const HOST: &str = r#"
[[parent]]
id = "0000:40:00.0"
count = 64
driver = "nvidia"
vendor = 0x10de
device = 0x2235
subsystem_vendor = 0x10de
subsystem_device = 0x145a
class = 0x030200
pool = 32
full = "EIO"

[[parent.type]]
id = "557"
name = "NVIDIA A40-1Q"
cost = 1
description = "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=32"
"#;

#[test]
fn sixty_four_gpus_are_planned_with_few_calls_and_made_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let described = folder.path().join("host.toml");
    std::fs::write(&described, HOST).unwrap();
    let host = SimHost::start_file(&described);
    std::fs::write(host.path("etc/machine-id"), MACHINE_ID).unwrap();
    // A GPU makes one after the other, as long as this each.
    host.ctl(&["delay-create", "50"]);
    for each in [1, 4] {
        let text = format!("[[group]]\nname = \"a\"\ntype = \"A40-1Q\"\nper-gpu = {each}\n");
        let calls = calls(&host, &text);
        let begin = Instant::now();
        apply(&host, &text).expect(0);
        let took = begin.elapsed().as_secs_f64();
        println!("{each} a GPU: planned with {calls} system calls, applied in {took:.2} s");
    }
    let text = "[[group]]\nname = \"a\"\ntype = \"A40-1Q\"\nper-gpu = 32\n";
    let begin = Instant::now();
    let run = plan(&host, text).expect(2);
    println!("planned 2048 in {:.3} s", begin.elapsed().as_secs_f64());
    assert!(
        run.stdout.ends_with("1792 to create, 256 as declared\n"),
        "{}",
        run.stderr
    );
    let few = calls(&host, text);
    assert!(few < 12_000, "{few} system calls for 256 vGPUs of 2048");
}

/// The system calls of a plan.
fn calls(host: &SimHost, text: &str) -> usize {
    let path = file(host, text);
    let trace = host.path("usr/trace");
    let options = ["-f", "-qq", "-o", trace.to_str().unwrap()];
    let run = finished(
        host.strace(&options, ["plan".as_ref(), path.as_os_str()])
            .output()
            .unwrap(),
    );
    run.expect(2);
    std::fs::read_to_string(&trace).unwrap().lines().count()
}
