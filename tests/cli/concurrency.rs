//! Many processes at once: nothing is made twice, nothing lost, nothing half.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::harness::{Run, SimHost, finished};

const PARENT: &str = "0000:81:00.0";
const UUID: &str = "11111111-2222-3333-4444-555555555555";

/// Starts all commands before it waits for the first.
fn at_once(host: &SimHost, lines: impl IntoIterator<Item = String>) -> Vec<Run> {
    let lines: Vec<String> = lines.into_iter().collect();
    let children: Vec<_> = lines
        .iter()
        .map(|line| {
            host.command(line.split_whitespace())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    // Each has less to say than a pipe holds, so none waits for its turn to be read.
    children
        .into_iter()
        .map(|child| finished(child.wait_with_output().unwrap()))
        .collect()
}

fn with_status(runs: &[Run], status: i32) -> Vec<&Run> {
    runs.iter().filter(|run| run.status == status).collect()
}

/// What was printed, what is active and what is defined are the same `count` devices.
#[track_caller]
fn all_agree(host: &SimHost, runs: &[Run], count: usize) {
    let mut printed: Vec<String> = runs
        .iter()
        .flat_map(|run| run.stdout.lines())
        .map(str::to_owned)
        .collect();
    printed.sort();
    assert_eq!(printed.len(), count);
    assert_eq!(host.active(), printed);
    assert_eq!(host.defined(), printed);
    assert_eq!(host.status()["created"], count);
}

/// The functions that hold a type, as the simulated driver says: address and number.
fn taken(host: &SimHost) -> BTreeMap<String, u64> {
    let status = host.status();
    let all = status["vendor_vfs"].as_array().unwrap().iter();
    let taken = all.filter(|vf| vf["type"] != 0);
    taken
        .map(|vf| {
            let number = vf["type"].as_u64().unwrap();
            (vf["id"].as_str().unwrap().to_owned(), number)
        })
        .collect()
}

/// The functions' own devices, as `list` tells: UUID and function; and that nothing else of that
/// type is on a function, and all have definitions.
#[track_caller]
fn own_on_functions(host: &SimHost, gpus: &[&str], number: u64) -> BTreeMap<String, String> {
    let list = host.run("list --json --active").expect(0).json();
    let devices = list["devices"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let own: BTreeMap<String, String> = devices
        .filter(|device| !device["uuid"].is_null())
        .map(|device| (text(&device["uuid"]), text(&device["vf"])))
        .collect();
    let mut on: Vec<&String> = own.values().collect();
    on.sort();
    let taken = taken(host);
    let of_type = taken.iter().filter(|(_, found)| **found == number);
    let of_type: Vec<&String> = of_type.map(|(vf, _)| vf).collect();
    assert_eq!(
        on, of_type,
        "each on a function of its own, and none is lost"
    );
    let mut defined: Vec<String> = gpus
        .iter()
        .flat_map(|gpu| host.defined_functions(gpu))
        .collect();
    defined.sort();
    assert_eq!(own.keys().cloned().collect::<Vec<_>>(), defined);
    own
}

const GPUS: [&str; 4] = [
    "0000:41:00.0",
    "0000:42:00.0",
    "0000:43:00.0",
    "0000:44:00.0",
];
/// Four L40S-12Q fit on a GPU.
const L40S_12Q: u64 = 1153;
/// Of the same size, and given by another program to the first function of the first GPU.
const L40S_12A: u64 = 1163;
const ANOTHERS: &str = "0000:41:00.4";

fn four_gpus_with_anothers() -> SimHost {
    let host = SimHost::with_l40s(4, 8);
    let file = format!("sys/bus/pci/devices/{ANOTHERS}/nvidia/current_vgpu_type");
    fs::write(host.path(&file), L40S_12A.to_string()).unwrap();
    host
}

#[test]
fn sixty_four_creates_share_the_functions_of_four_gpus() {
    let host = four_gpus_with_anothers();
    let runs = at_once(&host, vec!["create --type L40S-12Q".to_owned(); 64]);
    assert_eq!(with_status(&runs, 0).len(), 15, "{runs:#?}");
    assert_eq!(with_status(&runs, 4).len(), 49, "{runs:#?}");
    let own = own_on_functions(&host, &GPUS, L40S_12Q);
    let mut printed: Vec<&str> = runs.iter().flat_map(|run| run.stdout.lines()).collect();
    printed.sort_unstable();
    assert_eq!(own.keys().collect::<Vec<_>>(), printed);
    assert_eq!(taken(&host)[ANOTHERS], L40S_12A, "it is another VM's");
}

#[test]
fn restores_at_once_make_every_device_on_functions_once() {
    let host = SimHost::with_l40s(4, 8);
    host.run("create --type L40S-12Q --count 16").expect(0);
    let wanted = own_on_functions(&host, &GPUS, L40S_12Q);
    assert_eq!(wanted.len(), 16);
    for round in 1..=2 {
        host.ctl(&["reboot"]);
        restores_make_each_once(&host, &GPUS, 16, round);
        let restored = own_on_functions(&host, &GPUS, L40S_12Q);
        assert!(restored.keys().eq(wanted.keys()), "round {round}");
    }
}

#[test]
fn creates_and_removes_on_functions_in_a_race_leave_devices_and_definitions_in_agreement() {
    let host = four_gpus_with_anothers();
    create_and_remove_in_a_race(&host, "L40S-12Q");
    own_on_functions(&host, &GPUS, L40S_12Q);
    assert_eq!(taken(&host)[ANOTHERS], L40S_12A, "it is another VM's");
}

#[test]
fn sixty_four_creates_share_the_eight_that_are_free() {
    let host = SimHost::start("two-p4");
    let line = format!("create --type nvidia-63 --parent {PARENT}");
    let runs = at_once(&host, vec![line; 64]);
    assert_eq!(with_status(&runs, 0).len(), 8, "{runs:#?}");
    assert_eq!(with_status(&runs, 4).len(), 56, "{runs:#?}");
    all_agree(&host, &runs, 8);
    for device in host.status()["devices"].as_array().unwrap() {
        assert_eq!(device["parent"], PARENT);
    }
}

#[test]
fn sixty_four_creates_without_a_parent_fill_both_gpus() {
    let host = SimHost::start("two-p4");
    let runs = at_once(&host, vec!["create --type nvidia-63".to_owned(); 64]);
    assert_eq!(with_status(&runs, 0).len(), 16, "{runs:#?}");
    assert_eq!(with_status(&runs, 4).len(), 48, "{runs:#?}");
    all_agree(&host, &runs, 16);
}

/// How many devices are on each parent.
fn loads(host: &SimHost) -> Vec<usize> {
    let mut loads = BTreeMap::new();
    for device in host.status()["devices"].as_array().unwrap() {
        *loads.entry(device["parent"].to_string()).or_insert(0) += 1;
    }
    loads.into_values().collect()
}

#[test]
fn creates_at_once_that_pack_open_no_gpu_before_the_last_is_full() {
    let host = SimHost::start("m10");
    let runs = at_once(&host, vec!["create --type M10-1Q".to_owned(); 21]);
    assert_eq!(with_status(&runs, 0).len(), 21, "{runs:#?}");
    all_agree(&host, &runs, 21);
    assert_eq!(loads(&host), [8, 8, 5]);
}

#[test]
fn creates_at_once_that_spread_leave_the_gpus_even() {
    let host = SimHost::start("m10");
    let line = "create --type M10-1Q --placement spread".to_owned();
    for (processes, loads_after) in [(14, [3, 3, 4, 4]), (40, [8, 8, 8, 8])] {
        let runs = at_once(&host, vec![line.clone(); processes]);
        assert!(
            runs.iter().all(|run| matches!(run.status, 0 | 4)),
            "{runs:#?}"
        );
        let mut loads = loads(&host);
        loads.sort_unstable();
        assert_eq!(loads, loads_after);
    }
    assert_eq!(host.status()["created"], 32);
    assert_eq!(host.active(), host.defined());
}

#[test]
fn sixty_four_creates_of_one_uuid_make_it_once() {
    let host = SimHost::start("two-p4");
    let line = format!("create --type nvidia-63 --uuid {UUID}");
    let runs = at_once(&host, vec![line; 64]);
    assert_eq!(with_status(&runs, 0).len(), 1, "{runs:#?}");
    assert_eq!(with_status(&runs, 1).len(), 63, "{runs:#?}");
    assert_eq!(host.active(), [UUID]);
    assert_eq!(host.defined(), [UUID]);
    assert_eq!(host.status()["create_writes"], 1);
}

#[test]
fn sixteen_processes_modifying_one_definition_lose_no_update() {
    const PROCESSES: usize = 16;
    const TIMES: usize = 25;
    let host = SimHost::start("two-p4");
    host.run(&format!(
        "define --type nvidia-63 --parent {PARENT} --uuid {UUID}"
    ))
    .expect(0);
    let path = host.path(&format!("etc/mdevctl.d/{PARENT}/{UUID}"));

    let over = AtomicBool::new(false);
    let barrier = Barrier::new(PROCESSES);
    let (lists, seen) = thread::scope(|scope| {
        let listing = scope.spawn(|| {
            let mut lists = 0;
            while !over.load(Ordering::SeqCst) {
                let list = host.run("list --json --defined").expect(0).json();
                let devices = list["devices"].as_array().unwrap();
                assert_eq!(devices.len(), 1, "{list}");
                assert_eq!(devices[0]["uuid"], UUID);
                assert_eq!(devices[0]["type"], "nvidia-63");
                lists += 1;
            }
            lists
        });
        let reading = scope.spawn(|| {
            let mut seen = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let bytes = fs::read(&path).unwrap();
                let definition: Value = serde_json::from_slice(&bytes).unwrap();
                seen.push(definition["attrs"].as_array().unwrap().len());
                thread::yield_now();
            }
            seen
        });
        let writers: Vec<_> = (0..PROCESSES)
            .map(|process| {
                let (host, barrier) = (&host, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for n in 0..TIMES {
                        let line = format!("modify {UUID} --attr a={process}-{n}");
                        host.run(&line).expect(0);
                    }
                })
            })
            .collect();
        let ends: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        over.store(true, Ordering::SeqCst);
        for end in ends {
            end.unwrap();
        }
        (listing.join().unwrap(), reading.join().unwrap())
    });

    let definition: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let values: Vec<&str> = definition["attrs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attr| attr["a"].as_str().unwrap())
        .collect();
    assert_eq!(values.len(), PROCESSES * TIMES);
    for process in 0..PROCESSES {
        let begin = format!("{process}-");
        let own: Vec<&&str> = values.iter().filter(|v| v.starts_with(&begin)).collect();
        let wanted: Vec<String> = (0..TIMES).map(|n| format!("{process}-{n}")).collect();
        assert_eq!(own, wanted.iter().collect::<Vec<_>>());
    }
    assert!(seen.is_sorted(), "an update came and went: {seen:?}");
    assert!(lists > 1 && seen.len() > 1, "nobody was reading meanwhile");
    println!(
        "modify: {} updates by {PROCESSES} processes, seen whole by {} lists and {} reads",
        values.len(),
        lists,
        seen.len()
    );
}

#[test]
fn restores_at_once_make_every_device_once() {
    let host = SimHost::start("two-p4");
    let runs = at_once(&host, vec!["create --type nvidia-63".to_owned(); 16]);
    all_agree(&host, &runs, 16);
    let wanted = host.defined();
    for round in 1..=3 {
        host.ctl(&["reboot"]);
        restores_make_each_once(&host, &[PARENT, "0000:82:00.0"], 16, round);
        assert_eq!(host.active(), wanted);
    }
}

/// As boot and udev do: for all, and for each parent that appears.
#[track_caller]
fn restores_make_each_once(host: &SimHost, parents: &[&str], devices: u64, round: u32) {
    let before = host.status()["created"].as_u64().unwrap();
    let mut lines = vec!["restore".to_owned(); 4];
    for parent in parents {
        lines.extend(vec![format!("restore --parent {parent}"); 2]);
    }
    let count = lines.len();
    let runs = at_once(host, lines);
    assert_eq!(
        with_status(&runs, 0).len(),
        count,
        "round {round}: {runs:#?}"
    );
    let status = host.status();
    assert_eq!(status["created"].as_u64().unwrap() - before, devices);
    assert_eq!(status["create_writes"], status["created"], "none in vain");
    let started: usize = runs
        .iter()
        .map(|run| run.stdout.matches("started ").count())
        .sum();
    assert_eq!(started as u64, devices, "each is told as started by one");
}

#[test]
fn creates_and_removes_in_a_race_leave_devices_and_definitions_in_agreement() {
    let host = SimHost::start("two-p4");
    create_and_remove_in_a_race(&host, "nvidia-63");
    assert_eq!(host.active(), host.defined());
}

/// One process creates and one removes each of twelve devices, again and again.
fn create_and_remove_in_a_race(host: &SimHost, type_name: &str) {
    const UUIDS: usize = 12;
    const ROUNDS: usize = 6;
    let uuid = |n: usize| format!("{n:08}-0000-4000-8000-000000000000");
    let barrier = Barrier::new(2 * UUIDS);
    let statuses = thread::scope(|scope| {
        let race = |line: String, allowed: &'static [i32]| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let mut statuses = BTreeSet::new();
                for _ in 0..ROUNDS {
                    let run = host.run(&line);
                    assert!(allowed.contains(&run.status), "{line}: {run:#?}");
                    statuses.insert(run.status);
                }
                statuses
            })
        };
        let mut racers = Vec::new();
        for n in 0..UUIDS {
            let create = format!("create --type {type_name} --uuid {}", uuid(n));
            racers.push(race(create, &[0, 1]));
            racers.push(race(format!("remove {}", uuid(n)), &[0, 3]));
        }
        racers
            .into_iter()
            .map(|racer| racer.join())
            .collect::<Vec<_>>()
    });
    let seen: BTreeSet<i32> = statuses.into_iter().flat_map(Result::unwrap).collect();
    assert!(seen.contains(&0), "{seen:?}");
}
