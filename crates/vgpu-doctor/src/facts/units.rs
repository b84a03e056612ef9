//! systemd's unit files, read as systemd reads them: which file counts, what drop-ins change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Look;
use crate::Evidence;
use vgpu_host::error::Error;
use vgpu_host::host::Host;

/// One line of a unit or a drop-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The file.
    pub path: PathBuf,
    /// What stands behind the `=`.
    pub value: String,
}

impl Setting {
    /// Where it stands, and what stands there: `key` and the value.
    pub fn as_evidence(&self, key: &str) -> Evidence {
        Evidence::new(&self.path, format!("{key}{}", self.value))
    }
}

/// A service as its files describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// "nvidia-vgpud.service".
    pub name: String,
    /// The file that counts; `None` where there is no such unit.
    pub file: Option<PathBuf>,
    /// Somebody has forbidden its start.
    pub is_masked: bool,
    /// The link that starts it at boot.
    pub wanted_by: Option<PathBuf>,
    /// What it runs.
    pub exec_start: Vec<Setting>,
    /// Variables it sets, one `NAME=value` each.
    pub environment: Vec<Setting>,
    /// Files of variables that it names.
    environment_files: Vec<Setting>,
    /// Files that systemd does not read although they lie among the drop-ins.
    pub ignored: Vec<PathBuf>,
    /// Why not all of it is known.
    pub unreadable: Option<Error>,
    /// The files that its lines name and that are there.
    there: BTreeSet<PathBuf>,
}

impl Unit {
    /// Reads the unit of that name, as far as it can be read.
    pub fn read(look: &Look<'_>, name: &str) -> Unit {
        let dirs = look.host.unit_dirs();
        let mut unit = Unit {
            name: name.to_owned(),
            file: None,
            is_masked: false,
            wanted_by: None,
            exec_start: Vec::new(),
            environment: Vec::new(),
            environment_files: Vec::new(),
            ignored: Vec::new(),
            unreadable: None,
            there: BTreeSet::new(),
        };
        for dir in dirs.iter().filter(|dir| has(look, dir, name)) {
            let path = dir.join(name);
            let target = look.link(&path);
            if target.as_deref().is_some_and(Host::is_mask) {
                unit.is_masked = true;
            } else if !look.is_there(&path) {
                continue;
            }
            unit.file = Some(path);
            break;
        }
        unit.wanted_by = wanted_by(look, &dirs, name);
        if let (Some(path), false) = (unit.file.clone(), unit.is_masked) {
            unit.apply(look, &path);
        }
        let (drop_ins, ignored) = drop_ins(look, &dirs, name);
        unit.ignored = ignored;
        for path in drop_ins {
            unit.apply(look, &path);
        }
        unit.add_environment_files(look);
        let lines = unit.exec_start.iter().chain(&unit.environment);
        let paths = lines.flat_map(|setting| named(look.host, &setting.value));
        unit.there = paths.filter(|path| look.is_there(path)).collect();
        unit
    }

    /// Whether a file that one of its lines names is there.
    pub fn finds(&self, path: &Path) -> bool {
        self.there.contains(path)
    }

    /// What starts the daemon, or else the unit, sets a variable to, and where it says so: `env
    /// NAME=VALUE /usr/bin/nvidia-vgpu-mgr` counts more than `Environment=`.
    pub fn told(&self, name: &str) -> Option<(String, Evidence)> {
        let value = |word: &str| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        for setting in &self.exec_start {
            if let Some(value) = words(&setting.value).iter().find_map(|word| value(word)) {
                return Some((value, setting.as_evidence("ExecStart=")));
            }
        }
        let (setting, value) = self.variable(name)?;
        Some((value.to_owned(), setting.as_evidence("")))
    }

    /// The file that counts, for evidence.
    pub fn place(&self) -> PathBuf {
        self.file.clone().unwrap_or_default()
    }

    /// Whether systemd can start it.
    pub fn is_startable(&self) -> bool {
        self.file.is_some() && !self.is_masked
    }

    /// What files say of variables counts more than the unit itself (systemd.exec(5)).
    fn add_environment_files(&mut self, look: &Look<'_>) {
        for file in std::mem::take(&mut self.environment_files) {
            let path = look
                .host
                .named(Path::new(file.value.trim_start_matches('-')));
            // One that is not there keeps the unit from starting, which is not for here.
            let Ok(Some(text)) = look.text(&path) else {
                continue;
            };
            let lines = text.lines().map(str::trim);
            let settings = lines.filter(|line| !line.starts_with(['#', ';']) && line.contains('='));
            self.environment.extend(settings.map(|line| Setting {
                path: path.clone(),
                value: words(line).join(" "),
            }));
        }
    }

