//! Sequences of random commands on simulated hosts.

use std::path::Path;

use crate::compare::{Aspect, Found};
use crate::side::Pair;
use crate::table::Case;

/// Hosts of `examples/hosts`, and an attribute that devices there have.
pub const HOSTS: [(&str, &[(&str, &str)]); 4] = [
    ("two-p4", &[("nvidia/vgpu_params", "frame_rate_limiter=0")]),
    ("gvt-g", &[]),
    (
        "s390-matrix",
        &[("assign_adapter", "5"), ("assign_domain", "0x47")],
    ),
    ("m10", &[("nvidia/vgpu_params", "disable_vnc=1")]),
];

/// Commands in each sequence.
const STEPS: usize = 150;

/// How one sequence ended.
pub struct Ran {
    pub host: &'static str,
    pub steps: usize,
    pub worked: usize,
    pub found: Found,
    /// The commands, for who wants to do it again by hand.
    pub lines: Vec<String>,
}

/// From the environment, or from the clock.
pub fn seed() -> u64 {
    if let Ok(seed) = std::env::var("VGPUCTL_DIFFERENTIAL_SEED") {
        return seed.parse().expect("VGPUCTL_DIFFERENTIAL_SEED is a number");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_nanos() as u64 % 1_000_000_007
}

/// Runs one sequence, to its end or to the first difference that no rule allows.
pub fn sequence(host: &(&'static str, &[(&str, &str)]), seed: u64) -> Ran {
    let case = Case {
        name: format!("random on {}", host.0),
        host: Some(host.0.to_owned()),
        bare: false,
        given: vec!["callout 50-log".to_owned(), "notifier log".to_owned()],
        // Names every UUID that steps use.
        run: vec!["$1 $2 $3 $4".to_owned()],
        stdin: String::new(),
        any_order: true,
    };
    let mut pair = Pair::start(&case);
    let mut dice = Dice::new(seed);
    let mut ran = Ran {
        host: host.0,
        steps: 0,
        worked: 0,
        found: Found::default(),
        lines: Vec::new(),
    };
    let parents = pair.theirs.parents().to_vec();
    let types = types(pair.theirs.root(), &parents);
    while ran.steps < STEPS {
        if dice.one_in(12) {
            let words = dice.fault();
            pair.theirs.ctl(&words);
            pair.ours.ctl(&words);
            ran.lines.push(format!("simhost ctl {}", words.join(" ")));
        }
        let (line, json) = dice.command(&parents, &types, host.1);
        for side in [&pair.theirs, &pair.ours] {
            std::fs::write(side.root().join("device.json"), &json).unwrap();
        }
        let before = pair.theirs.made_up();
        let worked = step(&mut pair, &case, &line, &mut ran);
        // A device with a made-up UUID goes at once: listings are in the order of UUIDs.
        let after = pair.theirs.made_up();
        if worked && after > before {
            let verb = if line.starts_with("start") {
                "stop"
            } else {
                "undefine"
            };
            let line = format!("{verb} -u [new-{after}]");
            for side in [&pair.theirs, &pair.ours] {
                side.ctl(&["mend"]);
            }
            ran.lines.push("simhost ctl mend".to_owned());
            step(&mut pair, &case, &line, &mut ran);
        }
        // What scripts were told leaves both hosts the same.
        let apart = [Aspect::Status, Aspect::Tree, Aspect::Kernel];
        if apart
            .iter()
            .any(|aspect| ran.found.aspects.contains(aspect))
        {
            break;
        }
    }
    ran
}

/// Whether it worked on both sides.
fn step(pair: &mut Pair, case: &Case, line: &str, ran: &mut Ran) -> bool {
    let found = pair.compare(line, case);
    let worked = found.worked;
    ran.steps += 1;
    ran.worked += usize::from(worked);
    ran.lines.push(line.to_owned());
    ran.found.add(found);
    worked
}

/// The types of each parent.
fn types(root: &Path, parents: &[String]) -> Vec<String> {
    let mut types: Vec<String> = parents
        .iter()
        .flat_map(|parent| {
            let folder = format!("sys/class/mdev_bus/{parent}/mdev_supported_types");
            std::fs::read_dir(root.join(folder)).unwrap()
        })
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    types.sort();
    types.dedup();
    types
}

/// SplitMix64: the same numbers from the same seed, whatever libraries there are.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, things: &[&'a T]) -> &'a T {
        things[self.below(things.len())]
    }

    fn maybe(&mut self, text: String) -> String {
        if self.one_in(2) { text } else { String::new() }
    }

    /// A fault of the simulated kernel that both programs run into. Removals do not fail here: a device
    /// whose attributes failed and that could not be taken back is made anew by ours at the next start,
    /// and left as it is by mdevctl.
    fn fault(&mut self) -> Vec<&'static str> {
        let error = self.of(&["EIO", "EINVAL", "ENOSPC"]);
        match self.below(3) {
            0 => vec!["fail-create", "1", error],
            1 => vec!["fail-attr", "nvidia/vgpu_params", error],
            _ => vec!["mend"],
        }
    }

    /// A command, and the JSON of `device.json` that it may read.
    fn command(
        &mut self,
        parents: &[String],
        types: &[String],
        attrs: &[(&str, &str)],
    ) -> (String, String) {
        let uuid = self.of(&["$1", "$2", "$3", "$4"]);
        let parent = if self.one_in(15) {
            "0000:ff:1f.7".to_owned()
        } else {
            parents[self.below(parents.len())].clone()
        };
        // The first few types, so that devices of one type meet.
        let type_ = if self.one_in(20) {
            "none-7".to_owned()
        } else {
            types[self.below(types.len().min(4))].clone()
        };
        let start = self.of(&["auto", "manual"]);
        let attr = |dice: &mut Dice| {
            if attrs.is_empty() || dice.one_in(6) {
                ("no_such_attribute", "1")
            } else {
                attrs[dice.below(attrs.len())]
            }
        };
        let attributes: Vec<String> = (0..self.below(3))
            .map(|_| attr(self))
            .map(|(name, value)| format!("{{\"{name}\":\"{value}\"}}"))
            .collect();
        let json = format!(
            "{{\"mdev_type\":\"{type_}\",\"start\":\"{start}\",\"attrs\":[{}]}}",
            attributes.join(",")
        );
        let maybe_parent = self.maybe(format!(" -p {parent}"));
        let dump = self.maybe(" --dumpjson".to_owned());
        let line = match self.below(24) {
            0 | 1 => format!("define -u {uuid} -p {parent} -t {type_}"),
            2 => format!("define -u {uuid} -p {parent} -t {type_} -a"),
            3 => format!("define -u {uuid}{maybe_parent}"),
            4 => format!("define -p {parent} -t {type_}"),
            5 => format!("define --uuid={uuid} --parent={parent} --jsonfile=device.json"),
            6 => format!("undefine -u {uuid}{maybe_parent}"),
            7 => format!("modify -u {uuid} --auto"),
            8 => {
                let (name, value) = attr(self);
                format!("modify -u {uuid}{maybe_parent} --addattr {name} --value {value}")
            }
            9 => {
                let index = self.below(3);
                let index = self.maybe(format!(" -i {index}"));
                format!("modify -u {uuid}{maybe_parent} --delattr{index}")
            }
            10 => format!("modify -u {uuid} -t {type_} -m"),
            11 => format!("modify -p {parent} --jsonfile device.json -u {uuid}"),
            12 | 13 => format!("start -u {uuid}{maybe_parent}"),
            14 | 15 => format!("start -u {uuid} -p {parent} -t {type_}"),
            16 => format!("start -p {parent} -t {type_}"),
            17 => format!("start -u {uuid} -p {parent} --jsonfile device.json"),
            18 | 19 => format!("stop -u {uuid}"),
            20 => format!("start-parent-mdevs {parent}"),
            21 => format!("types{maybe_parent}{dump}"),
            22 => format!("list -d{maybe_parent}{dump}"),
            _ => format!("list{maybe_parent}{dump}"),
        };
        (line, json)
    }
}
