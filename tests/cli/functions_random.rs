//! Random rounds on GPUs with virtual functions: whatever else comes and goes, a device that stays
//! defined keeps its function.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use serde_json::Value;

use crate::dice::{Dice, seed};
use crate::harness::SimHost;

const GPU: &str = "0000:41:00.0";
/// Few enough that definitions nearly use them up.
const FUNCTIONS: u8 = 8;
/// As many of 8 GiB as the card holds.
const MOST_AT_BOOT: usize = 5;
const MOST: usize = 7;
/// Rounds on each of the hosts.
const ROUNDS: usize = 100;

type Counts = BTreeMap<&'static str, usize>;

#[test]
fn every_device_that_stays_defined_keeps_its_function() {
    let seed = seed("VGPUCTL_FUNCTIONS_SEED");
    let rounds = std::env::var("VGPUCTL_FUNCTIONS_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let hosts: [fn() -> Scene; 2] = [Scene::l40s, Scene::a40];
    let counts = thread::scope(|scope| {
        let workers: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let seed = seed.wrapping_mul(1000).wrapping_add(at as u64);
                scope.spawn(move || host().play(seed, rounds))
            })
            .collect();
        let mut all = Counts::new();
        for worker in workers {
            for (key, count) in worker.join().unwrap() {
                *all.entry(key).or_default() += count;
            }
        }
        all
    });
    println!("{} rounds: {counts:?}", rounds * hosts.len());
    for wanted in [
        "create", "remove", "define", "stop", "start", "modify", "reboot",
    ] {
        assert!(
            counts.get(wanted).is_some_and(|count| *count > 0),
            "{wanted}: {counts:?}"
        );
    }
    assert!(counts["kept over a reboot"] > 0, "{counts:?}");
}

struct Scene {
    host: SimHost,
    types: [&'static str; 2],
    /// Whether definitions lie under their function, as those of mediated devices do.
    is_mdev: bool,
    /// The function of each device that is defined, once it has one.
    functions: BTreeMap<String, Option<String>>,
    counts: Counts,
    /// What the last look at the host found.
    seen: Vec<Value>,
    /// What was done, for whoever has to find out why it failed.
    story: Vec<String>,
}

impl Scene {
    fn l40s() -> Scene {
        let host = SimHost::with_l40s(1, FUNCTIONS);
        Scene::of(host, ["L40S-8Q", "L40S-8A"], false)
    }

    fn a40() -> Scene {
        let host = SimHost::with_a40(FUNCTIONS);
        Scene::of(host, ["A40-8Q", "A40-8A"], true)
    }

