//! The host in numbers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::ops;
use crate::output::metrics::{Sample, families};

/// The answer of `metrics`.
#[derive(Serialize, JsonSchema)]
pub struct Metrics {
    /// The metrics, those without samples left out.
    metrics: Vec<Metric>,
}

/// A metric.
#[derive(Serialize, JsonSchema)]
struct Metric {
    /// Its name.
    name: &'static str,
    /// Always `gauge`.
    r#type: &'static str,
    /// What it counts.
    help: &'static str,
    /// Its samples.
    samples: Vec<Sample>,
}

impl From<&ops::Metrics> for Metrics {
    fn from(metrics: &ops::Metrics) -> Self {
        let metrics = families(metrics).into_iter().map(|family| Metric {
            name: family.name,
            r#type: "gauge",
            help: family.help,
            samples: family.samples,
        });
        Metrics {
            metrics: metrics.collect(),
        }
    }
}
