//! The texts of `nvidia-smi`, parsed. Reads nothing and runs nothing.

use std::str::FromStr;

use super::{Engines, GpuInstance, GpuMode, MigMode, Placements, Profile};

/// Why a text is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line with its number, from 1; `None` if it is about the text as a whole.
    pub line: Option<(usize, String)>,
    /// What is wrong, in a few words.
    pub what: String,
}

/// A text that is understood, or why not.
pub type Parsed<T> = Result<T, Fault>;

/// A line with its number, from 1.
#[derive(Clone, Copy)]
struct Line<'t> {
    number: usize,
    text: &'t str,
}

impl Line<'_> {
    fn fault(self, what: impl Into<String>) -> Fault {
        Fault {
            line: Some((self.number, self.text.to_owned())),
            what: what.into(),
        }
    }

    /// A number in this line; `what` it is, for the message.
    fn number_of<N: FromStr>(self, word: &str, what: &str) -> Parsed<N> {
        let number = word.trim().parse();
        number.map_err(|_| self.fault(format!("\"{word}\" is not {what}")))
    }
}

/// The lines that say something. Remarks about a GPU's state may stand between them.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let all = text.lines().enumerate();
    all.map(|(at, line)| Line {
        number: at + 1,
        text: line.trim(),
    })
    .filter(|line| {
        let is_remark = line.text.starts_with("WARNING:");
        if is_remark {
            log::warn!("nvidia-smi: {}", line.text);
        }
        !line.text.is_empty() && !is_remark
    })
}

/// What `--query-gpu=index,pci.bus_id,mig.mode.current,mig.mode.pending --format=csv,noheader` prints:
/// `0, 00000000:41:00.0, Enabled, Disabled`.
///
/// # Errors
/// A line is not of that form.
pub fn modes(text: &str) -> Parsed<Vec<GpuMode>> {
    lines(text)
        .map(|line| {
            let fields: Vec<&str> = line.text.split(',').map(str::trim).collect();
            let [index, bus_id, current, pending] = fields[..] else {
                return Err(line.fault("expected index, bus ID, current and pending MIG mode"));
            };
            Ok(GpuMode {
                index: line.number_of(index, "the index of a GPU")?,
                gpu: address(bus_id)
                    .and_then(|address| address.parse().ok())
                    .ok_or_else(|| line.fault(format!("\"{bus_id}\" is not a PCI bus ID")))?,
                current: mode(line, current)?,
                pending: mode(line, pending)?,
            })
        })
        .collect()
}

fn mode(line: Line<'_>, word: &str) -> Parsed<MigMode> {
    match word {
        "Enabled" => Ok(MigMode::Enabled),
        "Disabled" => Ok(MigMode::Disabled),
        "[N/A]" | "N/A" | "[Not Supported]" => Ok(MigMode::Unsupported),
        other => Err(line.fault(format!("\"{other}\" is not a MIG mode"))),
    }
}

/// The address in sysfs of a GPU with this bus ID: of `00000000:C1:00.0`, `0000:c1:00.0`.
fn address(bus_id: &str) -> Option<String> {
    let (domain, rest) = bus_id.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let is_hex =
        |text: &str, digits| text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit());
    let is_domain = matches!(domain.len(), 4 | 8) && is_hex(domain, domain.len());
    let is_whole = is_domain && is_hex(bus, 2) && is_hex(device, 2) && is_hex(function, 1);
    let rest = format!("{bus}:{device}.{function}").to_ascii_lowercase();
    let domain = u32::from_str_radix(domain, 16).ok()?;
    is_whole.then(|| format!("{domain:04x}:{rest}"))
}

