//! A fault in one call of a run, and what of the program's promises the run kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::harness::{Run, SimHost, finished};
use crate::trace::{Follow, Point};

/// All that a user would miss: files, devices, and whose the devices are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub files: BTreeMap<String, String>,
    pub devices: Vec<String>,
}

/// The host as it is.
pub fn state(host: &SimHost) -> State {
    let mut files = BTreeMap::new();
    for folder in ["etc/mdevctl.d", "etc/vgpuctl.d", "run/vgpuctl/vfs"] {
        collect(host, &host.path(folder), &mut files);
    }
    let status = host.status();
    // What is noted of a function counts only while it holds a type.
    for vf in status["vendor_vfs"].as_array().into_iter().flatten() {
        if vf["type"].as_u64().unwrap_or_default() == 0 {
            files.remove(&format!("run/vgpuctl/vfs/{}", vf["id"].as_str().unwrap()));
        }
    }
    let of = |key: &str, fields: &[&str]| -> Vec<String> {
        let all = status[key].as_array().cloned().unwrap_or_default();
        let words = |one: &serde_json::Value| {
            fields
                .iter()
                .map(|field| one[field].to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        all.iter().map(words).collect()
    };
    let mut devices = of(
        "devices",
        &["uuid", "parent", "type", "stage", "vgpu_params"],
    );
    devices.extend(of("vendor_vfs", &["id", "type", "vgpu_params"]));
    State { files, devices }
}

fn collect(host: &SimHost, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(host, &path, files);
        } else {
            let name = path
                .strip_prefix(host.root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let text = fs::read_to_string(&path).unwrap();
            // Spaces are nothing that a user would miss.
            let plain =
                serde_json::from_str::<serde_json::Value>(&text).map(|json| json.to_string());
            files.insert(name, plain.unwrap_or(text));
        }
    }
}

/// How a run with a fault ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// As the undisturbed one.
    Unharmed,
    /// ENOENT is an answer: what is said not to be there is left out, or need not be taken away.
    Believed,
    /// Part of the answer, and a warning.
    Warned,
    /// An error; all is as before or as after.
    Refused,
    /// An error; one thing is as before, another as after, and the same command again settles it.
    Between,
    /// Standard error itself could not be written: nobody was told.
    Untold,
    /// The call did not come, and all was as without a fault: who waits asks more or less often.
    Unasked,
}

/// A run with a fault.
pub struct Fault {
    pub error: String,
    /// The calls as strace shows them: one in each process and thread that comes so far.
    pub calls: Vec<String>,
    pub run: Run,
}

/// Runs the command with a fault.
pub fn inject(
    host: &SimHost,
    line: &str,
    follow: Follow,
    (name, count): &Point,
    error: &str,
) -> Fault {
    let log = host.path("usr/fault");
    let inject = format!("--inject={name}:error={error}:when={count}");
    let trace = format!("--trace={name}");
    let options = [
        follow.option(),
        "-qq",
        "-y",
        "-s",
        "200",
        "-o",
        log.to_str().unwrap(),
        &trace,
        &inject,
    ];
    let run = finished(
        host.strace(&options, line.split_whitespace())
            .output()
            .unwrap(),
    );
    let log = fs::read_to_string(log).unwrap();
    let calls = log.lines().filter(|line| line.ends_with("(INJECTED)"));
    Fault {
        error: error.to_owned(),
        calls: calls.map(str::to_owned).collect(),
        run,
    }
}

impl Fault {
    fn is_of(&self, words: &str) -> bool {
        self.calls.iter().any(|call| call.contains(words))
    }

    /// The path of what failed, and the kernel's answer, are told.
    fn is_told(&self, line: &str) -> bool {
        let said = format!("{}{}", self.run.stdout, self.run.stderr);
        let is_named = self
            .calls
            .iter()
            .any(|call| said.contains(name_of(call, line)));
        let is_explained = said.contains(&format!("({})", self.error));
        // A child tells only that it failed; EBUSY of a node means that somebody has it open.
        let is_in_words =
            self.is_of("write(8<pipe:") || self.run.status == 5 && self.error == "EBUSY";
        is_named && (is_explained || is_in_words) || self.is_of("<pipe:") && is_in_words
    }
}

