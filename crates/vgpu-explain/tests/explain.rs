//! Finds the examples in `data/` in logs, and nothing in logs without errors.
//!
//! `logs/noise` contains ordinary lines from logs of working hosts, `logs/harmless` complete logs
//! without errors.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use vgpu_explain::{Finding, Listener, all_known};

fn data(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/logs")
        .join(below)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(below: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data(below)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Code and text of each example.
fn messages() -> Vec<(&'static str, &'static str)> {
    let examples = all_known().flat_map(|known| {
        let examples = known.examples.iter();
        examples.map(|example| (known.code.as_str(), example.as_str()))
    });
    examples.collect()
}

fn explain(text: &str) -> Vec<Finding> {
    let mut listener = Listener::new();
    listener.hear(text.as_bytes());
    listener.findings()
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings
        .iter()
        .map(|finding| finding.known.code.as_str())
        .collect()
}

/// The message among 15 ordinary lines, which vary between messages.
fn within_noise(message: &str, nth: usize) -> String {
    let noise = files("noise");
    let noise = read(&noise[nth % noise.len()]);
    let lines: Vec<&str> = noise.lines().collect();
    let begin = nth % (lines.len() - 15);
    let (before, after) = lines[begin..begin + 15].split_at(nth % 15);
    format!("{}\n{message}\n{}\n", before.join("\n"), after.join("\n"))
}

#[test]
fn every_message_is_explained_within_ordinary_noise() {
    let messages = messages();
    assert!(messages.len() >= 45 + 30, "{}", messages.len());
    let mut wrong = String::new();
    for (nth, (code, message)) in messages.iter().enumerate() {
        let found = explain(&within_noise(message, nth));
        let told = codes(&found);
        if told.first() != Some(code) || told.len() > 2 {
            writeln!(wrong, "{code}: {told:?}: {message}").unwrap();
            continue;
        }
        let evidence = &found[0].evidence;
        let is_quoted = evidence
            .lines()
            .all(|line| message.contains(line.trim_end_matches("...")));
        if !is_quoted {
            writeln!(wrong, "{code}: quoted {evidence:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn nothing_is_wrong_in_the_logs_of_working_hosts() {
    let mut count = 0;
    for path in files("noise").into_iter().chain(files("harmless")) {
        let found = explain(&read(&path));
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
        count += 1;
    }
    assert!(count >= 3 + 10, "{count}");
}

/// Logs that resemble an error that they do not contain, and the error.
const MISTAKEN: [(&str, &str); 12] = [
    (
        "level=info msg=\"Waiting for VFs: 0/160 enabled across 8 GPU(s)\"\n\
         level=info msg=\"Waiting for VFs: 140/160 enabled across 8 GPU(s)\"\n\
         level=info msg=\"All 160 VFs enabled on 8 NVIDIA GPU(s)\"",
        "k8s-vfs-missing",
    ),
    (
        "nvidia-nvlink: Nvlink Core is being initialized\n\
         modprobe: ERROR: could not insert 'vboxdrv': Key was rejected by service",
        "secure-boot",
    ),
    (
        "dkms status: nvidia/535.129.03, 4.19.0-21-amd64: installed\n# dkms install wireguard/1.0.20210219\n\
         Error! Your kernel headers for kernel 4.19.0-20-amd64 cannot be found at /lib/modules/4.19.0-20-amd64/build.",
        "kernel-headers",
    ),
    (
        "nvidia-vgpu-mgr[25539]: error: vmiop_log: (0x0): init_device_instance failed for inst 0 with error 1 \
         (error setting vGPU configuration information f>",
        "k8s-vgpu-config",
    ),
    (
        "NVRM: installed in this system is not supported by open\nNVRM: nvidia.ko because it does not include the \
         required GPU\nNVRM: System Processor (GSP).\nNVRM: None of the NVIDIA devices were initialized.",
        "gpu-not-found",
    ),
    (
        "  1. Oct 02 08:11:09 pve QEMU[9]: vfio 0000: error getting device from group 27: Input/output error\n  \
         2. Oct 02 08:11:10 pve postfix/smtp[9921]: connect to mx.example.org[203.0.113.7]:25: Connection timed out",
        "vgpu-open-timeout",
    ),
    (
        "nova-scheduler: Got no allocation candidates from the Placement API.\nnova.exception: No valid host was found. \
         resources: MEMORY_MB='4096'",
        "nova-no-candidates",
    ),
    (
        "nova.exception.InvalidLibvirtMdevConfig: Invalid configuration for mdev-capable devices: duplicate types for PCI ID 0000:84:00.0",
        "nova-device-address",
    ),
    (
        "nvidia-smi runs\ncgroup v1 is supported through the legacy hierarchy",
        "gpu-legacy",
    ),
    (
        "Detected non-NVML platform: could not load NVML library: libnvidia-ml.so.1: cannot open shared object file\n\
         Detected Tegra platform: /sys/devices/soc0/family has 'tegra' prefix",
        "k8s-no-nvml",
    ),
    (
        "[ 12%] Building CUDA object errors.cu: warning: enumerator cudaErrorInsufficientDriver is not handled in switch",
        "cuda-driver-older",
    ),
    (
        "nvidia-container-cli: requirement error: unsatisfied condition: brand = tesla",
        "cuda-driver-older",
    ),
];

#[test]
fn what_looks_like_a_failure_is_not_taken_for_it() {
    for (nth, (log, wrong)) in MISTAKEN.iter().enumerate() {
        for text in [(*log).to_owned(), within_noise(log, nth)] {
            let found = explain(&text);
            assert!(!codes(&found).contains(wrong), "{wrong}: {text}");
        }
    }
}

#[test]
fn the_branch_that_a_card_needs_is_said_with_its_number() {
    for branch in ["340", "470", "580"] {
        let line =
            format!("NVRM:  supported through the NVIDIA {branch}.xx Legacy drivers. Please");
        let found = explain(&line);
        assert_eq!(codes(&found), ["gpu-legacy"]);
        let (known, evidence) = (found[0].known, Some(line.as_str()));
        assert!(
            known
                .cause("vgpu", evidence)
                .contains(&format!("serves it is {branch}."))
        );
        assert!(
            known
                .next("vgpu", evidence)
                .contains(&format!("branch {branch} "))
        );
    }
}

/// Text as reformatted by other programs, web pages and terminals.
#[test]
fn every_message_is_explained_however_it_was_pasted() {
    type Change = fn(&str) -> String;
    let changes: [(&str, Change); 8] = [
        ("upper case", |text| text.to_uppercase()),
        ("quoted", |text| {
            text.lines().map(|line| format!("> {line}\r\n")).collect()
        }),
        ("HTML", |text| {
            let text = text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            format!("<pre><code>{}</code></pre>", text.replace('\'', "&#39;"))
        }),
        ("numbered", |text| {
            let numbered = (1..)
                .zip(text.lines())
                .map(|(n, line)| format!("  {n}. {line}\n"));
            numbered.collect()
        }),
        ("wide", |text| {
            text.chars().flat_map(|c| [c, '\0']).collect()
        }),
        ("coloured", |text| {
            text.lines()
                .map(|line| format!("\x1b[1;31m{line}\x1b[0m\n"))
                .collect()
        }),
        ("JSON", |text| {
            let line = |line: &str| {
                format!(
                    "{{\"log\":{},\"stream\":\"stdout\"}}\n",
                    serde_json::json!(line)
                )
            };
            text.lines().map(line).collect()
        }),
        ("wrapped", |text| text.lines().map(wrapped).collect()),
    ];
    let mut wrong = String::new();
    for (code, message) in messages() {
        for (name, change) in &changes {
            let found = explain(&change(message));
            if codes(&found).first() != Some(&code) {
                writeln!(wrong, "{name}: {code}: {:?}: {message}", codes(&found)).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Wrapped after 80 characters, even within words.
fn wrapped(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    chars
        .chunks(80)
        .flat_map(|part| part.iter().chain(&['\n']))
        .collect()
}