/// What `mig -lgip` prints: a table with two rows for each profile.
///
/// # Errors
/// It is no such table; a row is not of that form.
pub fn profiles(text: &str) -> Parsed<Vec<Profile>> {
    let mut rows = rows(text, "GPU instance profiles:")?.into_iter();
    let mut profiles = Vec::new();
    while let Some(Row { line, words }) = rows.next() {
        let [index, name, id, instances, memory, _peer, sm, dec, enc] = without_mig(&words)[..]
        else {
            return Err(line.fault("expected the first row of a profile"));
        };
        let (free, total) = instances
            .split_once('/')
            .ok_or_else(|| line.fault(format!("\"{instances}\" is not of the form Free/Total")))?;
        let second = rows.next();
        let Some(second) = second.filter(|second| second.words.len() == 3) else {
            return Err(line.fault("the second row of this profile is missing"));
        };
        let engine = |at: usize| -> Parsed<u32> {
            let word = second.words.get(at).copied().unwrap_or_default();
            second.line.number_of(word, "a number of engines")
        };
        profiles.push(Profile {
            index: line.number_of(index, "the index of a GPU")?,
            name: name.to_owned(),
            id: line.number_of(id, "a profile ID")?,
            free: line.number_of(free, "a number of instances")?,
            total: line.number_of(total, "a number of instances")?,
            memory_mib: mib(memory)
                .ok_or_else(|| line.fault(format!("\"{memory}\" is not a size in GiB")))?,
            multiprocessors: line.number_of(sm, "a number of multiprocessors")?,
            engines: Engines {
                copy: engine(0)?,
                decoders: line.number_of(dec, "a number of engines")?,
                encoders: line.number_of(enc, "a number of engines")?,
                jpeg: engine(1)?,
                optical_flow: engine(2)?,
            },
        });
    }
    Ok(profiles)
}

/// MiB of a size in GiB with at most two decimals: of `4.75`, 4864.
fn mib(gib: &str) -> Option<u64> {
    let (whole, part) = gib.split_once('.').unwrap_or((gib, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) || whole.len() > 6 || part.len() > 2 {
        return None;
    }
    let hundredths: u64 = format!("{part:0<2}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    Some(whole * 1024 + (hundredths * 1024 + 50) / 100)
}

/// What `mig -lgipp` prints, a line for each profile: `GPU  0 Profile ID 19 Placements: {0,1,2}:1`, or
/// `GPU  0 Profile ID  0 Placement : {0}:8`.
///
/// # Errors
/// A line is not of that form.
pub fn placements(text: &str) -> Parsed<Vec<Placements>> {
    lines(text)
        .map(|line| {
            let form = || line.fault("expected GPU N Profile ID N Placements: {START,...}:SIZE");
            let (left, right) = line.text.split_once(':').ok_or_else(form)?;
            let words: Vec<&str> = left.split_whitespace().collect();
            let (
                [
                    "GPU",
                    index,
                    "Profile",
                    "ID",
                    id,
                    "Placements" | "Placement",
                ],
                Some(right),
            ) = (&words[..], right.trim().strip_prefix('{'))
            else {
                return Err(form());
            };
            let (starts, size) = right.split_once('}').ok_or_else(form)?;
            let size = size.trim().strip_prefix(':').ok_or_else(form)?;
            let starts = starts.split(',').map(str::trim);
            Ok(Placements {
                index: line.number_of(index, "the index of a GPU")?,
                profile: line.number_of(id, "a profile ID")?,
                starts: starts
                    .filter(|start| !start.is_empty())
                    .map(|start| line.number_of(start, "the start of a placement"))
                    .collect::<Parsed<_>>()?,
                size: line.number_of(size, "the size of a placement")?,
            })
        })
        .collect()
}

/// What `mig -lgi` prints: a table with a row for each GPU instance.
///
/// # Errors
/// It is no such table; a row is not of that form.
pub fn gpu_instances(text: &str) -> Parsed<Vec<GpuInstance>> {
    let rows = rows(text, "GPU instances:")?.into_iter();
    rows.map(|Row { line, words }| {
        let [index, name, profile, id, placement] = without_mig(&words)[..] else {
            return Err(line.fault("expected the row of a GPU instance"));
        };
        let (start, size) = placement
            .split_once(':')
            .ok_or_else(|| line.fault(format!("\"{placement}\" is not of the form Start:Size")))?;
        Ok(GpuInstance {
            index: line.number_of(index, "the index of a GPU")?,
            profile_name: name.to_owned(),
            profile: line.number_of(profile, "a profile ID")?,
            id: line.number_of(id, "a GPU instance ID")?,
            start: line.number_of(start, "the start of a placement")?,
            size: line.number_of(size, "the size of a placement")?,
        })
    })
    .collect()
}

/// The words of a row without "MIG" before the profile's name, which older drivers omit.
fn without_mig<'t>(words: &[&'t str]) -> Vec<&'t str> {
    let is_mig = |at: usize, word: &str| at == 1 && word == "MIG";
    let words = words.iter().enumerate();
    words
        .filter(|(at, word)| !is_mig(*at, word))
        .map(|(_, word)| *word)
        .collect()
}

