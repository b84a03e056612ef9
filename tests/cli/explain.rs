//! `explain`: where logs come from, and what is printed. What is recognised: `crates/vgpu-explain/tests`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Run, finished};

const UUID_LINE: &str = "nvidia-vgpu-mgr[45395]: error: vmiop_env_log: Failed to get VM UUID from QEMU command-line 0x57";

fn vgpuctl(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
    command
        .arg("explain")
        .args(arguments)
        .env_remove("VGPUCTL_ROOT")
        .env_remove("LD_LIBRARY_PATH")
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> Run {
    finished(vgpuctl(folder.path(), arguments).output().unwrap())
}

fn with_input(folder: &TempDir, arguments: &[&str], input: &[u8]) -> Run {
    let mut child = vgpuctl(folder.path(), arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finished(child.wait_with_output().unwrap())
}

/// A folder with a program `journalctl` that does this, for PATH.
fn with_journal(script: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("journalctl");
    // Another process writes it: one that is open for writing here when a thread forks cannot run.
    let written = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(&program)
        .stdin(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            let mut pipe = child.stdin.take().unwrap();
            pipe.write_all(format!("#!/bin/sh\n{script}\n").as_bytes())?;
            drop(pipe);
            child.wait()
        });
    assert!(written.unwrap().success());
    assert_eq!(
        program.metadata().unwrap().permissions().mode() & 0o777,
        0o755
    );
    folder
}

fn run_with_journal(folder: &TempDir, arguments: &[&str]) -> Run {
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let output = vgpuctl(folder.path(), arguments).env("PATH", path).output();
    finished(output.unwrap())
}

#[test]
fn a_failure_is_told_with_cause_line_and_next_step() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("log"),
        format!("noise\n{UUID_LINE}\nnoise\n"),
    )
    .unwrap();
    let run = run(&folder, &["log"]).expect(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(
        lines[0].starts_with("vm-uuid: nvidia-vgpu-mgr reads"),
        "{run:?}"
    );
    assert_eq!(lines[1], format!("> {UUID_LINE}"));
    assert!(
        lines[2].starts_with("next: start QEMU with -uuid"),
        "{run:?}"
    );
    assert_eq!((lines.len(), run.stderr.as_str()), (3, ""));
}

#[test]
fn roots_come_before_what_follows_from_them() {
    let folder = TempDir::new().unwrap();
    let log = "error getting device from group 7: Connection timed out\n\
               [   12.1] [nvidia-vgpu-vfio] vGPU creation failed on device 0x400. -5\n";
    let run = with_input(&folder, &["-"], log.as_bytes()).expect(0);
    let codes: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("> ") && !line.starts_with("next: "))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(codes, ["size-mix", "vgpu-open-timeout"]);
}

#[test]
fn nothing_recognised_is_status_3_and_no_answer() {
    let folder = TempDir::new().unwrap();
    let run = with_input(&folder, &["-"], b"one\ntwo\n").expect(3);
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr
            .starts_with("note: the log (2 lines) shows no known failure"),
        "{run:?}"
    );
    let run = with_input(&folder, &["-", "--json"], b"").expect(3);
    assert_eq!(run.json()["findings"], serde_json::json!([]));
}

#[test]
fn a_file_given_as_standard_input_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, UUID_LINE).unwrap();
    let mut command = vgpuctl(folder.path(), [] as [&str; 0]);
    let run = finished(command.stdin(File::open(path).unwrap()).output().unwrap());
    assert!(run.expect(0).stdout.starts_with("vm-uuid: "));
}

#[test]
fn a_topic_is_explained_by_name_and_a_file_of_that_name_wins() {
    let folder = TempDir::new().unwrap();
    for name in ["code-43", "CODE_43", "43"] {
        let run = run(&folder, &[name]).expect(0);
        assert!(
            run.stdout
                .starts_with("code-43: the NVIDIA driver in Windows"),
            "{run:?}"
        );
        assert!(
            !run.stdout.contains("\n> "),
            "there is no line to quote: {run:?}"
        );
    }
    assert!(
        run(&folder, &["opengl-q"])
            .expect(0)
            .stdout
            .contains("x-pci-device-id")
    );
    std::fs::write(folder.path().join("code-43"), "nothing\n").unwrap();
    run(&folder, &["code-43"]).expect(3);
}

#[test]
fn all_topics_are_listed() {
    let folder = TempDir::new().unwrap();
    let run = run(&folder, &["--list"]).expect(0);
    for topic in ["code-43 ", "opengl-q ", "api-mismatch ", "unlock-mgr "] {
        assert!(
            run.stdout.lines().any(|line| line.starts_with(topic)),
            "{topic}"
        );
    }
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines.len() > 100 && lines.is_sorted(), "{}", lines.len());
}

