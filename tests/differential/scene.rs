//! What a case finds before it begins, made in one root.
//!
//! | line | what it makes |
//! | --- | --- |
//! | `parent ID` | a parent without types, in a plain tree |
//! | `type PARENT TYPE COUNT` | a type of it |
//! | `dev PARENT UUID TYPE` | an active device |
//! | `def PARENT UUID TEXT` | a definition with this text |
//! | `file PATH TEXT`, `folder PATH`, `link PATH TARGET` | that |
//! | `gone PATH`, `mode PATH OCTAL` | removes it, changes its mode |
//! | `callout NAME`, `notifier NAME` | a script that logs its arguments and standard input |
//! | `etc-callout NAME`, `etc-notifier NAME` | one in the older folder |
//! | `says NAME EVENT.ACTION TEXT`, `mutters ...` | its standard output, standard error then |
//! | `exits NAME EVENT.ACTION STATUS`, `dies NAME EVENT.ACTION` | how it ends then |
//! | `capable NAME [ACTIONS EVENTS]` | it answers with these capabilities, or with all |
//! | `ctl WORDS` | a command to the simulated host |
//!
//! In all of them, `$1` to `$9` are UUIDs, `$A` and `$B` parents, `$ROOT` the root; in texts, `\n`,
//! `\0` and `\xNN` are bytes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The parents of a plain tree.
const PARENTS: [&str; 2] = ["0000:41:00.0", "0000:42:00.0"];

const ALL_ACTIONS: &str = "start,stop,define,undefine,modify,attributes,capabilities";
const ALL_EVENTS: &str = "pre,post,notify,get,live";

/// Logs and answers; `@ROOT@` is the root, so that it does not depend on what it inherits.
const SCRIPT: &str = r#"#!/bin/sh
said=$(cat; printf .)
printf '%s %s <%s>\n' "$0" "$*" "${said%.}" >>'@ROOT@/log'
answer='@ROOT@/answers/'${0##*/}.$4.$6
[ ! -f "$answer.out" ] || cat "$answer.out"
[ ! -f "$answer.err" ] || cat "$answer.err" >&2
[ ! -f "$answer.dies" ] || kill -9 $$
[ ! -f "$answer.status" ] || exit "$(cat "$answer.status")"
exit 0
"#;

/// The nth UUID of the cases.
pub fn uuid(n: u32) -> String {
    format!("{n}abcdef0-0000-4000-8000-00000000000{n}")
}

/// Sends a command to a simulated host.
pub type Control<'a> = dyn Fn(&[&str]) + 'a;

/// A root that is being furnished.
pub struct Scene<'a> {
    pub root: &'a Path,
    /// Its parents, in order; `$A` is the first.
    pub parents: Vec<String>,
    /// Sends a command to the simulated host, where there is one.
    pub ctl: Option<&'a Control<'a>>,
}

