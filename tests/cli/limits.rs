//! What has no end is not read to it, and what is too large is not written.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use crate::harness::{Run, SimHost, finished};
use crate::helpers::{P1, counter, definition, put, put_auto, uuid};

const MIB: usize = 1 << 20;

/// Says yes, into a file or a pipe, as long as somebody listens.
fn yes(out: impl Into<Stdio>) -> Child {
    let mut yes = Command::new("yes");
    yes.stdout(out).stderr(Stdio::null()).spawn().unwrap()
}

/// A FIFO with somebody who writes to it without end.
fn endless_fifo(host: &SimHost) -> (PathBuf, Child) {
    let path = host.path("endless");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    // Opening waits for the reader, so another process has to.
    let script = "exec yes > \"$0\"";
    let writer = Command::new("sh").args(["-c", script]).arg(&path).spawn();
    (path, writer.unwrap())
}

fn end(mut child: Child) {
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
}

fn mdevctl(host: &SimHost, words: &[&str]) -> Command {
    let mut command = host.command(words);
    command.arg0("mdevctl").env("MDEVCTL_ENV_ROOT", host.root());
    command
}

#[track_caller]
fn tells_the_limit(run: &Run, file: &str) {
    assert!(run.stderr.contains("larger than 1 MiB"), "{run:#?}");
    assert!(run.stderr.contains(file), "{run:#?}");
    assert_eq!(run.stdout, "");
}

#[test]
fn a_file_without_an_end_is_refused_with_its_name_and_the_limit() {
    let host = SimHost::start("two-p4");
    let description = ["--uuid", &uuid(1), "--parent", P1, "--jsonfile"];
    let by_mdevctl = |verb: &str, file: &str| {
        let words: Vec<&str> = [verb]
            .into_iter()
            .chain(description)
            .chain([file])
            .collect();
        mdevctl(&host, &words)
    };
    for file in ["/dev/zero", "/proc/self/fd/0"] {
        let run = |mut command: Command| {
            let mut writer = yes(Stdio::piped());
            command.stdin(writer.stdout.take().unwrap());
            let run = finished(command.output().unwrap());
            end(writer);
            run
        };
        for format in [
            "nova",
            "cyborg",
            "proxmox",
            "kubevirt",
            "nvidia-vgpu-device-manager",
        ] {
            let words = ["plan", "--from", format, file];
            tells_the_limit(&run(host.command(words)).expect(1), file);
        }
        tells_the_limit(&run(host.command(["plan", file])).expect(1), file);
        let run_stdin = run(host.command(["plan", "-"])).expect(1);
        tells_the_limit(&run_stdin, "standard input");
        for verb in ["define", "modify", "start"] {
            tells_the_limit(&run(by_mdevctl(verb, file)).expect(1), file);
        }
    }
    let (fifo, writer) = endless_fifo(&host);
    let run = host.run_args(["plan".as_ref(), fifo.as_os_str()]).expect(1);
    tells_the_limit(&run, "endless");
    end(writer);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn a_file_of_the_hosts_without_an_end_hides_nothing_else() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    symlink("/dev/zero", definition(&host, P1, &uuid(2))).unwrap();
    put(&host, P1, &uuid(3), vec![b' '; MIB + 1]);
    let run = host.run("list --defined --json").expect(7);
    assert_eq!(
        run.json()["devices"].as_array().unwrap().len(),
        1,
        "{run:#?}"
    );
    for id in [uuid(2), uuid(3)] {
        assert!(run.stdout.contains(&id), "{run:#?}");
    }
    let run = host.run("restore").expect(7);
    assert!(run.stderr.contains("File too large (EFBIG)"), "{run:#?}");
    assert!(run.stderr.contains("larger than 1 MiB"), "{run:#?}");
    assert_eq!(host.active(), [uuid(1)]);
    let machine_id = host.path("etc/machine-id");
    let _ = std::fs::remove_file(&machine_id);
    symlink("/dev/zero", &machine_id).unwrap();
    let text = "version = 1\n[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\ncount = 1\n";
    std::fs::write(host.path("host.toml"), text).unwrap();
    let run = host.run_args(["plan".as_ref(), host.path("host.toml").as_os_str()]);
    let run = run.expect(1);
    assert!(
        run.stderr.contains("machine-id: File too large"),
        "{run:#?}"
    );
}

/// More than a file may hold, in words that the kernel takes on a command line.
fn long_attrs() -> Vec<String> {
    let value = "v".repeat(120_000);
    (0..9)
        .flat_map(|n| ["--attr".to_owned(), format!("a{n}={value}")])
        .collect()
}