#[test]
fn what_is_neither_file_nor_topic_is_told_with_what_is_near() {
    let folder = TempDir::new().unwrap();
    let run = run(&folder, &["licence"]).expect(3);
    assert!(
        run.stderr.contains("no file or topic \"licence\""),
        "{run:?}"
    );
    assert!(run.stderr.contains("hint: did you mean: ") && run.stderr.contains("licence-token"));
    assert!(run.stderr.contains("vgpuctl explain --list"));
}

#[test]
fn a_log_that_cannot_be_read_is_an_error_with_its_path() {
    let folder = TempDir::new().unwrap();
    let run = run(&folder, &["."]).expect(1);
    assert_eq!(
        run.stderr,
        "error: cannot read the log: .: Is a directory (EISDIR)\n"
    );
}

#[test]
fn without_a_log_the_services_and_the_kernel_are_asked_for() {
    let script = format!(
        r#"echo "$*" >> asked
        case "$*" in
        *" -k"*) echo "NVRM: API mismatch: the client has the version 1" ;;
        *) echo "{UUID_LINE}" ;;
        esac"#
    );
    let folder = with_journal(&script);
    let run = run_with_journal(&folder, &[]).expect(0);
    assert!(
        run.stdout.contains("vm-uuid: ") && run.stdout.contains("api-mismatch: "),
        "{run:?}"
    );
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    let asked: Vec<&str> = asked.lines().collect();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[0].contains("-u nvidia-vgpud -u nvidia-vgpu-mgr"),
        "{asked:?}"
    );
    assert!(asked[1].ends_with("-b -k"), "{asked:?}");
}

#[test]
fn another_root_has_another_journal() {
    let folder = with_journal("echo \"$*\" >> asked");
    let root = folder.path().display().to_string();
    run_with_journal(&folder, &["--root", &root]).expect(3);
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    let option = format!("--root={root}");
    assert!(asked.lines().all(|line| line.ends_with(&option)), "{asked}");
}

#[test]
fn half_a_journal_is_explained_and_the_other_half_told() {
    let script = format!("case \"$*\" in *' -k'*) exit 1 ;; esac; echo \"{UUID_LINE}\"");
    let run = run_with_journal(&with_journal(&script), &[]).expect(7);
    assert!(run.stdout.starts_with("vm-uuid: "), "{run:?}");
    assert!(
        run.stderr.contains("warning: journalctl") && run.stderr.contains("-k failed"),
        "{run:?}"
    );
}

#[test]
fn no_journal_is_an_error_that_says_what_to_give_instead() {
    let folder = TempDir::new().unwrap();
    let mut command = vgpuctl(folder.path(), [] as [&str; 0]);
    let run = finished(command.env("PATH", folder.path()).output().unwrap()).expect(1);
    assert!(
        run.stderr.starts_with("error: journalctl not found"),
        "{run:?}"
    );
    assert!(
        run.stderr
            .contains("hint: pass a log instead: vgpuctl explain FILE"),
        "{run:?}"
    );
    let failing = run_with_journal(&with_journal("exit 1"), &[]).expect(1);
    assert!(
        failing.stderr.starts_with("error: journalctl"),
        "{failing:?}"
    );
}

#[test]
fn a_journalctl_that_others_could_have_written_is_not_run() {
    let folder = with_journal("touch run");
    let mode = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).unwrap();
    let run = run_with_journal(&folder, &[]).expect(6);
    assert!(
        run.stderr
            .starts_with("error: refusing to run journalctl: the directory"),
        "{run:?}"
    );
    assert!(!folder.path().join("run").exists());
    // Nor is one in a folder that is named from where the caller is.
    let mut command = vgpuctl(folder.path(), [] as [&str; 0]);
    let run = finished(command.env("PATH", ".").output().unwrap()).expect(1);
    assert!(
        run.stderr.starts_with("error: journalctl not found"),
        "{run:?}"
    );
}

#[test]
fn a_pipe_that_was_not_asked_for_is_not_read_and_that_is_said() {
    let folder = with_journal("true");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    // The text is in the pipe before the program begins.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(UUID_LINE.as_bytes()).unwrap();
    let mut command = vgpuctl(folder.path(), [] as [&str; 0]);
    let run = finished(command.env("PATH", path).stdin(reader).output().unwrap()).expect(3);
    assert!(
        run.stderr.contains("note: standard input was not read"),
        "{run:?}"
    );
}
