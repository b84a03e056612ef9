//! Hosts of which the kernel has much to tell in /proc.

use crate::hosts;

/// As on a host with 700 processors, each of which has some thousand bytes to tell.
const PROCESSORS: usize = 700;

/// More than the kernel hands out at once.
const LINES: usize = 20_000;

#[test]
fn a_host_of_many_processors_and_long_lists_is_read_as_a_small_one() {
    let answers = |tree: &crate::tree::Tree| {
        let root = tree.root().to_str().unwrap().to_owned();
        [&[][..], &["--json"]].map(|form| {
            let run = tree.run(form);
            let text = String::from_utf8(run.stdout).unwrap();
            (run.status.code(), text.replace(&root, "[ROOT]"))
        })
    };
    for host in [hosts::p4, hosts::gtx_1080_ti] {
        let small = host();
        let large = host();
        // So that the processor is asked.
        for tree in [&small, &large] {
            let _ = std::fs::remove_file(tree.path("dev/kvm"));
        }
        let read = |file: &str| std::fs::read_to_string(large.path(file)).unwrap();
        let one = read("proc/cpuinfo").replace("cx16", &format!("cx16{}", " flag".repeat(300)));
        let all = one.repeat(PROCESSORS);
        assert!(all.len() > 1 << 20);
        large.file("proc/cpuinfo", all);
        let module = |n| format!("module_{n} 16384 0 - Live 0x0000000000000000\n");
        let modules: String = (0..LINES).map(module).collect();
        large.file("proc/modules", modules + &read("proc/modules"));
        let mapping =
            |n| format!("7f0000000000-7f0000001000 r--p 00000000 08:01 {n} /usr/lib/l.so\n");
        let maps: String = (0..LINES).map(mapping).collect();
        assert!(maps.len() > 1 << 20);
        large.file("proc/1712/maps", maps + &read("proc/1712/maps"));
        let long = "x".repeat(8 << 20);
        for unread in ["proc/interrupts", "proc/stat", "proc/self/mountinfo"] {
            large.file(unread, &long);
        }
        large.file("proc/99/cmdline", &long);
        let line = read("proc/cmdline");
        let words = " a=b".repeat(1000);
        large.file("proc/cmdline", line.trim_end().to_owned() + &words + "\n");
        assert_eq!(answers(&large), answers(&small));
    }
}
