//! A simulated host on which a command of the documentation is typed, with what the page takes for granted.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::delegate::{Service, allow};
use crate::harness::{Run, SimHost, finished};

/// A vGPU that the pages speak of by these first characters.
const DEVICES: [&str; 2] = [
    "6f7fa2ba-627a-458c-9900-dbf3eab92a69",
    "83b8f4f2-509f-4a5c-a1e4-96ec5be28a0c",
];
const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef\n";
/// Whoever runs the tests is the user of the pages.
const POLICY: &str = "[[allow]]\nuser = 0\ntypes = [\"nvidia-63\", \"GRID P4-2Q\"]\ndevices = 2\n";
const DOMAIN_UUID: &str = "f0000001-0000-4000-8000-000000000001";
const DOMAIN: &str = "<domain>\n  <name>web</name>\n  <uuid>f0000001-0000-4000-8000-000000000001</uuid>\n  <devices>\n  </devices>\n</domain>\n";

pub struct Scene {
    // Before its host, so that it ends first.
    _service: Service,
    host: SimHost,
    folder: tempfile::TempDir,
}

/// What a command said.
pub struct Said(Run, String);

impl Scene {
    /// The host that `examples/hosts/<name>.toml` describes, with nothing on it.
    pub fn of_host(name: &str) -> Scene {
        Scene::on(SimHost::start(name))
    }

    /// A host on which this command makes sense, with the devices, files and domains that pages name: one with two
    /// Tesla P4, beside an L40S where it is about virtual functions.
    pub fn for_command(command: &str) -> Scene {
        let scene = match command.contains("vfs") || command.contains("mig") {
            true => Scene::on(SimHost::start_file(&own("host.toml"))),
            false => Scene::of_host("two-p4"),
        };
        for uuid in DEVICES {
            scene
                .host
                .run(&format!("create --type nvidia-63 --uuid {uuid}"))
                .expect(0);
        }
        let file =
            |name: &str, text: &str| std::fs::write(scene.folder.path().join(name), text).unwrap();
        file("FILE", &read("tests/docs/task.log"));
        for declaration in ["host.toml", "desktops.toml"] {
            file(declaration, &read("tests/docs/declaration.toml"));
        }
        scene
    }

    fn on(host: SimHost) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        let libvirt = folder.path().join("libvirt");
        for dir in [&bin, &libvirt] {
            std::fs::create_dir(dir).unwrap();
        }
        for name in ["vgpuctl", "mdevctl", "lsmdev"] {
            symlink(env!("CARGO_BIN_EXE_vgpuctl"), bin.join(name)).unwrap();
        }
        // A copy: whoever owns the sources could change what root runs.
        let virsh = std::fs::read_to_string(top().join("tests/cli/bin/virsh")).unwrap();
        let (_, virsh) = virsh.split_once('\n').unwrap();
        script(&bin.join("virsh"), virsh);
        // `simhost ctl reboot` and `sudo` on the page are these.
        script(&bin.join("sudo"), "exec \"$@\"");
        script(
            &bin.join("simhost"),
            &format!(
                "shift; exec '{}' ctl \"$VGPUCTL_ROOT\" \"$@\"",
                crate::harness::simhost().display()
            ),
        );
        script(
            &bin.join("dmesg"),
            &format!("cat '{}'", own("task.log").display()),
        );
        script(
            &bin.join("journalctl"),
            &format!("cat '{}'", own("task.log").display()),
        );
        std::fs::write(libvirt.join(format!("{DOMAIN_UUID}.xml")), DOMAIN).unwrap();
        std::fs::write(host.path("etc/machine-id"), MACHINE_ID).unwrap();
        allow(&host, POLICY);
        Scene {
            _service: Service::start(&host),
            host,
            folder,
        }
    }

    /// Types a command as it stands on the page, its placeholders filled in.
    pub fn run(&self, command: &str) -> Said {
        let command = filled(command);
        let bin = self.folder.path().join("bin");
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", &command])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("VGPUCTL_ROOT", self.host.root())
            .env("MDEVCTL_ENV_ROOT", self.host.root())
            .env_remove("SUDO_UID")
            .env("FAKE_LIBVIRT", self.folder.path().join("libvirt"))
            .env_remove("LD_LIBRARY_PATH")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        Said(finished(output), self.host.root().display().to_string())
    }
}

impl Said {
    /// What a person saw, as it would be on a real host.
    pub fn whole(&self) -> String {
        let text = format!("{}{}", self.0.stdout, self.0.stderr);
        text.replace(&self.1, "")
    }

    /// Whether it did what the page promises. A doctor that finds something to say has done its work, and so has a
    /// plan that is not empty.
    pub fn is_well(&self) -> bool {
        self.0.status == 0
            || (self.0.status == 1 && self.0.stdout.contains(" problems, "))
            || (self.0.status == 2 && self.0.stdout.contains("to create"))
    }
}

/// The command with the page's placeholders filled in.
fn filled(command: &str) -> String {
    let command = command.replace("... |", "cat FILE |");
    // Under another root, vgpuctl asks whose libvirt is meant.
    let command = command.replace("--apply web", "--apply web --connect qemu:///system");
    // Nobody is at a terminal here who could be asked.
    let command = match command.as_str() {
        "vgpuctl apply host.toml" => "vgpuctl apply host.toml --yes".to_owned(),
        _ => command,
    };
    // One that goes on until it is ended has done its work with its first line.
    let command = match command.contains("vgpuctl watch") {
        true => format!(
            "coproc W {{ exec {command}; }}; read -r line <&${{W[0]}} && kill $W_PID && wait $W_PID"
        ),
        false => command,
    };
    let words = command.split(' ').map(|word| match word {
        "UUID" => DEVICES[0],
        "GPU" => "0000:c1:00.0",
        "PARENT" => "0000:81:00.0",
        "TYPE" => "nvidia-63",
        other => other,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn own(name: &str) -> PathBuf {
    top().join("tests/docs").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(top().join(name)).unwrap()
}

fn script(path: &Path, line: &str) {
    std::fs::write(path, format!("#!/bin/bash\n{line}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, mode).unwrap();
}