impl<'a> Scene<'a> {
    /// A tree of plain files: folders, and two parents with three types unless it is `bare`.
    pub fn plain(root: &'a Path, bare: bool) -> Scene<'a> {
        let scene = Scene {
            root,
            parents: PARENTS.map(str::to_owned).to_vec(),
            ctl: None,
        };
        for folder in ["sys/bus/mdev/devices", "sys/class/mdev_bus"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        scene.folders();
        if !bare {
            for parent in PARENTS {
                scene.parent(parent);
                for (id, count) in [("small-2", 3), ("small-10", 5), ("full-1", 0)] {
                    scene.type_(parent, id, &count.to_string());
                }
            }
        }
        scene
    }

    /// Without these mdevctl does not even print its help.
    pub fn folders(&self) {
        for folder in [
            "etc/mdevctl.d",
            "usr/lib/mdevctl/scripts.d/callouts",
            "usr/lib/mdevctl/scripts.d/notifiers",
        ] {
            fs::create_dir_all(self.root.join(folder)).unwrap();
        }
    }

    /// `$1`, `$A`, `$ROOT`.
    pub fn expand(&self, text: &str) -> String {
        let mut text = text.replace("$ROOT", &self.root.to_string_lossy());
        for n in 1..=9 {
            text = text.replace(&format!("${n}"), &uuid(n));
        }
        for (name, parent) in ["$A", "$B"].into_iter().zip(&self.parents) {
            text = text.replace(name, parent);
        }
        text
    }

    /// Makes what one line says.
    pub fn make(&self, line: &str) {
        let line = self.expand(line);
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let (second, third) = after.split_once(' ').unwrap_or((after, ""));
        match verb {
            "parent" => self.parent(first),
            "type" => self.type_(first, second, third),
            "dev" => self.device(first, second, third),
            "def" => self.file(&format!("etc/mdevctl.d/{first}/{second}"), &bytes(third)),
            "file" => self.file(first, &bytes(after)),
            "folder" => fs::create_dir_all(self.root.join(first)).unwrap(),
            "link" => symlink(second, self.under(first)).unwrap(),
            "gone" => {
                let path = self.root.join(first);
                if path.is_dir() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(path).unwrap();
                }
            }
            "mode" => self.mode(first, u32::from_str_radix(second, 8).unwrap()),
            "callout" => self.script(&format!("usr/lib/mdevctl/scripts.d/callouts/{first}")),
            "notifier" => self.script(&format!("usr/lib/mdevctl/scripts.d/notifiers/{first}")),
            "etc-callout" => self.script(&format!("etc/mdevctl.d/scripts.d/callouts/{first}")),
            "etc-notifier" => self.script(&format!("etc/mdevctl.d/scripts.d/notifiers/{first}")),
            "says" => self.file(&format!("answers/{first}.{second}.out"), &bytes(third)),
            "mutters" => self.file(&format!("answers/{first}.{second}.err"), &bytes(third)),
            "exits" => self.file(
                &format!("answers/{first}.{second}.status"),
                third.as_bytes(),
            ),
            "dies" => self.file(&format!("answers/{first}.{second}.dies"), b""),
            "capable" => self.capable(first, second, third),
            "ctl" => {
                let words: Vec<_> = rest.split_whitespace().collect();
                self.ctl.expect("ctl needs a simulated host")(&words);
            }
            _ => panic!("a scene has no {line:?}"),
        }
    }

    fn parent(&self, id: &str) {
        let types = format!("sys/devices/{id}/mdev_supported_types");
        fs::create_dir_all(self.root.join(types)).unwrap();
        let link = self.under(&format!("sys/class/mdev_bus/{id}"));
        symlink(format!("../../devices/{id}"), link).unwrap();
    }

    fn type_(&self, parent: &str, id: &str, count: &str) {
        let folder = format!("sys/devices/{parent}/mdev_supported_types/{id}");
        fs::create_dir_all(self.root.join(&folder).join("devices")).unwrap();
        self.file(&format!("{folder}/create"), b"");
        self.file(&format!("{folder}/device_api"), b"vfio-pci\n");
        let count = format!("{count}\n");
        self.file(&format!("{folder}/available_instances"), count.as_bytes());
    }

    fn device(&self, parent: &str, uuid: &str, type_: &str) {
        if self.ctl.is_some() {
            let folder = format!("sys/class/mdev_bus/{parent}/mdev_supported_types/{type_}");
            fs::write(self.root.join(folder).join("create"), uuid).unwrap();
            return;
        }
        let folder = format!("sys/devices/{parent}/{uuid}");
        self.file(&format!("{folder}/remove"), b"");
        let type_link = self.root.join(&folder).join("mdev_type");
        symlink(format!("../mdev_supported_types/{type_}"), type_link).unwrap();
        let link = self.under(&format!("sys/bus/mdev/devices/{uuid}"));
        symlink(format!("../../../devices/{parent}/{uuid}"), link).unwrap();
    }

    fn script(&self, path: &str) {
        let root = self.root.to_string_lossy();
        self.file(path, SCRIPT.replace("@ROOT@", &root).as_bytes());
        self.mode(path, 0o755);
    }

    fn capable(&self, name: &str, actions: &str, events: &str) {
        let list = |words: &str, all: &str| {
            let words = if words.is_empty() { all } else { words };
            format!("\"{}\"", words.replace(',', "\",\""))
        };
        let text = format!(
            "{{\"supports\":{{\"version\":2,\"actions\":[{}],\"events\":[{}]}}}}\n",
            list(actions, ALL_ACTIONS),
            list(events, ALL_EVENTS)
        );
        let path = format!("answers/{name}.get.capabilities.out");
        self.file(&path, text.as_bytes());
    }

    fn file(&self, path: &str, text: &[u8]) {
        fs::write(self.under(path), text).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        let path = self.root.join(path);
        if mode & 0o111 != 0 {
            // Another thread's child may have inherited our descriptor, and the kernel does not
            // run what is open for writing: so another process writes it.
            let draft = self.root.join("draft");
            fs::rename(&path, &draft).unwrap();
            let copied = Command::new("cp").arg(&draft).arg(&path).status().unwrap();
            assert!(copied.success(), "cp to {}", path.display());
            fs::remove_file(draft).unwrap();
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The path, and the folder above it made.
    fn under(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

/// A text of a case as bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, length) = match after.as_bytes() {
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'x', ..] => (u8::from_str_radix(&after[1..3], 16).unwrap(), 3),
            // Anything else is for JSON.
            _ => (b'\\', 0),
        };
        bytes.push(byte);
        rest = &after[length..];
        if length == 0 {
            let next = rest.chars().next().map_or(0, char::len_utf8);
            bytes.extend_from_slice(&rest.as_bytes()[..next]);
            rest = &rest[next..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