struct Row<'t> {
    line: Line<'t>,
    words: Vec<&'t str>,
}

/// The rows below the heading of a table: what stands between its bars, without its rules.
fn rows<'t>(text: &'t str, title: &str) -> Parsed<Vec<Row<'t>>> {
    let mut titled = false;
    let mut in_body = false;
    let mut rows = Vec::new();
    for line in lines(text) {
        let is_rule = line
            .text
            .chars()
            .all(|c| matches!(c, '+' | '-' | '=' | '|'));
        if is_rule {
            in_body |= line.text.contains("===");
            continue;
        }
        let inner = line.text.strip_prefix('|');
        let inner = inner.and_then(|inner| inner.strip_suffix('|'));
        let inner = inner.ok_or_else(|| line.fault("not a row of a table"))?;
        match (in_body, titled) {
            (true, _) => {
                let words: Vec<&str> = inner.split_whitespace().collect();
                if !words.is_empty() {
                    rows.push(Row { line, words });
                }
            }
            // Column headings.
            (false, true) => {}
            (false, false) => {
                if inner.trim() != title {
                    return Err(line.fault(format!("expected \"{title}\"")));
                }
                titled = true;
            }
        }
    }
    match titled && in_body {
        true => Ok(rows),
        false => Err(Fault {
            line: None,
            what: format!("there is no table \"{title}\""),
        }),
    }
}

