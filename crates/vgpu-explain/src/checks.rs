//! Conditions on matching lines beyond their words, such as comparing numbers.

use serde::Deserialize;

use crate::judge::Sighting;

/// Selects the line to report from all lines that match the patterns, in order.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The first line.
    #[default]
    First,
    /// A line that names no module, or a module that vGPUs need.
    ModuleOfOurs,
    /// The actual size is larger than the expected one.
    GotMoreThanExpected,
    /// The actual size is smaller than the expected one.
    GotLessThanExpected,
    /// The version of the guest's driver is not supported by the host's driver.
    GuestDoesNotFit,
}

impl Check {
    pub fn pick(self, told: Vec<Sighting>) -> Option<Sighting> {
        match self {
            Check::First => told.into_iter().next(),
            Check::ModuleOfOurs => module_of_ours(told),
            Check::GotMoreThanExpected => got_more_than_expected(told),
            Check::GotLessThanExpected => got_less_than_expected(told),
            Check::GuestDoesNotFit => guest_does_not_fit(told),
        }
    }
}

/// The part of the quoted lines that is inserted into a text.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// See [`legacy_branch`].
    LegacyBranch,
}

impl Fill {
    pub fn value(self, quote: &str) -> Option<String> {
        match self {
            Fill::LegacyBranch => legacy_branch(quote),
        }
    }
}

/// If a line names a module, it must be one that vGPUs need.
fn module_of_ours(told: Vec<Sighting>) -> Option<Sighting> {
    const OURS: [&str; 5] = ["nvidia", "kvmgt", "vfio", "mdev", "i915"];
    told.into_iter().find(|told| {
        let text = told.quote.to_ascii_lowercase();
        !text.contains("insert") || OURS.iter().any(|module| text.contains(module))
    })
}

/// The branch that a GPU needs, if stated by the driver: 580 in "the NVIDIA 580.xx Legacy drivers".
fn legacy_branch(quote: &str) -> Option<String> {
    let text = quote.to_ascii_lowercase();
    let (_, said) = text.split_once("supported")?;
    let (before, _) = said.split_once("legacy")?;
    let digits = |word: &str| -> String {
        let digits = word.chars().take_while(char::is_ascii_digit);
        digits.collect()
    };
    let mut words = before.split_whitespace().rev().map(digits);
    words.find(|digits| (2..=3).contains(&digits.len()))
}

/// "was 5424 bytes, expected 4960 bytes": both numbers.
fn sizes(sighting: &Sighting) -> Option<(u64, u64)> {
    // A number may continue after a line break.
    let text = sighting.quote.to_ascii_lowercase().replace('\n', "");
    let (_, was) = text.rsplit_once("was")?;
    let (was, expected) = was.split_once("expected")?;
    Some((number(was)?, number(expected)?))
}

/// The first decimal number in a text.
fn number(text: &str) -> Option<u64> {
    let mut digits = text.split(|c: char| !c.is_ascii_digit());
    digits.find(|word| !word.is_empty())?.parse().ok()
}

fn got_more_than_expected(told: Vec<Sighting>) -> Option<Sighting> {
    told.into_iter()
        .find(|told| sizes(told).is_some_and(|(was, expected)| was > expected))
}

fn got_less_than_expected(told: Vec<Sighting>) -> Option<Sighting> {
    told.into_iter()
        .find(|told| sizes(told).is_some_and(|(was, expected)| was < expected))
}

/// The component whose version the next lines contain.
#[derive(Clone, Copy)]
enum Side {
    Host,
    Guest,
}

/// Driver branches; Windows versions are between them (538.33 belongs to branch 535).
const BRANCHES: [u64; 17] = [
    367, 384, 390, 410, 418, 430, 440, 450, 460, 470, 510, 525, 535, 550, 570, 580, 595,
];

fn branch(major: u64) -> usize {
    BRANCHES.partition_point(|branch| *branch <= major)
}

