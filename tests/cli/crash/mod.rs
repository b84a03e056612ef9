//! Killed at every system call that anybody outside could see: a definition is as before or as
//! after, never anything else, and the next `restore` or the same command again settles the rest.
//!
//! strace counts the calls of an undisturbed run, then kills one run before each of them. It counts
//! each name for itself, so a point is a name and a number: the third `openat`. The calls before
//! the first one that names the host's root are the dynamic loader's and the runtime's; nothing can
//! have changed before them, and they are left out. Of those that only look, a sample is taken unless
//! VGPUCTL_CRASH is "all" (`make crash`).

pub mod points;
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::harness::SimHost;
use points::{calls, kill};
use scene::{ATTRIBUTE, OnFunction, OnP4, Scene};

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const CHANGED: &str = "disable_vnc=0";

/// A definition that no command is about: it must never change.
const BYSTANDER: &str = "0000:82:00.0/99999999-2222-3333-4444-555555555555";
const BYSTANDERS_TEXT: &str = "{\"start\":\"manual\", \"mdev_type\":\"nvidia-63\",\"by\": 1}\n";

#[test]
fn create_killed_anywhere() {
    kill_everywhere(&OnP4, create(&OnP4));
}

#[test]
fn create_on_a_function_killed_anywhere() {
    kill_everywhere(&OnFunction, create(&OnFunction));
}

fn create(scene: &impl Scene) -> Verb {
    let (type_id, parent) = (scene.type_id(), scene.place().1);
    Verb {
        name: "create",
        line: format!(
            "create --type {type_id} --parent {parent} --uuid {UUID} \
             --attr nvidia/vgpu_params={ATTRIBUTE}"
        ),
        before: State::default(),
        after: BOTH,
        when_done: (1, "is already active"),
    }
}

#[test]
fn restore_killed_anywhere() {
    kill_everywhere(&OnP4, restoring());
}

#[test]
fn restore_on_a_function_killed_anywhere() {
    kill_everywhere(&OnFunction, restoring());
}

fn restoring() -> Verb {
    Verb {
        name: "restore",
        line: "restore".to_owned(),
        before: State {
            defined: true,
            active: false,
        },
        after: BOTH,
        when_done: (0, ""),
    }
}

#[test]
fn define_killed_anywhere() {
    let (type_id, parent) = (OnP4.type_id(), OnP4.place().1);
    kill_everywhere(
        &OnP4,
        Verb {
            name: "define",
            line: format!("define --type {type_id} --parent {parent} --uuid {UUID}"),
            before: State::default(),
            after: State {
                defined: true,
                active: false,
            },
            when_done: (1, "is already defined"),
        },
    );
}

#[test]
fn modify_killed_anywhere() {
    kill_everywhere(
        &OnP4,
        Verb {
            name: "modify",
            line: format!(
                "modify {UUID} --manual --type nvidia-64 --set-attr 0 nvidia/vgpu_params=x=2"
            ),
            before: BOTH,
            after: BOTH,
            when_done: (0, ""),
        },
    );
}

#[test]
fn parameters_killed_anywhere() {
    kill_everywhere(
        &OnP4,
        Verb {
            name: "modify",
            line: format!("modify {UUID} --param {CHANGED}"),
            before: BOTH,
            after: BOTH,
            when_done: (0, ""),
        },
    );
}

#[test]
fn undefine_killed_anywhere() {
    kill_everywhere(
        &OnP4,
        Verb {
            name: "undefine",
            line: format!("undefine {UUID}"),
            before: State {
                defined: true,
                active: false,
            },
            after: State::default(),
            when_done: (3, "is neither active nor defined"),
        },
    );
}

#[test]
fn remove_killed_anywhere() {
    kill_everywhere(&OnP4, remove());
}

#[test]
fn remove_on_a_function_killed_anywhere() {
    kill_everywhere(&OnFunction, remove());
}

