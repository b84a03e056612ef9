//! What came out, as tables in Markdown.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use super::jobs::{Measured, SIZES, Who, ratio};
use super::restore::{CREATE_MS, GPUS, OF_EACH, Restored};

/// A number that is to stay at or below a limit.
pub struct Target {
    pub what: String,
    pub value: f64,
    pub limit: f64,
}

impl Target {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn count(what: &str, value: u64, limit: u64) -> Target {
        Target {
            what: what.to_owned(),
            value: value as f64,
            limit: limit as f64,
        }
    }

    pub fn is_reached(&self) -> bool {
        self.value <= self.limit
    }
}

/// Where this was measured, without names of the machine.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let release = text("/etc/os-release");
    let value = |line: &str| {
        Some(
            line.strip_prefix("PRETTY_NAME=")?
                .trim_matches('"')
                .to_owned(),
        )
    };
    let system = release.lines().find_map(value).unwrap_or_default();
    let kernel = text("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!("Measured on {cores} cores, {system}, kernel {kernel}.")
}

/// What is on the hosts.
pub fn hosts() -> String {
    let mut table = String::from(
        "| host | parents | types | active devices, each with a definition |\n\
         | --- | ---: | ---: | ---: |\n",
    );
    for (name, size) in SIZES {
        let (types, devices) = (size.all_types(), size.all_devices());
        let _ = writeln!(table, "| {name} | {} | {types} | {devices} |", size.parents);
    }
    table
}

/// Everything that was counted and timed.
pub fn costs(all: &[Measured]) -> String {
    let mut table = String::from(
        "| command | host | program | system calls | of the floor's | instructions | of mdevctl's | peak memory | time |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for one in all {
        let (floor, mdevctl) = (one.of(Who::Floor), one.of(Who::Mdevctl));
        for (who, cost) in &one.costs {
            let of_floor = floor.map(|floor| ratio(cost.system_calls, floor.system_calls));
            let of_mdevctl = mdevctl.map(|theirs| ratio(cost.instructions, theirs.instructions));
            let _ = writeln!(
                table,
                "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} |",
                one.job,
                one.size_name,
                who.name(),
                cost.system_calls,
                of_floor.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
                millions(cost.instructions),
                of_mdevctl.map_or("-".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0)),
                mib(cost.peak_kib),
                milliseconds(cost.wall),
            );
        }
    }
    table
}

/// How long a boot took.
pub fn restored(restored: &Restored) -> String {
    let (ours, theirs) = (restored.ours.as_secs_f64(), restored.theirs.as_secs_f64());
    format!(
        "| {} definitions on {GPUS} GPUs, {CREATE_MS} ms a create | time |\n\
         | --- | ---: |\n\
         | vgpuctl, one `restore` | {ours:.2} s |\n\
         | mdevctl 1.4.0, `start-parent-mdevs` for each GPU in turn | {theirs:.2} s |\n\
         | times as fast | {:.1} |\n",
        GPUS * OF_EACH,
        theirs / ours
    )
}

/// What was to be reached.
pub fn targets(targets: &[Target]) -> String {
    let mut table = String::from("| what | is | at most | |\n| --- | ---: | ---: | --- |\n");
    for target in targets {
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} |",
            target.what,
            number(target.value),
            number(target.limit),
            match target.is_reached() {
                true => "reached",
                false => "MISSED",
            }
        );
    }
    table
}

/// Counts as they are, ratios with two digits.
fn number(value: f64) -> String {
    match value.fract() == 0.0 || value >= 1000.0 {
        true => format!("{value:.0}"),
        false => format!("{value:.2}"),
    }
}

fn millions(count: u64) -> String {
    format!("{:.1} M", ratio(count, 1_000_000))
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", ratio(kib, 1024))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
