//! What Prometheus' own tools say of the metrics, and of what `examples/prometheus` makes of them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{HeldOpen, Run, SimHost, finished};
use crate::helpers::{put, put_auto, uuid};
use crate::metrics::{odd_host, samples};

const PREFIX: &str = "vgpuctl_";

/// Prometheus' checker: what `make` says, else the one in the path, else where `make` puts it.
fn promtool() -> Command {
    let cache = || {
        let home = || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache");
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        Some(cache.join("vgpuctl-promtool/promtool")).filter(|path| path.exists())
    };
    let given = std::env::var_os("PROMTOOL").map(PathBuf::from);
    Command::new(given.or_else(cache).unwrap_or("promtool".into()))
}

/// Runs it with these words.
fn check(words: &[&str], input: &str) -> Run {
    let mut child = promtool()
        .args(words)
        .current_dir(examples())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there after: make promtool");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    finished(child.wait_with_output().unwrap())
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prometheus")
}

fn example(name: &str) -> String {
    fs::read_to_string(examples().join(name)).unwrap()
}

/// Neither an error nor a complaint of style.
#[track_caller]
fn accepted(text: &str) {
    // promtool does not mind the same series twice, node_exporter does.
    assert!(!samples(text).is_empty());
    let run = check(&["check", "metrics"], text);
    assert_eq!(
        (run.status, run.stdout.as_str(), run.stderr.as_str()),
        (0, "", ""),
        "{text}"
    );
}

/// All that a host can tell: devices of each state, one of them held, a failed restore, bad data.
fn fill(host: &SimHost) {
    host.run("vfs enable 0000:41:00.0");
    let types = host.run("types --available --json").json();
    for one in types["parents"].as_array().unwrap() {
        let (parent, id) = (&one["parent"], &one["types"][0]["id"]);
        let (Some(parent), Some(id)) = (parent.as_str(), id.as_str()) else {
            continue;
        };
        host.run_args(["create", "--type", id, "--parent", parent]);
        host.run_args(["create", "--type", id, "--parent", parent, "--transient"]);
        host.run_args(["define", "--type", id, "--parent", parent, "--manual"]);
    }
    put_auto(host, "0000:99:00.0", &uuid(9), "nvidia-63");
    put(host, "0000:98:00.0", &uuid(8), "{");
    host.run("restore").expect(7);
}

fn hosts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hosts");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    // That one is no host but the cards that the others name.
    let mut files: Vec<_> = files.filter(|path| !path.ends_with("cards.toml")).collect();
    files.sort();
    files
}

#[test]
fn promtool_accepts_the_metrics_of_every_host() {
    let files = hosts();
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let host = SimHost::start_file(&file);
        accepted(&host.run("metrics").stdout);
        fill(&host);
        let run = host.run("metrics").expect(7);
        assert!(run.stdout.contains("vgpuctl_restore_devices"), "{run:?}");
        accepted(&run.stdout);
    }
}

#[test]
fn promtool_accepts_odd_names_and_devices_in_use() {
    let host = SimHost::start_file(odd_host().path());
    let text = host.run("metrics").expect(0).stdout;
    accepted(&text);
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let shown = host.run(&format!("show {} --json", uuid(1))).json();
    let node = shown["device"]["vfio_group"].as_str().unwrap().to_owned();
    let _held = HeldOpen::open(Path::new(&node), "-name web");
    accepted(&host.run("metrics").expect(0).stdout);
}

#[test]
fn promtool_refuses_what_is_not_escaped() {
    // Else the other tests' judge would judge nothing.
    let text =
        |name| format!("# HELP x_things x\n# TYPE x_things gauge\nx_things{{c=\"{name}\"}} 1\n");
    accepted(&text("d"));
    let run = check(&["check", "metrics"], &text("d\"e"));
    assert_ne!(run.status, 0, "{run:?}");
}

/// The names of all metrics that the program tells on some host.
fn told() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for host in ["two-p4", "l40s"] {
        let host = SimHost::start(host);
        fill(&host);
        let text = host.run("metrics").stdout;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        names.extend(types.map(|line| line.split(' ').next().unwrap().to_owned()));
    }
    names
}

/// The names of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| {
        word.strip_prefix(PREFIX)
            .is_some_and(|rest| !rest.is_empty())
    });
    ours.map(str::to_owned).collect()
}

#[test]
fn every_metric_that_the_examples_name_is_told_and_all_are_described() {
    let told = told();
    assert!(told.iter().all(|name| name.starts_with(PREFIX)), "{told:?}");
    for file in ["vgpuctl.rules.yml", "vgpuctl.test.yml", "dashboard.json"] {
        let named = named(&example(file));
        assert!(named.len() > 5, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&told).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    assert_eq!(named(&example("README.md")), told);
}

#[test]
fn the_alerts_are_right() {
    let run = check(&["check", "rules", "vgpuctl.rules.yml"], "");
    assert_eq!(run.status, 0, "{run:?}");
    let run = check(&["test", "rules", "vgpuctl.test.yml"], "");
    assert_eq!(run.status, 0, "{run:?}");
    // Each alert is made to fire, and each to be silent.
    let (rules, tests) = (example("vgpuctl.rules.yml"), example("vgpuctl.test.yml"));
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname: {alert}, exp_alerts: []")),
            "{alert} is never silent"
        );
        assert!(
            tests.contains(&format!("alertname: {alert}\n")),
            "{alert} never fires"
        );
    }
}

/// The expressions of a dashboard's panels, with its variables filled in.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap().replace("$instance", ".*"))
        .collect()
}

#[test]
fn every_expression_of_the_dashboard_is_one() {
    let dashboard: Value = serde_json::from_str(&example("dashboard.json")).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 8, "{expressions:?}");
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(n, expr)| serde_json::json!({ "record": format!("panel:{n}"), "expr": expr }))
        .collect();
    // JSON is YAML too.
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    fs::write(file.path(), groups.to_string()).unwrap();
    let run = check(&["check", "rules", file.path().to_str().unwrap()], "");
    assert_eq!(run.status, 0, "{run:?}");
    let found = format!("{} rules found", expressions.len());
    assert!(run.stdout.contains(&found), "{run:?}");
}

#[test]
fn the_dashboard_has_what_grafana_needs() {
    let dashboard: Value = serde_json::from_str(&example("dashboard.json")).unwrap();
    assert!(dashboard["schemaVersion"].is_u64() && dashboard["title"].is_string());
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(
            ["type", "title", "description"]
                .iter()
                .all(|key| panel[key].is_string()),
            "{panel}"
        );
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for (x, y) in (at("x")..at("x") + at("w"))
            .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(
                x < 24 && taken.insert((x, y)),
                "{} lies over another",
                panel["title"]
            );
        }
    }
    // Every variable that is used is defined.
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["datasource", "instance"]);
}
