//! FREE of `types` on GPUs in mixed-size mode, against what the simulated driver takes.

use std::collections::BTreeMap;

use crate::harness::SimHost;

const GPU: &str = "0000:41:00.0";

/// A host whose GPUs serve several sizes.
fn mixed(name: &str, gpus: &[&str]) -> SimHost {
    let host = SimHost::start(name);
    for gpu in gpus {
        let dir = host.path("etc/vgpuctl.d").join(gpu);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("gpu.conf"), "mixed-sizes = yes\n").unwrap();
    }
    host.run("restore").expect(0);
    host
}

/// How many more of each type fit on the first GPU.
fn free(host: &SimHost) -> BTreeMap<String, u64> {
    let answer = host
        .run(&format!("types --parent {GPU} --json"))
        .expect(0)
        .json();
    let types = answer["parents"][0]["types"].as_array().unwrap();
    let one = |one: &serde_json::Value| {
        let name = one["name"].as_str().unwrap().rsplit(' ').next().unwrap();
        (name.to_owned(), one["available"].as_u64().unwrap())
    };
    types.iter().map(one).collect()
}

/// Each type alone: as many start as FREE says, and then no more.
fn is_exact(name: &str, gpus: &[&str], counts: &[(&str, u64)]) {
    let host = mixed(name, gpus);
    let empty = free(&host);
    for (type_name, count) in counts {
        assert_eq!(empty.get(*type_name), Some(count), "{name} {type_name}");
        let create = format!("create -t {type_name} -p {GPU}");
        let made = host.run(&format!("{create} -n {count}")).expect(0).stdout;
        assert_eq!(free(&host).get(*type_name).copied().unwrap_or(0), 0);
        host.run(&create).expect(4);
        let uuids: Vec<&str> = made.split_whitespace().collect();
        host.run(&format!("remove {}", uuids.join(" "))).expect(0);
    }
}

#[test]
fn an_a100_with_40_gib() {
    let counts = [
        ("A100-5C", 8),
        ("A100-8C", 4),
        ("A100-10C", 4),
        ("A100-20C", 2),
        ("A100-40C", 1),
    ];
    is_exact("a100-40", &[GPU], &counts);
}

#[test]
fn a_blackwell_with_96_gib() {
    let counts = [
        ("DC-2Q", 32),
        ("DC-3Q", 32),
        ("DC-4Q", 24),
        ("DC-8Q", 12),
        ("DC-32Q", 3),
        ("DC-96Q", 1),
    ];
    is_exact("rtx-pro-6000", &[GPU], &counts);
}

#[test]
fn one_gpu_of_an_a16_board() {
    let gpus = [GPU, "0000:42:00.0", "0000:43:00.0", "0000:44:00.0"];
    let counts = [
        ("A16-1Q", 16),
        ("A16-2Q", 8),
        ("A16-4Q", 4),
        ("A16-8Q", 2),
        ("A16-16Q", 1),
    ];
    is_exact("a16", &gpus, &counts);
}