    fn apply(&mut self, look: &Look<'_>, path: &Path) {
        let text = match look.text(path) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(error) => {
                self.unreadable = Some(error);
                return;
            }
        };
        for (section, key, value) in settings(&text) {
            let list = match (section.as_str(), key.as_str()) {
                ("Service", "ExecStart") => &mut self.exec_start,
                ("Service", "Environment") => &mut self.environment,
                ("Service", "EnvironmentFile") => &mut self.environment_files,
                _ => continue,
            };
            // An empty assignment takes back all that came before (systemd.service(5)).
            if value.is_empty() {
                list.clear();
                continue;
            }
            let values = match key.as_str() {
                "Environment" => words(&value),
                _ => vec![value],
            };
            list.extend(values.into_iter().map(|value| Setting {
                path: path.to_owned(),
                value,
            }));
        }
    }

    /// The value of a variable that it sets, and where; the last assignment counts.
    pub fn variable(&self, name: &str) -> Option<(&Setting, &str)> {
        self.environment.iter().rev().find_map(|setting| {
            let (key, value) = setting.value.split_once('=')?;
            (key == name).then_some((setting, value))
        })
    }
}

/// Whether a directory has that name, by its list.
fn has(look: &Look<'_>, dir: &Path, name: &str) -> bool {
    look.names_or_none(dir).iter().any(|entry| entry == name)
}

/// The paths that a line may mean: what is absolute in it, and its first word as a program's name.
fn named(host: &Host, value: &str) -> Vec<PathBuf> {
    let words = words(value);
    let first = words.first().filter(|word| !word.starts_with('/'));
    let programs = first.map(|name| host.program_dirs().map(|dir| dir.join(name)));
    let parts = words.iter().flat_map(|word| word.split([':', ' ', '=']));
    let absolute = parts
        .map(|part| part.trim_start_matches(PREFIXES))
        .filter(|part| part.starts_with('/'))
        .map(|part| host.named(Path::new(part)));
    programs.into_iter().flatten().chain(absolute).collect()
}

/// What may stand before a program in `ExecStart=` (systemd.service(5)).
pub const PREFIXES: [char; 5] = ['-', '@', '+', '!', ':'];

fn wanted_by(look: &Look<'_>, dirs: &[PathBuf], name: &str) -> Option<PathBuf> {
    let is_one = |entry: &String| entry.ends_with(".wants") || entry.ends_with(".requires");
    dirs.iter().find_map(|dir| {
        let targets = look.names_or_none(dir).into_iter().filter(is_one);
        let mut targets = targets.map(|target| dir.join(target));
        let wanting = targets.find(|target| has(look, target, name))?;
        Some(wanting.join(name))
    })
}

/// Drop-ins in the order of their names, of each name the one that counts; and what is none.
fn drop_ins(look: &Look<'_>, dirs: &[PathBuf], name: &str) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut ignored = Vec::new();
    for place in drop_in_names(name) {
        for dir in dirs.iter().filter(|dir| has(look, dir, &place)) {
            let dir = dir.join(&place);
            for entry in look.names_or_none(&dir) {
                let path = dir.join(&entry);
                match entry.ends_with(".conf") {
                    true => {
                        found.entry(entry).or_insert(path);
                    }
                    false => ignored.push(path),
                }
            }
        }
    }
    (found.into_values().collect(), ignored)
}

/// `a-b.service.d`, `a-.service.d`, `service.d`: the most specific first (systemd.unit(5)).
fn drop_in_names(name: &str) -> Vec<String> {
    let mut names = vec![format!("{name}.d")];
    if let Some((stem, kind)) = name.rsplit_once('.') {
        let mut stem = stem;
        while let Some((shorter, _)) = stem.trim_end_matches('-').rsplit_once('-') {
            names.push(format!("{shorter}-.{kind}.d"));
            stem = shorter;
        }
        names.push(format!("{kind}.d"));
    }
    names
}

/// Section, key and value of each line; a backslash at the end joins the next line.
fn settings(text: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let mut whole = line.to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            let next = lines.next().unwrap_or_default().trim();
            whole.push(' ');
            whole.push_str(next);
        }
        if let Some((key, value)) = whole.split_once('=') {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            found.push((section.clone(), key, value));
        }
    }
    found
}