fn remove() -> Verb {
    Verb {
        name: "remove",
        line: format!("remove {UUID}"),
        before: BOTH,
        after: State::default(),
        when_done: (3, "is neither active nor defined"),
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    defined: bool,
    active: bool,
}

const BOTH: State = State {
    defined: true,
    active: true,
};

struct Verb {
    name: &'static str,
    line: String,
    before: State,
    after: State,
    /// How the same command ends where the killed one had done its work.
    when_done: (i32, &'static str),
}

fn kill_everywhere(scene: &dyn Scene, verb: Verb) {
    let begin = Instant::now();
    let stage = Stage::of(scene, &verb);

    stage.prepare(verb.before);
    let points = calls(&stage.host, &verb.line);
    assert!(points.len() > 20, "{}: {points:?}", verb.name);
    assert_eq!(stage.state(), verb.after, "{} undisturbed", verb.name);
    let texts = Texts {
        before: verb.before.defined.then(|| stage.text_before()),
        after: verb.after.defined.then(|| stage.definition().unwrap()),
    };

    // `restore` before the same command is tried wherever the kill left what no kill before it left.
    let mut left = BTreeSet::new();
    for point in &points {
        let at = format!("{} killed before {point:?}", verb.name);
        stage.prepare(verb.before);
        kill(&stage.host, &verb.line, point, &at);
        stage.check(&texts, true, &at);
        let is_new = left.insert((stage.files(), stage.attribute(), stage.notes()));
        stage.the_same_again(&verb, &texts, &at);
        if is_new {
            let at = format!("{at}, then restored");
            stage.prepare(verb.before);
            kill(&stage.host, &verb.line, point, &at);
            stage.restore(&at);
            stage.check(&texts, true, &at);
            stage.the_same_again(&verb, &texts, &at);
        }
    }
    println!(
        "{} in {}: killed at {} system calls, which left {} different states, in {:.0} s",
        verb.name,
        scene.place().0,
        points.len(),
        left.len(),
        begin.elapsed().as_secs_f64()
    );
}

/// A scene's host, which serves all runs one after the other.
struct Stage<'s> {
    scene: &'s dyn Scene,
    host: SimHost,
    /// The function that the definition names beforehand. `restore` writes it where it is missing.
    function: Option<&'static str>,
}

/// The definition's text as before and as after.
struct Texts {
    before: Option<String>,
    after: Option<String>,
}

impl Stage<'_> {
    /// `remove` looks through all processes: a machine's real ones come and go, and so would the
    /// calls.
    fn of<'s>(scene: &'s dyn Scene, verb: &Verb) -> Stage<'s> {
        let host = scene.start();
        fs::remove_file(host.path("proc")).unwrap();
        for pid in ["1", "4711"] {
            fs::create_dir_all(host.path("proc").join(pid).join("fd")).unwrap();
        }
        let function = scene.function().filter(|_| verb.name != "restore");
        Stage {
            scene,
            host,
            function,
        }
    }

    /// The same state before each run, made without the program.
    fn prepare(&self, wanted: State) {
        self.host.ctl(&["reboot"]);
        self.scene.make_others(&self.host);
        let _ = fs::remove_dir_all(self.definitions());
        write(&self.definitions().join(BYSTANDER), BYSTANDERS_TEXT);
        if wanted.defined {
            write(&self.definitions().join(self.own()), &self.text_before());
        }
        if wanted.active {
            self.scene.make(&self.host);
        }
    }

    /// mdevctl's form, so that nothing but a verb's own change can change a byte.
    fn text_before(&self) -> String {
        let mut definition = serde_json::json!({
            "mdev_type": self.scene.type_id(),
            "start": "auto",
            "attrs": [{ "nvidia/vgpu_params": ATTRIBUTE }],
        });
        if let Some(vf) = self.function {
            definition["vf"] = vf.into();
        }
        format!("{definition:#}")
    }

    fn definitions(&self) -> PathBuf {
        self.host.path(self.scene.place().0)
    }

    /// Where the definition is, below all.
    fn own(&self) -> PathBuf {
        Path::new(self.scene.place().1).join(UUID)
    }

    fn definition(&self) -> Option<String> {
        fs::read_to_string(self.definitions().join(self.own())).ok()
    }

    fn attribute(&self) -> Option<String> {
        self.scene.attribute(&self.host)
    }

    fn state(&self) -> State {
        State {
            defined: self.definition().is_some(),
            active: self.attribute().is_some(),
        }
    }

    /// Everything below the definitions' directory: text by path.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        for dir in fs::read_dir(self.definitions()).unwrap() {
            for file in fs::read_dir(dir.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let short = path.strip_prefix(self.definitions()).unwrap().to_owned();
                all.insert(short, fs::read_to_string(&path).unwrap());
            }
        }
        all
    }

    /// The names of what the program notes while the host is up; one for all hidden files, which
    /// have a process's number.
    fn notes(&self) -> BTreeSet<String> {
        let dir = self.host.path("run/vgpuctl");
        let mut names = BTreeSet::new();
        for dir in [dir.clone(), dir.join("vfs"), dir.join("types")] {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                // Each restore of this test leaves its result, which says nothing of a kill.
                if name == "restores" {
                    continue;
                }
                names.insert(if name.starts_with('.') {
                    ".".to_owned()
                } else {
                    name
                });
            }
        }
        names
    }

    /// Nothing but whole definitions, as before or as after, and hidden files where
    /// `may_be_hidden`; and what others have.
    #[track_caller]
    fn check(&self, texts: &Texts, may_be_hidden: bool, at: &str) {
        let mut files = self.files();
        let bystander = files.remove(Path::new(BYSTANDER));
        assert_eq!(bystander.as_deref(), Some(BYSTANDERS_TEXT), "{at}");
        let own = files.remove(&self.own());
        assert!(
            own == texts.before || own == texts.after,
            "{at}: the definition is {own:?}"
        );
        for path in files.keys() {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with('.') && may_be_hidden, "{at}: {path:?}");
        }
        self.scene.check_others(&self.host, at);
    }

    /// What is wanted at boot is active after it.
    #[track_caller]
    fn restore(&self, at: &str) {
        let run = self.host.run("restore");
        assert_eq!(run.status, 0, "{at}: {run:?}");
        let text = self.definition().unwrap_or_default();
        let attribute = self.attribute();
        if text.contains("\"auto\"") {
            assert!(attribute.is_some(), "{at}: {run:?}");
            if text.contains(ATTRIBUTE) {
                assert_eq!(attribute.as_deref(), Some(ATTRIBUTE), "{at}: {run:?}");
            }
        }
    }

    #[track_caller]
    fn the_same_again(&self, verb: &Verb, texts: &Texts, at: &str) {
        let found = self.state();
        // `define` and `undefine` have nothing to do with the device.
        let touches_device = matches!(verb.name, "create" | "remove" | "restore");
        let done = self.definition() == texts.after
            && (!touches_device || found.active == verb.after.active);
        let gone = !found.defined && matches!(verb.name, "undefine");
        let run = self.host.run(&verb.line);
        match run.status {
            status if (done || gone) && status == verb.when_done.0 => {
                assert!(run.stderr.contains(verb.when_done.1), "{at}: {run:#?}");
            }
            // A device whose maker was killed before it could say that it is finished is made anew.
            status => {
                let may_repeat = !done || verb.name == "create";
                assert!(
                    status == 0 && may_repeat && !gone,
                    "{at}: found {found:?}: {run:#?}"
                );
            }
        }
        assert_eq!(self.definition(), texts.after, "{at}: {run:#?}");
        let attribute = self.attribute();
        if touches_device {
            let wanted = verb.after.active.then_some(ATTRIBUTE);
            assert_eq!(attribute.as_deref(), wanted, "{at}: {run:#?}");
        } else {
            assert_eq!(attribute.is_some(), found.active, "{at}: {run:#?}");
        }
        if verb.line.ends_with(CHANGED) {
            assert_eq!(attribute.as_deref(), Some(CHANGED), "{at}: {run:#?}");
        }
        self.check(texts, false, at);
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