fn untouched(host: &SimHost, before: &[u8]) {
    assert_eq!(
        std::fs::read(definition(host, P1, &uuid(1))).unwrap(),
        before
    );
    assert_eq!(
        (counter(host, "create_writes"), host.defined().len()),
        (0, 1)
    );
}

#[track_caller]
fn is_refused(run: Run) {
    assert!(run.status != 0, "{}", run.stdout);
    assert!(run.stderr.contains("is too large"), "{run:#?}");
    assert!(run.stderr.len() < 2000, "{}", run.stderr.len());
}

#[test]
fn a_definition_that_would_not_be_read_again_is_refused_before_anything_changes() {
    let host = SimHost::start("two-p4");
    // As much as fits.
    let value = "v".repeat(120_000);
    let attrs: Vec<String> = (0..8)
        .map(|n| format!("{{\"a{n}\":\"{value}\"}}"))
        .collect();
    let most = format!(
        "{{\"mdev_type\":\"nvidia-63\",\"start\":\"manual\",\"attrs\":[{}]}}",
        attrs.join(",")
    );
    put(&host, P1, &uuid(1), &most);
    let run = |words: &[&str], more: &[String]| {
        let words = words.iter().map(|word| (*word).to_owned());
        host.run_args(words.chain(more.iter().cloned()))
    };
    let kind = ["--type", "nvidia-63"];
    let (one, two) = (uuid(1), uuid(2));
    let new = [&kind[..], &["--parent", P1, "--uuid", &two]].concat();
    for dry in [&[][..], &["--dry-run"]] {
        is_refused(run(&[&["define"], &new[..], dry].concat(), &long_attrs()));
        is_refused(run(&[&["create"], &new[..], dry].concat(), &long_attrs()));
        let more = format!("b={}", &value);
        let grown = [&["modify", &one, "--attr", &more], dry].concat();
        is_refused(run(&grown, &[]));
    }
    is_refused(run(
        &[&["create"], &kind[..], &["--count", "2"]].concat(),
        &long_attrs(),
    ));
    let grown = [
        "modify",
        "--uuid",
        &one,
        "--addattr",
        "b",
        "--value",
        &value,
    ];
    is_refused(finished(mdevctl(&host, &grown).output().unwrap()));
    untouched(&host, most.as_bytes());

    // Short here, long as a definition writes it.
    let many = vec!["{\"a\":\"b\"}"; 50_000].join(",");
    let short = format!("{{\"mdev_type\":\"nvidia-63\",\"start\":\"manual\",\"attrs\":[{many}]}}");
    let path = host.path("short.json");
    std::fs::write(&path, short).unwrap();
    let path = path.to_str().unwrap();
    for words in [
        ["define", "--uuid", &two, "--parent", P1, "--jsonfile", path],
        ["modify", "--uuid", &one, "--parent", P1, "--jsonfile", path],
        ["modify", "--uuid", &two, "--parent", P1, "--jsonfile", path],
    ] {
        is_refused(finished(mdevctl(&host, &words).output().unwrap()));
    }
    let many = vec!["'a=b'"; 50_000].join(",");
    let text = format!(
        "version = 1\n[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\ncount = 1\nattrs = [{many}]\n"
    );
    let file = host.path("host.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(
        host.path("etc/machine-id"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    is_refused(run(&["plan", file], &[]));
    is_refused(run(&["apply", "--yes", file], &[]));
    untouched(&host, most.as_bytes());
}

#[test]
fn a_running_device_is_not_changed_for_a_definition_that_cannot_follow() {
    let host = SimHost::start("two-p4");
    host.run(&format!(
        "create --type nvidia-63 --parent {P1} --uuid {}",
        uuid(1)
    ))
    .expect(0);
    let asked = host.path("asked");
    let dir = host.path("etc/mdevctl.d/scripts.d/callouts");
    std::fs::create_dir_all(&dir).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\ncat > /dev/null\n",
        asked.display()
    );
    write_program(&dir.join("all"), &script);
    let many = vec!["{\"a\":\"b\"}"; 50_000].join(",");
    let short = format!("{{\"mdev_type\":\"nvidia-63\",\"start\":\"auto\",\"attrs\":[{many}]}}");
    let path = host.path("short.json");
    std::fs::write(&path, short).unwrap();
    let words = [
        "modify",
        "--live",
        "--defined",
        "--uuid",
        &uuid(1),
        "--jsonfile",
    ];
    let words = [&words[..], &[path.to_str().unwrap()]].concat();
    is_refused(finished(mdevctl(&host, &words).output().unwrap()));
    let asked = std::fs::read_to_string(asked).unwrap_or_default();
    assert!(!asked.contains(" live "), "{asked}");
}

/// Another process writes it: one that is open for writing here when a thread forks cannot run.
fn write_program(path: &Path, text: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(writer.wait().unwrap().success());
}

/// A user with a name and without rights, and root for whom sudo runs nothing.
const NOBODY: &str = "65534";

/// `name` with these words on this host, as sudo runs it for a user.
fn by_sudo(user: &str, name: &str, words: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
    command
        .arg0(name)
        .args(words)
        .env_remove("VGPUCTL_ROOT")
        .env_remove("MDEVCTL_ENV_ROOT")
        .env_remove("LD_LIBRARY_PATH")
        .env("SUDO_UID", user)
        .stdin(Stdio::null());
    finished(command.output().unwrap())
}

#[test]
fn what_the_user_could_not_read_himself_is_not_shown_to_him_by_sudo() {
    if !geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        let path = folder.path().join(name);
        let made = File::create(&path).unwrap();
        made.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    const SECRET: &str = "topsecret";
    const FAILURE: &str = "nvidia-vgpu-mgr[4]: topsecret vmiop_env_log: Failed to get VM UUID from QEMU command-line 0x57\n";
    let cases = |mode: u32| {
        let lines = format!("version = \"{SECRET}\"\n");
        let yaml = format!("version: v1\nvgpu-configs:\n  {SECRET}: 1\n  a: {SECRET}\n");
        let json = format!("{{\"mdev_type\":\"nvidia-63\",\"start\":\n\"{SECRET}\"}}");
        let toml = file(&format!("toml{mode:o}"), mode, &lines);
        let yaml = file(&format!("yaml{mode:o}"), mode, &yaml);
        let json = file(&format!("json{mode:o}"), mode, &json);
        let log = file(&format!("log{mode:o}"), mode, FAILURE);
        let manager = "nvidia-vgpu-device-manager";
        let verbs = [&["plan"][..], &["assert"], &["apply", "--yes"]]
            .map(|verb| verb.iter().copied().chain([toml.as_str()]));
        let mut all: Vec<(&str, Vec<String>)> = verbs
            .map(|words| ("vgpuctl", words.map(str::to_owned).collect()))
            .to_vec();
        for words in [
            vec!["plan", "--from", manager, &yaml],
            vec!["plan", "--from", manager, "--select", "a", &yaml],
            vec!["plan", "--from", "nova", &toml],
            vec!["plan", "--from", "proxmox", &toml],
            vec!["plan", "--json", &toml],
            vec!["explain", &log],
            vec!["explain", "--json", &log],
        ] {
            all.push(("vgpuctl", words.into_iter().map(str::to_owned).collect()));
        }
        let id = uuid(1);
        for verb in ["define", "modify", "start"] {
            let words = [
                verb,
                "--uuid",
                &id,
                "--parent",
                "nowhere",
                "--jsonfile",
                &json,
            ];
            all.push(("mdevctl", words.into_iter().map(str::to_owned).collect()));
        }
        all
    };
    let shows = |user: &str, mode: u32| -> Vec<bool> {
        let cases = cases(mode).into_iter();
        cases
            .map(|(name, words)| {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let run = by_sudo(user, name, &words);
                let all = format!("{}{}", run.stdout, run.stderr);
                let is_shown = all.contains(SECRET);
                if !is_shown && words[0] != "explain" {
                    assert!(all.contains(words[words.len() - 1]), "{run:#?}");
                }
                is_shown
            })
            .collect()
    };
    let by_root = shows("0", 0o600);
    assert!(
        by_root.iter().filter(|is_shown| **is_shown).count() > 8,
        "{by_root:?}"
    );
    // What he may read is told as before.
    assert_eq!(shows(NOBODY, 0o644), by_root);
    for user in [NOBODY, "1234567", "-1", "root"] {
        let shown = shows(user, 0o600);
        assert!(!shown.contains(&true), "{user}: {shown:?}");
    }
    let toml = file("toml", 0o600, "version = 1\nx = 1\ntopsecret\n");
    let run = by_sudo(NOBODY, "vgpuctl", &["plan", &toml]).expect(1);
    assert!(
        run.stderr.contains("toml:3: invalid content, not shown"),
        "{run:#?}"
    );
    assert!(
        run.stderr
            .contains("user 65534, who ran sudo, may not read it"),
        "{run:#?}"
    );
    // A folder on the way counts as well.
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let inside = closed.join("f");
    std::fs::write(&inside, "topsecret\n").unwrap();
    let run = by_sudo(NOBODY, "vgpuctl", &["plan", inside.to_str().unwrap()]);
    assert!(!run.stderr.contains("topsecret"), "{run:#?}");
}
