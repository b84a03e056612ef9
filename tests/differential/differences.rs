//! The differences that are wanted: `differences.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use crate::compare::{Aspect, Found, Rule};
use crate::random::Ran;
use crate::side::with_itself;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// The case's name.
    case: String,
    /// Where it differs.
    differs: BTreeSet<Aspect>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedRule {
    rule: Rule,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    #[serde(default)]
    difference: Vec<Listed>,
    #[serde(default)]
    rule: Vec<ListedRule>,
}

impl Differences {
    pub fn read() -> Differences {
        if with_itself() {
            return Differences {
                difference: Vec::new(),
                rule: Vec::new(),
            };
        }
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/differences.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let differences: Differences =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let reasons = differences.difference.iter().map(|listed| &listed.reason);
        let rules = differences.rule.iter().map(|listed| &listed.reason);
        assert!(
            reasons.chain(rules).all(|reason| reason.len() > 20),
            "every difference has a reason"
        );
        differences
    }

    pub fn cases(&self) -> usize {
        self.difference
            .iter()
            .map(|listed| listed.differs.len())
            .sum()
    }

    pub fn cases_named(&self) -> usize {
        self.difference.len()
    }

    pub fn rules(&self) -> usize {
        self.rule.len()
    }

    /// Fails on a difference that is not listed, and on a listed one that is not there.
    pub fn judge_cases(&self, results: &[(String, Found)]) {
        let mut results: Vec<_> = results.iter().collect();
        results.sort_by(|a, b| a.0.cmp(&b.0));
        let mut faults = String::new();
        let mut count = 0;
        let mut listed: BTreeMap<&str, BTreeSet<Aspect>> = BTreeMap::new();
        for one in &self.difference {
            let before = listed.insert(&one.case, one.differs.clone());
            assert!(before.is_none(), "listed twice: {}", one.case);
        }
        for (name, found) in &results {
            let wanted = listed.remove(name.as_str()).unwrap_or_default();
            let surprises: Vec<_> = found.aspects.difference(&wanted).collect();
            if !surprises.is_empty() {
                count += 1;
                let _ = writeln!(faults, "\n{name}: unlisted difference in {surprises:?}");
                faults += &found.report;
            }
            let gone: Vec<_> = wanted.difference(&found.aspects).collect();
            if !gone.is_empty() {
                count += 1;
                let _ = writeln!(faults, "\n{name}: listed, but no difference in {gone:?}");
            }
        }
        for name in listed.keys() {
            count += 1;
            let _ = writeln!(faults, "\n{name}: listed, but there is no such case");
        }
        let needed: BTreeSet<Rule> = results
            .iter()
            .flat_map(|(_, found)| found.rules.iter().copied())
            .collect();
        let known: BTreeSet<Rule> = self.rule.iter().map(|listed| listed.rule).collect();
        for rule in known.symmetric_difference(&needed) {
            count += 1;
            let how = if known.contains(rule) {
                "listed, but never needed"
            } else {
                "needed, but not listed"
            };
            let _ = writeln!(faults, "\nrule {rule:?}: {how}");
        }
        assert!(
            count == 0,
            "{count} of {} cases are wrong\n{faults}",
            results.len()
        );
    }

    /// Fails on any difference that no listed rule allows.
    pub fn judge_sequences(&self, results: &[Ran], seed: u64) {
        let known: BTreeSet<Rule> = self.rule.iter().map(|listed| listed.rule).collect();
        let mut faults = String::new();
        for ran in results {
            let unlisted: Vec<_> = ran.found.rules.difference(&known).collect();
            if !ran.found.aspects.is_empty() || !unlisted.is_empty() {
                let _ = writeln!(
                    faults,
                    "\n{} after {} steps; rules {unlisted:?}\n{}  before:\n    {}",
                    ran.host,
                    ran.steps,
                    ran.found.report,
                    ran.lines.join("\n    ")
                );
            }
        }
        assert!(
            faults.is_empty(),
            "again with VGPUCTL_DIFFERENTIAL_SEED={seed}\n{faults}"
        );
    }
}