/// What users know a call's file by: the last part of its path.
fn name_of<'c>(call: &'c str, line: &str) -> &'c str {
    let arguments = call.split_once('(').map_or("", |(_, rest)| rest);
    let quoted = arguments.split('"').nth(1).filter(|name| !name.is_empty());
    let is_about_content = call.contains("read(") || call.contains("write(");
    let path = match quoted {
        _ if call.contains("write(1<") => "standard output",
        Some(name) if !is_about_content => name,
        _ => arguments.split(['<', '>']).nth(1).unwrap_or_default(),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    // ".NAME.PID" is what is to become NAME.
    let of_pid = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('.'));
    match name {
        // What is told is what it was to become: a GPU's settings, or the definition.
        ".vgpuctl.tmp" if line.starts_with("vfs") => "gpu.conf",
        ".vgpuctl.tmp" => crate::faults::UUID,
        // What was to be removed by a process that needs these.
        "null" => "remove",
        // Between the program and what it runs: a removal of its own, or NVIDIA's program.
        name if name.starts_with("pipe:") && call.trim_start().starts_with("read(") => {
            "sriov-manage"
        }
        name if name.starts_with("pipe:") => "remove",
        _ if call.contains("/run/vgpuctl") && of_pid.is_some() => of_pid.unwrap().0,
        name => name,
    }
}

/// What of the promises a run kept; else in a few words which it did not.
pub fn judge(
    host: &SimHost,
    line: &str,
    fault: &Fault,
    truth: &Run,
    [before, after]: [&State; 2],
) -> Result<End, &'static str> {
    let (run, now) = (&fault.run, state(host));
    if fault.calls.is_empty() {
        let is_undisturbed = run.status == truth.status && run.stdout == truth.stdout;
        return match is_undisturbed && now == *after {
            true => Ok(End::Unasked),
            false => Err("it did not come"),
        };
    }
    if run.stderr.contains("panicked") || !(0..=7).contains(&run.status) {
        return Err("a panic");
    }
    if !now.lies_between(before, after) {
        return Err("neither as before nor as after");
    }
    if host.run("list --json").status != 0 {
        return Err("the next command fails");
    }
    let is_between = now != *before && now != *after;
    if is_between
        && fault.error != "ENOENT"
        && (host.run(line).status != 0 || state(host) != *after)
    {
        return Err("the same command again does not settle it");
    }
    let is_whole = run.stdout == truth.stdout && run.stderr == truth.stderr;
    if run.status == 0 && now == *after && is_whole {
        return Ok(End::Unharmed);
    }
    if fault.error == "ENOENT" && !fault.is_of("write(1<") {
        return Ok(End::Believed);
    }
    if fault.is_of("write(2<") {
        return Ok(End::Untold);
    }
    // Without root that is all that anybody sees of another's process, and it is told.
    if fault.error == "EACCES"
        && fault.is_of("/proc")
        && run.stdout.contains("\"holders_complete\": false")
    {
        return Ok(End::Warned);
    }
    if run.status == 0 && now == *after && may_end_well(line) && fault.is_told(line) {
        return Ok(End::Warned);
    }
    if run.status == 0 {
        return Err("another answer without a word");
    }
    match fault.is_told(line) {
        false => Err("the path or the kernel's answer is not told"),
        true if is_between => Ok(End::Between),
        true if run.status == 7 => Ok(End::Warned),
        true => Ok(End::Refused),
    }
}

/// Commands that change something have done all; `plan` knows all that it needs. Others owe all of
/// an answer, so that a part of it is no success.
fn may_end_well(line: &str) -> bool {
    let answers = ["types", "gpus", "list", "show", "attach", "vfs --json"];
    !answers.iter().any(|verb| line.starts_with(verb))
}

impl State {
    /// Everything is as in one of the two.
    pub fn lies_between(&self, before: &State, after: &State) -> bool {
        let names = self
            .files
            .keys()
            .chain(before.files.keys())
            .chain(after.files.keys());
        let is_either = |name| {
            let now = self.files.get(name);
            now == before.files.get(name) || now == after.files.get(name)
        };
        let mut names = names.collect::<BTreeSet<_>>().into_iter();
        names.all(is_either) && (self.devices == before.devices || self.devices == after.devices)
    }
}