/// The words of a value, with systemd's quotes taken off.
pub fn words(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut is_open = false;
    let mut signs = value.chars();
    while let Some(sign) = signs.next() {
        match (quote, sign) {
            (_, '\\') => word.extend(signs.next()),
            (Some(mark), _) if sign == mark => quote = None,
            (None, '"' | '\'') => (quote, is_open) = (Some(sign), true),
            (None, _) if sign.is_whitespace() => {
                if is_open || !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            _ => word.push(sign),
        }
    }
    if is_open || !word.is_empty() {
        found.push(word);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn read(files: &[(&str, &str)]) -> (tempfile::TempDir, Unit) {
        let root = tempfile::tempdir().unwrap();
        for (below, text) in files {
            let path = root.path().join(below);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, text).unwrap(),
            }
        }
        let host = Host::new(root.path());
        let unit = Unit::read(&Look::at(&host), "nvidia-vgpud.service");
        (root, unit)
    }

    const VENDOR: &str = "[Unit]\nDescription=x\n[Service]\nType=forking\nExecStart=/usr/bin/nvidia-vgpud\nExecStopPost=/bin/rm -rf /var/run/nvidia-vgpud\n[Install]\nWantedBy=multi-user.target\n";

    #[test]
    fn the_administrators_file_counts_and_drop_ins_add_and_take_back() {
        let (root, unit) = read(&[
            (
                "usr/lib/systemd/system/nvidia-vgpud.service",
                "[Service]\nExecStart=/other\n",
            ),
            ("etc/systemd/system/nvidia-vgpud.service", VENDOR),
            (
                "etc/systemd/system/nvidia-vgpud.service.d/b.conf",
                "[Service]\nEnvironment=\"A=1 2\" LD_PRELOAD=/opt/x.so\n",
            ),
            (
                "run/systemd/system/nvidia-vgpud.service.d/b.conf",
                "[Service]\nEnvironment=HIDDEN=1\n",
            ),
            (
                "etc/systemd/system/nvidia-vgpud.service.d/c.conf",
                "[Service]\nExecStart=\nExecStart=/opt/w \\\n  /usr/bin/nvidia-vgpud\n[Other]\nEnvironment=B=2\n",
            ),
            ("etc/systemd/system/nvidia-vgpud.service.d/c.conf.bak", "x"),
            (
                "etc/systemd/system/nvidia-.service.d/d.conf",
                "[Service]\nEnvironment=D=4\n",
            ),
        ]);
        let at = |below: &str| root.path().join("etc/systemd/system").join(below);
        assert_eq!(unit.file, Some(at("nvidia-vgpud.service")));
        let started: Vec<&str> = unit.exec_start.iter().map(|s| s.value.as_str()).collect();
        assert_eq!(
            started,
            ["/opt/w    /usr/bin/nvidia-vgpud"].map(|s| s.replace("    ", "  "))
        );
        let (setting, library) = unit.variable("LD_PRELOAD").unwrap();
        assert_eq!(library, "/opt/x.so");
        assert_eq!(setting.path, at("nvidia-vgpud.service.d/b.conf"));
        assert_eq!(unit.variable("A").unwrap().1, "1 2");
        assert_eq!(unit.variable("D").unwrap().1, "4");
        assert_eq!((unit.variable("B"), unit.variable("HIDDEN")), (None, None));
        assert_eq!(unit.ignored, [at("nvidia-vgpud.service.d/c.conf.bak")]);
        assert_eq!(unit.wanted_by, None);
    }

    #[test]
    fn a_file_of_variables_counts_more_than_the_unit() {
        let (root, unit) = read(&[
            ("usr/lib/systemd/system/nvidia-vgpud.service", VENDOR),
            (
                "etc/systemd/system/nvidia-vgpud.service.d/a.conf",
                "[Service]\nEnvironmentFile=-/etc/default/vgpu\nEnvironmentFile=-/etc/none\nEnvironment=A=unit B=unit\n",
            ),
            ("etc/default/vgpu", "# A=no\n\nA=\"a file\"\nC\n"),
        ]);
        let (setting, value) = unit.variable("A").unwrap();
        assert_eq!(
            (value, &setting.path),
            ("a file", &root.path().join("etc/default/vgpu"))
        );
        assert_eq!(unit.variable("B").unwrap().1, "unit");
        assert_eq!(unit.variable("C"), None);
    }

    #[test]
    fn a_masked_unit_and_an_enabled_one_are_known_by_their_links() {
        let (root, unit) = read(&[
            ("lib/systemd/system/nvidia-vgpud.service", VENDOR),
            ("etc/systemd/system/nvidia-vgpud.service", "-> /dev/null"),
        ]);
        assert!(unit.is_masked && !unit.is_startable());
        assert!(unit.exec_start.is_empty());
        drop(root);
        let wants = "etc/systemd/system/multi-user.target.wants/nvidia-vgpud.service";
        let (root, unit) = read(&[
            ("lib/systemd/system/nvidia-vgpud.service", VENDOR),
            (wants, "-> /lib/systemd/system/nvidia-vgpud.service"),
        ]);
        assert_eq!(unit.wanted_by, Some(root.path().join(wants)));
        assert!(unit.is_startable());
        let (_root, none) = read(&[]);
        assert!(!none.is_startable() && none.file.is_none());
    }

    #[test]
    fn words_are_split_as_systemd_splits_them() {
        assert_eq!(
            words(r#"a "b c"  'd "e' f\ g "" "#),
            ["a", "b c", "d \"e", "f g", ""]
        );
        assert_eq!(
            words(r#"LD_PRELOAD="/opt/a b.so""#),
            ["LD_PRELOAD=/opt/a b.so"]
        );
        assert!(words("  ").is_empty());
    }
}
