//! A card that is at another address after a reboot: what restore says brings its vGPUs back, typed
//! as it says.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Run, SimHost, finished};
use crate::helpers::{put, put_auto, uuid};

fn host(text: &str) -> SimHost {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    SimHost::start_file(file.path())
}

/// The commands of the hint about another address.
#[track_caller]
fn recipe(run: &Run) -> String {
    let mut hints = run
        .stderr
        .lines()
        .filter(|line| line.contains("definitions there: "));
    let hint = hints.next().unwrap_or_else(|| panic!("{run:#?}"));
    assert_eq!(hints.next(), None, "once: {run:#?}");
    hint.split_once("definitions there: ").unwrap().1.to_owned()
}

/// Types them, with a yes where `apply` asks at a terminal.
#[track_caller]
fn follow(host: &SimHost, recipe: &str) {
    let folder = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_vgpuctl"), folder.path().join("vgpuctl")).unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let script = recipe.replace("vgpuctl apply", "vgpuctl apply --yes");
    let output = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("VGPUCTL_ROOT", host.root())
        .env_remove("LD_LIBRARY_PATH")
        .output();
    finished(output.unwrap()).expect(0);
}

/// Where each UUID is, and whether it runs: by `list`.
fn listed(host: &SimHost) -> Vec<(String, String, bool)> {
    let list = host.run("list --json").expect(0).json();
    let devices = list["devices"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    devices
        .map(|one| {
            (
                text(&one["uuid"]),
                text(&one["parent"]),
                one["active"] == true,
            )
        })
        .collect()
}

#[test]
fn definitions_of_a_card_follow_it() {
    let old = "0000:81:00.0";
    let host = host("[[parent]]\nid = \"0000:c1:00.0\"\ncard = \"p4\"\n");
    put_auto(&host, old, &uuid(1), "nvidia-63");
    let attrs = r#"{"mdev_type":"nvidia-63","start":"auto","attrs":[{"nvidia/vgpu_params":"frame_rate_limiter=0"}]}"#;
    put(&host, old, &uuid(2), attrs);
    put(
        &host,
        old,
        &uuid(3),
        r#"{"mdev_type":"nvidia-63","start":"manual"}"#,
    );
    let failed = host.run("restore").expect(7);
    let steps = recipe(&failed);
    assert!(
        steps.contains(old) && steps.contains("0000:c1:00.0"),
        "{steps}"
    );
    assert_eq!(recipe(&host.run("restore --dry-run").expect(7)), steps);

    follow(&host, &steps);
    let new = "0000:c1:00.0".to_owned();
    let there = |n, runs| (uuid(n), new.clone(), runs);
    assert_eq!(
        listed(&host),
        [there(1, true), there(2, true), there(3, false)]
    );
    assert!(!host.path(&format!("etc/mdevctl.d/{old}")).exists());
    let kept = fs::read_to_string(host.path(&format!("etc/mdevctl.d/{new}/{}", uuid(2))));
    assert!(kept.unwrap().contains("frame_rate_limiter=0"));
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
}

#[test]
fn definitions_on_functions_follow_with_the_settings_of_their_gpu() {
    let (old, new) = ("0000:41:00.0", "0000:c3:00.0");
    for (card, mdev, framework, type_name) in [
        ("a40", true, "mdev", "A40-8Q"),
        ("l40s", false, "vendor", "L40S-8Q"),
    ] {
        let text = |id: &str| {
            format!(
                "mdev = {mdev}\n[[parent]]\nid = \"{id}\"\ncard = \"{card}\"\nvfs = 8\n\
                 vf_framework = \"{framework}\"\n"
            )
        };
        let before = host(&text(old));
        before.run(&format!("vfs enable {old} --at-boot")).expect(0);
        for n in 1..=3 {
            before
                .run(&format!("create -t {type_name} -u {}", uuid(n)))
                .expect(0);
        }
        let after = host(&text(new));
        let copied = Command::new("cp")
            .arg("-a")
            .args([before.path("etc/."), after.path("etc")])
            .status();
        assert!(copied.unwrap().success());
        let failed = after.run("restore").expect(7);
        follow(&after, &recipe(&failed));
        let now = listed(&after);
        let names: Vec<&String> = now.iter().map(|(uuid, _, _)| uuid).collect();
        assert_eq!(names, [&uuid(1), &uuid(2), &uuid(3)]);
        for (_, parent, runs) in &now {
            assert!(parent.starts_with("0000:c3:") && *runs, "{now:?}");
        }
        after.ctl(&["reboot"]);
        let restored = after.run("restore").expect(0);
        assert_eq!(
            restored.stdout.matches("started").count(),
            3,
            "{restored:?}"
        );
        assert!(!after.path(&format!("etc/vgpuctl.d/{old}")).exists() || card == "a40");
        assert!(!after.path("etc/mdevctl.d/0000:41:00.4").exists());
    }
}

/// Virtual machines name functions by their addresses: what was .5 of a card stays .5 of it.
#[test]
fn on_another_bus_functions_keep_their_numbers() {
    let (old, new) = ("0000:41:00.0", "0000:c3:00.0");
    let host = host(&format!(
        "mdev = false\n[[parent]]\nid = \"{new}\"\ncard = \"l40s\"\nvfs = 8\nenabled_vfs = 8\n\
         vf_framework = \"vendor\"\n"
    ));
    for (n, number) in [(1, 5), (2, 6)] {
        let path = host.path(&format!("etc/vgpuctl.d/{old}/{}", uuid(n)));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text =
            format!(r#"{{"mdev_type":"nvidia-1152","start":"auto","vf":"0000:41:00.{number}"}}"#);
        fs::write(path, text).unwrap();
    }
    let steps = recipe(&host.run("restore").expect(7));
    follow(&host, &steps);
    let list = host.run("list --json").expect(0).json();
    let vfs: Vec<_> = list["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["vf"].clone())
        .collect();
    assert_eq!(vfs, ["0000:c3:00.5", "0000:c3:00.6"]);
}

#[test]
fn definitions_of_two_cards_go_to_two_cards() {
    let host = SimHost::start("two-p4");
    put_auto(&host, "0000:91:00.0", &uuid(1), "nvidia-63");
    put_auto(&host, "0000:92:00.0", &uuid(2), "nvidia-64");
    let steps = recipe(&host.run("restore").expect(7));
    follow(&host, &steps);
    let wanted = [
        (uuid(1), "0000:81:00.0".to_owned(), true),
        (uuid(2), "0000:82:00.0".to_owned(), true),
    ];
    assert_eq!(listed(&host), wanted);
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
}

#[test]
fn nothing_is_said_where_the_card_is_there_or_nothing_offers_its_type() {
    let host = host("[[parent]]\nid = \"0000:c1:00.0\"\ncard = \"p4\"\n");
    put_auto(&host, "0000:81:00.0", &uuid(1), "nvidia-11");
    put_auto(&host, "mtty", &uuid(2), "nvidia-63");
    put_auto(&host, "0000:c1:00.0", &uuid(3), "nvidia-63");
    host.ctl(&["detach", "0000:c1:00.0"]);
    let failed = host.run("restore").expect(7);
    assert!(!failed.stderr.contains("definitions there: "), "{failed:?}");
}
