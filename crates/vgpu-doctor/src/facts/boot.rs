//! What brings devices back at boot.

use std::path::PathBuf;

use super::Look;
use super::units::Unit;

/// What is there of it.
pub struct Boot {
    /// The name of our udev rule.
    pub rule_name: String,
    /// That rule.
    pub rule: Option<Rule>,
    /// The unit that runs once.
    pub once: Unit,
    /// The unit that runs for a parent.
    pub each: Unit,
    /// mdevctl's rule.
    pub mdevctl: Option<Rule>,
    /// systemd runs here.
    pub has_systemd: bool,
    /// udev finds our program beside the rules, which it does without systemd.
    pub is_beside_rules: bool,
}

/// A rule as udev reads it: the first of its name, unless that is empty or a link to nothing.
pub struct Rule {
    /// The file.
    pub path: PathBuf,
    /// The program that it calls by a path that ends in `/mdevctl`.
    pub calls: Option<String>,
    /// Whether that is there.
    pub is_found: bool,
}

impl Boot {
    /// Looks for the parts of the program of that name.
    pub fn read(look: &Look<'_>, program: &str) -> Boot {
        let rule_name = format!("60-{program}.rules");
        let beside = look.host.rule_dirs().map(|dir| dir.with_file_name(program));
        Boot {
            rule: Rule::read(look, &rule_name),
            once: Unit::read(look, &format!("{program}-restore.service")),
            each: Unit::read(look, &format!("{program}-restore@.service")),
            mdevctl: Rule::read(look, "60-mdevctl.rules"),
            has_systemd: look.is_there(&look.host.systemd_runs()),
            is_beside_rules: look.first(beside).is_some(),
            rule_name,
        }
    }
}

impl Rule {
    fn read(look: &Look<'_>, name: &str) -> Option<Rule> {
        let mut paths = look.host.rule_dirs().into_iter().map(|dir| dir.join(name));
        let path = paths.find(|path| look.is_named(path))?;
        let text = look.text(&path).ok().flatten()?;
        let calls = called(&text);
        let program = calls
            .as_ref()
            .map(|called| look.host.named(called.as_ref()));
        (!text.is_empty()).then(|| Rule {
            path,
            is_found: program.is_some_and(|program| look.is_there(&program)),
            calls,
        })
    }
}

/// The path by which a rule calls mdevctl.
fn called(rule: &str) -> Option<String> {
    let lines = rule.lines().map(str::trim_start);
    let mut words = lines
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'=,{}".contains(c)));
    words
        .find(|word| word.starts_with('/') && word.ends_with("/mdevctl"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn the_path_is_found_in_the_rules_that_distributions_ship() {
        let debian = "# /x/mdevctl\nACTION==\"change\", ENV{MDEV_STATE}==\"registered\", \
            TEST==\"/etc/mdevctl.d/$kernel\", RUN+=\"/bin/sh -c '{ /usr/sbin/mdevctl \
            start-parent-mdevs %k 2>&3 | logger -t mdevctl; } 3>&1'\"\n";
        assert_eq!(called(debian).as_deref(), Some("/usr/sbin/mdevctl"));
        assert_eq!(
            called("RUN+=\"/usr/bin/mdevctl start-parent-mdevs %k\"").as_deref(),
            Some("/usr/bin/mdevctl")
        );
        assert_eq!(
            called("ACTION==\"change\", TEST==\"/etc/mdevctl.d/$kernel\""),
            None
        );
    }
}