    fn of(host: SimHost, types: [&'static str; 2], is_mdev: bool) -> Scene {
        Scene {
            host,
            types,
            is_mdev,
            functions: BTreeMap::new(),
            counts: Counts::new(),
            seen: Vec::new(),
            story: Vec::new(),
        }
    }

    fn play(mut self, seed: u64, rounds: usize) -> Counts {
        let mut dice = Dice::new(seed);
        for round in 0..rounds {
            self.story.push(format!("round {round}, seed {seed}"));
            self.step(&mut dice);
            self.check();
            if dice.is_one_in(4) {
                self.reboot(&mut dice);
            }
        }
        self.counts
    }

    fn step(&mut self, dice: &mut Dice) {
        let devices = self.seen.clone();
        let defined: Vec<&Value> = devices
            .iter()
            .filter(|one| !one["start"].is_null())
            .collect();
        let auto = defined.iter().filter(|one| one["start"] == "auto").count();
        let start = match auto < MOST_AT_BOOT && !dice.is_one_in(4) {
            true => "",
            false => "--manual",
        };
        let type_name = *dice.of(&self.types);
        let picked = match defined.is_empty() {
            true => None,
            false => Some(defined[dice.below(defined.len())]),
        };
        let uuid = picked
            .map_or("", |one| one["uuid"].as_str().unwrap())
            .to_owned();
        match (dice.below(8), picked) {
            (0..=1, _) | (_, None) if defined.len() < MOST => {
                let run = self.run(&format!("create --type {type_name} {start}"), &[0, 4]);
                self.count(run.0, "create", "create without room");
            }
            (2, _) if defined.len() < MOST => {
                let parent = match self.is_mdev || dice.is_one_in(3) {
                    true => self.unnamed_function(dice),
                    false => GPU.to_owned(),
                };
                let line = format!("define --type {type_name} --parent {parent} {start}");
                let run = self.run(&line, &[0]);
                self.count(run.0, "define", "");
            }
            (3, Some(_)) => {
                self.run(&format!("remove {uuid}"), &[0]);
                self.functions.remove(&uuid);
                self.count(0, "remove", "");
            }
            (4, Some(one)) if one["active"] == false => {
                let run = self.run(&format!("undefine {uuid}"), &[0]);
                self.functions.remove(&uuid);
                self.count(run.0, "undefine", "");
            }
            (5, Some(_)) => {
                let run = self.run(&format!("stop {uuid}"), &[0]);
                self.count(run.0, "stop", "");
            }
            (6, Some(_)) => {
                // What runs as another type, since its definition was modified, has to be stopped first.
                let (statuses, refused): (&[i32], _) = match self.runs_as_another(&uuid) {
                    true => (&[1], "start of another type"),
                    false => (&[0, 4], "start without room"),
                };
                let run = self.run(&format!("start {uuid}"), statuses);
                self.count(run.0, "start", refused);
            }
            (_, Some(_)) => {
                let change = match (dice.below(3), auto < MOST_AT_BOOT) {
                    (0, true) => "--auto".to_owned(),
                    (0, false) => "--manual".to_owned(),
                    (1, _) => format!("--type {type_name}"),
                    _ => format!(
                        "--attr nvidia/vgpu_params=frame_rate_limiter={}",
                        dice.below(2)
                    ),
                };
                // Parameters need not be those of before; one attribute is enough.
                let run = self.run(&format!("modify {uuid} {change}"), &[0]);
                self.count(run.0, "modify", "");
            }
            (_, None) => {}
        }
    }

    fn reboot(&mut self, dice: &mut Dice) {
        self.host.ctl(&["reboot"]);
        self.story.push("reboot".to_owned());
        self.check();
        if dice.is_one_in(3) {
            // What comes before the restore must leave its functions alone.
            self.step(dice);
            self.check();
        }
        let planned = self.run("restore --dry-run --now --json", &[0, 4, 7]);
        let done = self.run("restore --json", &[0, 4, 7]);
        let story = self.story.join("\n");
        assert_eq!(planned.0, done.0, "{}\n{}\n{story}", planned.1, done.1);
        let named = |text: &str| -> BTreeSet<String> {
            let answer: Value = serde_json::from_str(text).unwrap();
            let changes = answer["changes"].as_array().unwrap().clone();
            let started = changes.iter().filter(|one| one["result"] != "failed");
            started
                .map(|one| format!("{} {} {}", one["uuid"], one["parent"], one["vf"]))
                .collect()
        };
        assert_eq!(named(&planned.1), named(&done.1), "{story}");
        let known = self.functions.values().flatten().count();
        self.check();
        *self.counts.entry("kept over a reboot").or_default() += known;
        *self.counts.entry("reboot").or_default() += 1;
        let devices = &self.seen;
        let left = devices
            .iter()
            .filter(|one| one["start"] == "auto" && one["active"] == false);
        let left = left.count();
        *self.counts.entry("left out by restore").or_default() += left;
        assert!(left == 0 || done.0 != 0, "{}\n{story}", done.1);
    }

    /// Every device that is defined has the function that it had, and no two that start at boot share
    /// one.
    fn check(&mut self) {
        self.seen = self.devices();
        let story = &self.story;
        let mut at_boot = BTreeSet::new();
        for one in self.seen.iter().filter(|one| !one["start"].is_null()) {
            let key = if self.is_mdev { "parent" } else { "vf" };
            let uuid = one["uuid"].as_str().unwrap().to_owned();
            let now = one[key].as_str().map(str::to_owned);
            let known = self.functions.entry(uuid.clone()).or_default();
            if let Some(before) = known {
                assert_eq!(
                    now.as_ref(),
                    Some(&*before),
                    "{uuid}: {one}\n{}",
                    story.join("\n")
                );
            }
            known.clone_from(&now);
            if one["start"] == "auto"
                && let Some(vf) = now
            {
                assert!(
                    at_boot.insert(vf.clone()),
                    "{vf} is named twice\n{}",
                    story.join("\n")
                );
            }
        }
    }

    fn devices(&self) -> Vec<Value> {
        let answer = self.host.run("list --json").expect(0).json();
        answer["devices"].as_array().unwrap().clone()
    }

    fn runs_as_another(&self, uuid: &str) -> bool {
        let answer = self.host.run(&format!("show {uuid} --json")).expect(0);
        let device = answer.json()["device"].clone();
        let definition = std::fs::read_to_string(device["definition"].as_str().unwrap()).unwrap();
        let defined: Value = serde_json::from_str(&definition).unwrap();
        device["active"] == true && device["type"] != defined["mdev_type"]
    }

    fn unnamed_function(&self, dice: &mut Dice) -> String {
        let all = (4..4 + u32::from(FUNCTIONS)).map(|n| format!("0000:41:{:02x}.{}", n / 8, n % 8));
        let named: BTreeSet<String> = self
            .seen
            .iter()
            .flat_map(|one| [one["vf"].clone(), one["parent"].clone()])
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let free: Vec<String> = all.filter(|vf| !named.contains(vf)).collect();
        dice.of(&free).clone()
    }

    /// The exit status, which is to be one of these, and the answer.
    fn run(&mut self, line: &str, statuses: &[i32]) -> (i32, String) {
        let run = self.host.run(line);
        self.story.push(format!(
            "{line} -> {}\n{}{}",
            run.status, run.stdout, run.stderr
        ));
        assert!(statuses.contains(&run.status), "{}", self.story.join("\n"));
        (run.status, run.stdout)
    }

    fn count(&mut self, status: i32, done: &'static str, refused: &'static str) {
        let key = if status == 0 { done } else { refused };
        *self.counts.entry(key).or_default() += 1;
    }
}
