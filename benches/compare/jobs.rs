//! What is measured, on hosts of which size, and what is to be reached.

use std::io;
use std::path::Path;

use super::measure::{Cost, Program, measure};
use super::tree::{self, Size};
use super::{Programs, Target};

/// The middle host, a tenth of it, and four of it.
pub const SIZES: [(&str, Size); 3] = [
    ("a tenth", size(2, 19, 13)),
    ("one", size(16, 24, 16)),
    ("four", size(64, 24, 16)),
];

const fn size(parents: usize, types: usize, devices: usize) -> Size {
    Size {
        parents,
        types,
        devices,
    }
}

/// The system calls of ours for each of the floor's.
const SYSTEM_CALLS: f64 = 1.15;
/// What four times the host may cost: four times as much, and what sorting adds.
const GROWTH: f64 = 4.2;
/// In KiB.
const PEAK: f64 = 12_000_000.0 / 1024.0;

/// Who does a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Floor,
    Vgpuctl,
    AsMdevctl,
    Mdevctl,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Who::Floor => "floor",
            Who::Vgpuctl => "vgpuctl",
            Who::AsMdevctl => "vgpuctl as mdevctl",
            Who::Mdevctl => "mdevctl 1.4.0",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Who::Vgpuctl | Who::AsMdevctl)
    }

    fn program(self, programs: &Programs) -> &Path {
        match self {
            Who::Floor => &programs.floor,
            Who::Vgpuctl => &programs.vgpuctl,
            Who::AsMdevctl => &programs.as_mdevctl,
            Who::Mdevctl => &programs.mdevctl,
        }
    }
}

/// One question, and who answers it with which words.
struct Job {
    name: &'static str,
    /// The fewest lines of a whole answer.
    lines: fn(Size) -> usize,
    commands: &'static [(Who, &'static str)],
}

static JOBS: [Job; 3] = [
    Job {
        name: "types",
        lines: Size::all_types,
        commands: &[
            (Who::Floor, "types"),
            (Who::Vgpuctl, "types"),
            (Who::AsMdevctl, "types"),
            (Who::Mdevctl, "types"),
        ],
    },
    Job {
        name: "list",
        lines: Size::all_devices,
        commands: &[
            (Who::Floor, "list"),
            (Who::Vgpuctl, "list"),
            (Who::AsMdevctl, "list"),
            (Who::Mdevctl, "list"),
        ],
    },
    Job {
        name: "list --defined",
        lines: Size::all_devices,
        commands: &[
            (Who::Vgpuctl, "list --defined"),
            (Who::AsMdevctl, "list --defined"),
            (Who::Mdevctl, "list --defined"),
        ],
    },
];

/// What one job costs on a host of one size.
pub struct Measured {
    pub job: &'static str,
    pub size_name: &'static str,
    pub costs: Vec<(Who, Cost)>,
}

impl Measured {
    /// What it costs that program; `None` where it does not do the job.
    pub fn of(&self, who: Who) -> Option<Cost> {
        let found = self.costs.iter().find(|(one, _)| *one == who);
        found.map(|(_, cost)| *cost)
    }
}

/// Measures every job on a host of every size.
///
/// # Errors
/// A program could not be run or failed.
pub fn measure_all(programs: &Programs, scratch: &Path) -> io::Result<Vec<Measured>> {
    let mut all = Vec::new();
    for (size_name, size) in SIZES {
        let root = scratch.join(size_name);
        tree::make(&root, size)?;
        for job in &JOBS {
            let program = |(who, words): &(Who, &str)| Program {
                path: who.program(programs).to_owned(),
                arguments: words.split(' ').map(str::to_owned).collect(),
                root: root.clone(),
            };
            let commands: Vec<Program> = job.commands.iter().map(program).collect();
            for command in &commands {
                refuse_short_answer(command, (job.lines)(size))?;
            }
            let costs = measure(&commands, scratch)?;
            let who = job.commands.iter().map(|(who, _)| *who);
            all.push(Measured {
                job: job.name,
                size_name,
                costs: who.zip(costs).collect(),
            });
        }
    }
    Ok(all)
}

/// Who finds nothing is fast.
fn refuse_short_answer(command: &Program, lines: usize) -> io::Result<()> {
    let answer = command.run()?.stdout;
    let found = answer.iter().filter(|byte| **byte == b'\n').count();
    match found >= lines {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{command:?} answers {found} lines in place of {lines}"
        ))),
    }
}

/// What is to be reached, and what was.
pub fn targets(measured: &[Measured]) -> Vec<Target> {
    let mut targets: Vec<Target> = measured.iter().flat_map(beside_the_floor).collect();
    targets.extend(growth(measured));
    targets.push(peak(measured));
    targets
}

fn beside_the_floor(measured: &Measured) -> Vec<Target> {
    let Some(floor) = measured.of(Who::Floor) else {
        return Vec::new();
    };
    let one = |(who, cost): (Who, Cost)| Target {
        what: format!(
            "system calls of {} for each of the floor's",
            told(measured, who)
        ),
        value: ratio(cost.system_calls, floor.system_calls),
        limit: SYSTEM_CALLS,
    };
    ours(measured).map(one).collect()
}

/// From the middle host to four of it.
fn growth(measured: &[Measured]) -> Vec<Target> {
    let of_size = |name| measured.iter().filter(move |one| one.size_name == name);
    let pairs = of_size(SIZES[1].0).zip(of_size(SIZES[2].0));
    let mut targets = Vec::new();
    for (middle, large) in pairs {
        for ((who, before), (_, after)) in ours(middle).zip(ours(large)) {
            let mut add = |what, before, after| {
                targets.push(Target {
                    what: format!("{what} of {} for each with one", told(large, who)),
                    value: ratio(after, before),
                    limit: GROWTH,
                });
            };
            add("system calls", before.system_calls, after.system_calls);
            add("instructions", before.instructions, after.instructions);
        }
    }
    targets
}

fn peak(measured: &[Measured]) -> Target {
    let all = measured.iter().flat_map(ours);
    let most = all.map(|(_, cost)| cost.peak_kib).max();
    Target {
        what: "peak memory in KiB, whatever the host".to_owned(),
        value: ratio(most.unwrap_or(u64::MAX), 1),
        limit: PEAK,
    }
}

fn ours(measured: &Measured) -> impl Iterator<Item = (Who, Cost)> {
    let all = measured.costs.iter().copied();
    all.filter(|(who, _)| who.is_ours())
}

fn told(measured: &Measured, who: Who) -> String {
    format!(
        "`{}` ({}, {})",
        measured.job,
        who.name(),
        measured.size_name
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}