/// Processes the versions in order: the guest's must be in the range given by the host, and
/// if there is none, must not be from a newer branch than the host's.
fn guest_does_not_fit(told: Vec<Sighting>) -> Option<Sighting> {
    let mut side = None;
    let (mut host, mut range) = (None, None);
    for line in told {
        // A line that matches two of the patterns is processed twice, with the same result.
        let text = line.quote.to_ascii_lowercase();
        let after = |word: &str| text.split_once(word).map(|(_, rest)| rest.to_owned());
        if text.contains("vgpu manager information") {
            (side, host, range) = (Some(Side::Host), None, None);
        } else if text.contains("guest nvidia driver information") {
            side = Some(Side::Guest);
        } else if let Some(rest) = after("vgpu supported range") {
            range = hex_numbers(&rest);
        } else if let Some(rest) = after("vgpu version:")
            && let (Some(Side::Guest), Some((low, high))) = (side, range)
            && let Some(version) = hex(&rest)
            && !(low..=high).contains(&version)
        {
            return Some(line);
        } else if let Some(rest) = after("driver version:") {
            let major = number(&rest);
            match side {
                Some(Side::Host) => host = host.or(major),
                Some(Side::Guest) if range.is_none() => {
                    let is_newer = |(host, guest)| branch(guest) > branch(host);
                    if host.zip(major).is_some_and(is_newer) {
                        return Some(line);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

fn hex(text: &str) -> Option<u64> {
    let digits = text.split_once("0x")?.1;
    let end = digits.find(|c: char| !c.is_ascii_hexdigit());
    u64::from_str_radix(&digits[..end.unwrap_or(digits.len())], 16).ok()
}

fn hex_numbers(text: &str) -> Option<(u64, u64)> {
    let (low, high) = text.split_once(',')?;
    Some((hex(low)?, hex(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Sighting> {
        let sighting = |(line, quote): (u64, &str)| Sighting {
            line,
            quote: quote.to_owned(),
        };
        (1..).zip(text.lines()).map(sighting).collect()
    }

    #[test]
    fn two_sizes_say_which_side_is_older() {
        let more = "Parameters size for X was 5424 bytes, expected 4960 bytes";
        let less = "Parameters size for X was 1840 bytes, expected 1848 bytes";
        let cut = "Parameters size for X was 1840 byt>";
        assert!(got_more_than_expected(lines(more)).is_some());
        assert!(got_more_than_expected(lines(less)).is_none());
        assert!(got_less_than_expected(lines(less)).is_some());
        assert!(got_less_than_expected(lines(cut)).is_none());
    }

    #[test]
    fn the_branch_is_the_one_that_the_driver_names() {
        let whole = "NVRM: The NVIDIA GeForce GTX 980 GPU installed in this system is\n\
                     NVRM:  supported through the NVIDIA 580.xx Legacy drivers. Please\n";
        assert_eq!(legacy_branch(whole).as_deref(), Some("580"));
        let wrapped = "supported through the NVIDIA\nNVRM:  71.86.xx Legacy drivers";
        assert_eq!(legacy_branch(wrapped).as_deref(), Some("71"));
        let nameless =
            "The NVIDIA GTX 980 GPU installed in this system is supported through the legacy";
        assert_eq!(legacy_branch(nameless), None);
    }

    fn versions(host: &str, range: &str, guest: &str, version: &str) -> Option<String> {
        let text = format!(
            "notice: ######## vGPU Manager Information: ########\nDriver Version: {host}\n{range}\n\
             ######## Guest NVIDIA Driver Information: ########\nDriver Version: {guest}\n{version}"
        );
        guest_does_not_fit(lines(&text)).map(|line| line.quote)
    }

    #[test]
    fn the_range_that_the_host_gives_decides() {
        let range = "(0x0): vGPU supported range: (0x70001, 0xd0001)";
        let old = versions("510.85.03", range, "496.49", "vGPU version: 0xc0001");
        assert_eq!(old, None, "as pasted in vgpu_unlock #110, where it worked");
        let new = versions("510.85.03", range, "528.24", "vGPU version: 0xf0001");
        assert_eq!(new.as_deref(), Some("vGPU version: 0xf0001"));
        let older = versions("510.85.03", range, "391.81", "vGPU version: 0x50001");
        assert!(older.is_some());
    }

    #[test]
    fn without_a_range_only_a_newer_branch_is_known_not_to_fit() {
        assert!(
            versions("450.124", "", "472.12", "").is_some(),
            "vgpu_unlock #74"
        );
        assert!(versions("535.161.05", "", "538.33", "").is_none());
        assert!(versions("550.54.10", "", "551.61", "").is_none());
        assert!(versions("550.54.10", "", "538.33", "").is_none());
    }
}
