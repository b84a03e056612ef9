//! The host in numbers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::output::metrics::{Family, Sample};

/// The answer of `metrics`.
#[derive(Serialize, JsonSchema)]
pub struct Metrics {
    /// The metrics, those without samples left out.
    pub metrics: Vec<Metric>,
}

/// A metric.
#[derive(Serialize, JsonSchema)]
pub struct Metric {
    /// Its name.
    name: &'static str,
    /// Always `gauge`.
    r#type: &'static str,
    /// What it counts.
    help: &'static str,
    /// Its samples.
    samples: Vec<Sample>,
}

impl From<Family> for Metric {
    fn from(family: Family) -> Self {
        Metric {
            name: family.name,
            r#type: "gauge",
            help: family.help,
            samples: family.samples,
        }
    }
}
