//! Numbers for Prometheus, in its text form (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::ops::{GpuNumbers, Metrics, RestoreResult, TypeNumbers};
use crate::text::on_its_lines;

const MIB: u64 = 1 << 20;

/// Samples of one name.
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub samples: Vec<Sample>,
}

/// A sample of a metric.
#[derive(Serialize, JsonSchema)]
pub struct Sample {
    /// What the number is about: labels such as `gpu`, and their values.
    #[serde(serialize_with = "as_object")]
    #[schemars(with = "BTreeMap<String, String>")]
    labels: Vec<(&'static str, String)>,
    /// The number.
    #[schemars(with = "f64")]
    value: Number,
}

#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Seconds(f64),
}

/// The text, as node_exporter's textfile collector reads it. All of it are gauges.
pub fn text(metrics: &Metrics) -> String {
    let mut text = String::new();
    for Family {
        name,
        help,
        samples,
    } in families(metrics)
    {
        // Writing to a String does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for Sample { labels, value } in samples {
            let labels: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)))
                .collect();
            let value = match value {
                Number::Whole(count) => count.to_string(),
                Number::Seconds(seconds) => seconds.to_string(),
            };
            let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
        }
    }
    text
}

/// A label's value: only these three have to be written otherwise, where nothing is hidden.
fn escaped(value: &str) -> String {
    on_its_lines(value)
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

fn as_object<S: Serializer>(
    labels: &[(&'static str, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(key, value)| (key, value)))
}

/// All that there is something to say about.
pub fn families(metrics: &Metrics) -> Vec<Family> {
    let mut all = vec![of_program()];
    all.extend(of_gpus(&metrics.gpus));
    all.extend(of_types(&metrics.types));
    all.push(of_devices(metrics));
    all.extend(of_restores(&metrics.restores));
    all.push(of_unreadable(metrics));
    all.retain(|family| !family.samples.is_empty());
    all
}

fn of_program() -> Family {
    Family {
        name: "vgpuctl_build_info",
        help: "The version of vgpuctl that wrote this; always 1.",
        samples: vec![Sample {
            labels: vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
            value: Number::Whole(1),
        }],
    }
}

fn of_gpus(gpus: &[GpuNumbers]) -> [Family; 5] {
    let family = |name, help, value: fn(&GpuNumbers) -> Option<u64>| Family {
        name,
        help,
        samples: samples(gpus, |one| vec![("gpu", one.gpu.to_string())], value),
    };
    let info = |one: &GpuNumbers| {
        let mut labels = vec![
            ("gpu", one.gpu.to_string()),
            ("framework", one.framework.as_str().to_owned()),
        ];
        labels.extend(one.model.map(|model| ("model", model.to_owned())));
        labels
    };
    [
        Family {
            name: "vgpuctl_gpu_info",
            help: "A GPU or other parent that offers types of vGPUs; always 1.",
            samples: samples(gpus, info, |_| Some(1)),
        },
        family(
            "vgpuctl_gpu_memory_bytes",
            "Memory of the card itself, where its model is known.",
            |one| one.memory_mib.map(|mib| mib * MIB),
        ),
        family(
            "vgpuctl_gpu_framebuffer_used_bytes",
            "Framebuffer that the active vGPUs of the GPU take, at most its memory.",
            |one| one.framebuffer_used_mib.map(|mib| mib * MIB),
        ),
        family(
            "vgpuctl_gpu_framebuffer_promised_bytes",
            "Framebuffer that the types of the active vGPUs promise; on an unlocked card it may be more than there is.",
            |one| one.framebuffer_promised_mib.map(|mib| mib * MIB),
        ),
        family(
            "vgpuctl_gpu_held_devices",
            "Active devices of the GPU that a process, such as a virtual machine, has open.",
            |one| one.held,
        ),
    ]
}

fn of_types(types: &[TypeNumbers]) -> [Family; 5] {
    let labels = |one: &TypeNumbers| {
        let mut labels = vec![
            ("gpu", one.gpu.to_string()),
            ("type", one.type_id.to_string()),
        ];
        labels.extend(one.name.clone().map(|name| ("name", name)));
        labels
    };
    let family = |name, help, value: fn(&TypeNumbers) -> Option<u64>| Family {
        name,
        help,
        samples: samples(types, labels, value),
    };
    [
        family(
            "vgpuctl_type_free_instances",
            "Instances of the type that can be created now, where that can be told.",
            |one| one.free.map(u64::from),
        ),
        family(
            "vgpuctl_type_free_instances_min",
            "Instances of the type that can surely be created now; more may fit where functions share a GPU.",
            |one| one.free_at_least.map(u64::from),
        ),
        family(
            "vgpuctl_type_max_instances",
            "Instances of the type that fit on the otherwise empty GPU, where the driver says so.",
            |one| one.most.map(u64::from),
        ),
        family(
            "vgpuctl_type_active_instances",
            "Active devices of the type.",
            |one| one.active,
        ),
        family(
            "vgpuctl_type_framebuffer_bytes",
            "Framebuffer of one instance of the type, where it is known.",
            |one| one.framebuffer_mib.map(|mib| mib * MIB),
        ),
    ]
}

fn of_devices(metrics: &Metrics) -> Family {
    Family {
        name: "vgpuctl_devices",
        help: "Devices by state (active, inactive: only defined, foreign: made by another program, unknown) and by their definition's start mode (none: no definition).",
        samples: samples(
            &metrics.devices,
            |one| {
                let start = one.start.map_or("none", |start| start.as_str());
                vec![
                    ("gpu", one.gpu.to_string()),
                    ("state", one.state.as_str().to_owned()),
                    ("start", start.to_owned()),
                ]
            },
            |one| Some(one.count),
        ),
    }
}

fn of_restores(restores: &[RestoreResult]) -> [Family; 3] {
    let outcomes = |one: &RestoreResult| {
        let counts = [
            ("started", one.started),
            ("active", one.active),
            ("failed", one.failed),
        ];
        counts.map(|(result, count)| Sample {
            labels: vec![("gpu", one.gpu.to_string()), ("result", result.to_owned())],
            value: Number::Whole(count),
        })
    };
    let times = |name, help, time: fn(&RestoreResult) -> f64| Family {
        name,
        help,
        samples: restores
            .iter()
            .map(|one| Sample {
                labels: vec![("gpu", one.gpu.to_string())],
                value: Number::Seconds(time(one)),
            })
            .collect(),
    };
    [
        Family {
            name: "vgpuctl_restore_devices",
            help: "Devices of the last restore by result: started, active already, or failed.",
            samples: restores.iter().flat_map(outcomes).collect(),
        },
        times(
            "vgpuctl_restore_duration_seconds",
            "How long the last restore took, waiting included.",
            |one| one.seconds,
        ),
        times(
            "vgpuctl_restore_start_time_seconds",
            "When the last restore began, in seconds since 1970.",
            |one| one.start,
        ),
    ]
}

fn of_unreadable(metrics: &Metrics) -> Family {
    Family {
        name: "vgpuctl_unreadable",
        help: "Things on the host that could not be read and are missing from the other numbers; vgpuctl metrics names them.",
        samples: samples(
            &metrics.unreadable,
            |(area, _)| vec![("what", area.as_str().to_owned())],
            |(_, count)| Some(*count as u64),
        ),
    }
}

/// A sample of each item that has a value.
fn samples<T>(
    items: &[T],
    labels: impl Fn(&T) -> Vec<(&'static str, String)>,
    value: impl Fn(&T) -> Option<u64>,
) -> Vec<Sample> {
    let sample = |item: &T| {
        Some(Sample {
            value: Number::Whole(value(item)?),
            labels: labels(item),
        })
    };
    items.iter().filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labels_value_stays_on_its_line_and_in_its_quotes() {
        assert_eq!(escaped("GRID P4-1Q"), "GRID P4-1Q");
        assert_eq!(escaped("a\\n\"b\"\nc"), r#"a\\n\"b\"\nc"#);
    }
}