/// Whether the line "vGPU Heterogeneous Mode" of `nvidia-smi -q` says Enabled or Disabled; `None` if it says something
/// else or is missing, as with older drivers.
pub fn heterogeneous_mode(text: &str) -> Option<bool> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, mode) = lines.find(|(name, _)| name.trim() == "vGPU Heterogeneous Mode")?;
    match mode.trim() {
        "Enabled" => Some(true),
        "Disabled" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_mode_is_read_from_its_line() {
        // As driver 580.159.04 prints it; without vGPU the mode is N/A.
        let text = |mode: &str| {
            format!(
                "    GPU Virtualization Mode\n        Host VGPU Mode                                 : SR-IOV\n        \
                 vGPU Heterogeneous Mode                        : {mode}\n    GPU Recovery Action : None\n"
            )
        };
        for (mode, is_mixed) in [
            ("Enabled", Some(true)),
            ("Disabled", Some(false)),
            ("N/A", None),
        ] {
            assert_eq!(heterogeneous_mode(&text(mode)), is_mixed, "{mode}");
        }
        assert_eq!(heterogeneous_mode("No devices were found\n"), None);
    }

    /// Recorded on an H200 with MIG off (driver 580.159.04).
    const H200_PROFILES: &str = include_str!("fixtures/h200-lgip.txt");
    const H200_PLACEMENTS: &str = include_str!("fixtures/h200-lgipp.txt");
    const H200_MODES: &str = include_str!("fixtures/h200-query.txt");
    /// Two A100 with 80 GiB.
    const A100_INSTANCES: &str = include_str!("fixtures/a100-lgi.txt");

    #[test]
    fn profiles_of_an_h200() {
        let all = profiles(H200_PROFILES).unwrap();
        let told: Vec<_> = all
            .iter()
            .map(|one| {
                let memory = one.memory_mib;
                (
                    one.name.as_str(),
                    one.id,
                    one.free,
                    one.total,
                    memory,
                    one.multiprocessors,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("1g.18gb", 19, 7, 7, 16384, 16),
                ("1g.18gb+me", 20, 1, 1, 16384, 16),
                ("1g.35gb", 15, 4, 4, 33280, 26),
                ("2g.35gb", 14, 3, 3, 33280, 32),
                ("3g.71gb", 9, 2, 2, 71424, 60),
                ("4g.71gb", 5, 1, 1, 71424, 64),
                ("7g.141gb", 0, 1, 1, 143360, 132),
            ]
        );
        assert!(all.iter().all(|one| one.index == 0));
        assert_eq!(
            all[6].engines,
            Engines {
                copy: 8,
                decoders: 7,
                encoders: 0,
                jpeg: 7,
                optical_flow: 1
            }
        );
        assert_eq!(
            all[1].engines,
            Engines {
                copy: 1,
                decoders: 1,
                encoders: 0,
                jpeg: 1,
                optical_flow: 1
            }
        );
    }

    #[test]
    fn placements_of_an_h200() {
        let all = placements(H200_PLACEMENTS).unwrap();
        let told: Vec<_> = all
            .iter()
            .map(|one| (one.index, one.profile, one.starts.as_slice(), one.size))
            .collect();
        assert_eq!(
            told,
            [
                (0, 19, &[0, 1, 2, 3, 4, 5, 6][..], 1),
                (0, 20, &[0, 1, 2, 3, 4, 5, 6], 1),
                (0, 15, &[0, 2, 4, 6], 2),
                (0, 14, &[0, 2, 4], 2),
                (0, 9, &[0, 4], 4),
                (0, 5, &[0], 4),
                (0, 0, &[0], 8),
            ]
        );
        let none = placements("GPU  0 Profile ID 19 Placements: {}:1\n").unwrap();
        assert_eq!((none[0].starts.len(), none[0].size), (0, 1));
    }

    #[test]
    fn modes_and_addresses() {
        let one = &modes(H200_MODES).unwrap()[0];
        assert_eq!((one.index, one.gpu.as_str()), (0, "0000:00:06.0"));
        assert_eq!(
            (one.current, one.pending),
            (MigMode::Disabled, MigMode::Disabled)
        );
        let text = "0, 00000000:C1:00.0, Enabled, Disabled\n1, 00010000:3B:00.0, [N/A], [N/A]\n";
        let all = modes(text).unwrap();
        assert_eq!(all[0].gpu.as_str(), "0000:c1:00.0");
        assert_eq!(
            (all[0].current, all[0].pending),
            (MigMode::Enabled, MigMode::Disabled)
        );
        assert_eq!(all[1].gpu.as_str(), "10000:3b:00.0");
        assert_eq!(all[1].current, MigMode::Unsupported);
    }

    #[test]
    fn gpu_instances_of_two_gpus() {
        let told: Vec<_> = gpu_instances(A100_INSTANCES)
            .unwrap()
            .into_iter()
            .map(|one| {
                (
                    one.index,
                    one.profile_name,
                    one.profile,
                    one.id,
                    one.start,
                    one.size,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (0, "1g.10gb".to_owned(), 19, 9, 2, 1),
                (0, "2g.20gb".to_owned(), 14, 3, 0, 2),
                (1, "3g.40gb".to_owned(), 9, 1, 4, 4),
            ]
        );
    }

    #[test]
    fn names_without_mig_and_other_widths_are_read() {
        let text = "+---+\n| GPU instances: |\n| GPU Name Profile Instance Placement |\n|===|\n\
                    | 10 1g.5gb+me 20 7 6:1 |\n+---+\nWARNING: infoROM is corrupted at gpu 0000:CD:00.0\n";
        let all = gpu_instances(text).unwrap();
        assert_eq!(
            (all[0].index, all[0].profile_name.as_str()),
            (10, "1g.5gb+me")
        );
        assert_eq!((all[0].id, all[0].start), (7, 6));
        let older = H200_PROFILES.replace("MIG ", "");
        assert_eq!(profiles(&older), profiles(H200_PROFILES));
    }

    #[track_caller]
    fn names<T: std::fmt::Debug>(parsed: Parsed<T>, number: usize, what: &str) {
        let fault = parsed.unwrap_err();
        let line = fault.line.as_ref().map(|(number, _)| *number);
        assert_eq!(line, Some(number), "{fault:?}");
        assert!(fault.what.contains(what), "{fault:?}");
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let broken = |from: &str, to: &str| profiles(&H200_PROFILES.replacen(from, to, 1));
        names(
            broken("7/7", "7-7"),
            6,
            "\"7-7\" is not of the form Free/Total",
        );
        names(
            broken("16.00", "16,00"),
            6,
            "\"16,00\" is not a size in GiB",
        );
        names(broken("19  ", "x  "), 6, "\"x\" is not a profile ID");
        names(broken("16     1     0   |", "16     1   |"), 6, "first row");
        names(
            broken(" 1     1     0   |\n", " 1     0   |\n"),
            6,
            "second row",
        );
        names(
            broken("GPU instance profiles", "Compute"),
            2,
            "expected \"GPU instance",
        );
        let cut: String = H200_PROFILES
            .lines()
            .take(6)
            .map(|line| format!("{line}\n"))
            .collect();
        names(profiles(&cut), 6, "second row");

        let broken = |from: &str, to: &str| placements(&H200_PLACEMENTS.replacen(from, to, 1));
        names(
            broken("{0,1,2", "{0,1,x"),
            1,
            "\"x\" is not the start of a placement",
        );
        names(broken("{0}:4", "{0}4"), 6, "expected GPU N");
        names(broken("Profile ID 14", "ID 14"), 4, "expected GPU N");

        let broken = |from: &str, to: &str| gpu_instances(&A100_INSTANCES.replacen(from, to, 1));
        names(
            broken("0:2", "0-2"),
            8,
            "\"0-2\" is not of the form Start:Size",
        );
        names(
            broken("|   1  MIG", "    1  MIG"),
            10,
            "not a row of a table",
        );
        names(
            broken("14        3 ", "14       -1 "),
            8,
            "\"-1\" is not a GPU instance ID",
        );

        names(modes("0, 00000000:00:06.0, Enabled\n"), 1, "expected index");
        for bus_id in [
            "0:0",
            "+0000000:41:00.0",
            "0000:41:00",
            "0000:4g:00.0",
            "00000000:41:00.00",
        ] {
            let text = format!("\n0, {bus_id}, Enabled, Enabled\n");
            names(modes(&text), 2, "not a PCI bus ID");
        }
        names(
            modes("0, 00000000:00:06.0, [Unknown Error], On\n"),
            1,
            "not a MIG mode",
        );
        for text in [
            "",
            "Segmentation fault\n",
            "+---+\n| GPU instances: |\n+---+\n",
        ] {
            assert!(gpu_instances(text).is_err(), "{text:?}");
        }
        assert_eq!(modes(""), Ok(Vec::new()));
    }

    /// No text is a panic; what is understood of a spoiled table has numbers that stand in it.
    fn meets(text: &str) {
        for one in gpu_instances(text).unwrap_or_default() {
            assert!(text.contains(&one.id.to_string()), "{one:?}");
            assert!(text.contains(&one.profile_name), "{one:?}");
        }
        for one in profiles(text).unwrap_or_default() {
            assert!(text.contains(&format!("{}/", one.free)), "{one:?}");
        }
        for one in modes(text).unwrap_or_default() {
            assert!(one.gpu.is_pci_address(), "{one:?}");
        }
        let _ = placements(text);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_met(text in "\\PC*|[ 0-9|+=:{},.\nMIGgb/-]{0,200}") {
            meets(&text);
        }

        #[test]
        fn a_spoiled_text_is_met(which in 0_usize..4, at in 0_usize..2000, cut in 0_usize..60, put in "[ 0-9|:/x\n]{0,4}") {
            let text = [H200_PROFILES, H200_PLACEMENTS, H200_MODES, A100_INSTANCES][which];
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            meets(&format!("{}{put}{}", &text[..at], &text[end..]));
        }
    }

    #[test]
    fn sizes_are_exact() {
        for (gib, wanted) in [
            ("4.75", Some(4864)),
            ("140.00", Some(143_360)),
            ("32.5", Some(33280)),
            ("9", Some(9216)),
            ("69.75", Some(71424)),
            ("", None),
            ("1.", None),
            ("-1", None),
            ("1e9", None),
            ("9999999", None),
        ] {
            assert_eq!(mib(gib), wanted, "{gib}");
        }
    }
}
