//! Parsing of type names: `GRID P4-2B4`, `NVIDIA A40-48Q`, `GRID A100-1-5CME`, `GRID GTX P40-6`.

use crate::Series;

/// Valid suffixes after the series letter: 4 for more than one 4K display (B series), the others for
/// features of a MIG slice (media engines, graphics).
const SUFFIXES: [&str; 5] = ["4", "ME", "NOME", "MEALL", "GFX"];

/// No GPU has more slices; a larger number is part of the GPU's name.
const MOST_SLICES: u32 = 7;

/// Common part of the names of gaming types, which end in the size.
const GAMING_WORDS: [&str; 3] = ["GTX", "RTX", "GeForce"];

/// A type name in NVIDIA's format: `[GRID |NVIDIA ]<GPU>-[<slices>-]<GB><series>[<suffix>]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    /// The GPU name used by the driver: `P4`, `RTX6000-Ada`, `RTX Pro 6000 Blackwell DC`.
    pub gpu: String,
    /// Slices of the GPU, for a MIG-backed type.
    pub slices: Option<u32>,
    /// Framebuffer in MiB according to the name: whole GiB, where 0 means 512 MiB.
    pub framebuffer_mib: u64,
    /// The series.
    pub series: Series,
    /// The suffix after the series letter.
    pub suffix: Option<&'static str>,
}

impl TypeName {
    /// Parses a name; `None` if it has a different format.
    pub fn parse(name: &str) -> Option<TypeName> {
        let (gpu, end) = short_name(name).rsplit_once('-')?;
        let digits = end.bytes().take_while(u8::is_ascii_digit).count();
        let (size, kind) = end.split_at(digits);
        let framebuffer_mib = framebuffer(size)?;
        let Some(letter) = kind.chars().next() else {
            let is_gaming = GAMING_WORDS.iter().any(|word| name.contains(word));
            return (is_gaming && is_gpu(gpu)).then(|| TypeName {
                gpu: gpu.to_owned(),
                slices: None,
                framebuffer_mib,
                series: Series::Gaming,
                suffix: None,
            });
        };
        let series = Series::of_letter(letter)?;
        let suffix = match &kind[letter.len_utf8()..] {
            "" => None,
            text => Some(*SUFFIXES.iter().find(|known| **known == text)?),
        };
        let (gpu, slices) = match gpu.rsplit_once('-') {
            Some((short, count)) if is_number(count) => match count.parse().ok()? {
                count @ 1..=MOST_SLICES => (short, Some(count)),
                _ => (gpu, None),
            },
            _ => (gpu, None),
        };
        is_gpu(gpu).then(|| TypeName {
            gpu: gpu.to_owned(),
            slices,
            framebuffer_mib,
            series,
            suffix,
        })
    }

    /// Whether each of its vGPUs has its own GPU instance (MIG).
    pub fn is_mig(&self) -> bool {
        self.slices.is_some()
    }

    /// Whether it has the media engines of a GPU in MIG mode, which only one instance has.
    pub fn has_media_engines(&self) -> bool {
        self.is_mig() && matches!(self.suffix, Some("ME" | "MEALL"))
    }

    /// The profile of the GPU instance of each vGPU, as `nvidia-smi` names it: `3g.40gb`. `None` if the type is not
    /// MIG-backed, or has a suffix of which no profile is documented.
    pub fn gpu_instance_profile(&self) -> Option<String> {
        let (slices, gib) = (self.slices?, self.framebuffer_mib / 1024);
        let suffix = match self.suffix {
            None => "",
            Some("ME") => "+me",
            Some(_) => return None,
        };
        Some(format!("{slices}g.{gib}gb{suffix}"))
    }

    /// Whether it supports CUDA and OpenCL; `None` if not documented by NVIDIA. On Maxwell
    /// cards, only the type with the whole GPU does (NVIDIA's vGPU user guide, "CUDA Toolkit and OpenCL support").
    pub fn cuda(&self) -> Option<bool> {
        let is_maxwell = ["M6", "M10", "M60"].contains(&self.gpu.as_str());
        match self.series {
            Series::Applications | Series::Business => Some(false),
            Series::Workstation if is_maxwell => Some(self.framebuffer_mib == 8192),
            Series::Compute | Series::Workstation => Some(true),
            Series::Gaming => None,
        }
    }
}

/// A type name without the product line prefix: `GRID P4-1Q` and `NVIDIA A40-1Q` become
/// `P4-1Q` and `A40-1Q` (NVIDIA dropped "GRID" for newer cards).
pub fn short_name(name: &str) -> &str {
    ["GRID ", "NVIDIA "]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_gpu(text: &str) -> bool {
    let is_plain = text.trim() == text && !text.contains(char::is_control);
    !text.is_empty() && is_plain && !is_number(text)
}

fn framebuffer(gib: &str) -> Option<u64> {
    match gib {
        "0" => Some(512),
        _ if gib.starts_with('0') || gib.len() > 4 => None,
        _ => Some(gib.parse::<u64>().ok()? * 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GPU, slices, MiB, series' letter or "gaming", suffix.
    type Parts = (
        &'static str,
        Option<u32>,
        u64,
        &'static str,
        Option<&'static str>,
    );

    const NAMES: [(&str, Parts); 26] = [
        ("GRID P4-1Q", ("P4", None, 1024, "Q", None)),
        ("P4-1Q", ("P4", None, 1024, "Q", None)),
        ("GRID P40-24A", ("P40", None, 24576, "A", None)),
        ("GRID M60-0Q", ("M60", None, 512, "Q", None)),
        ("GRID M10-0B", ("M10", None, 512, "B", None)),
        ("GRID P4-2B4", ("P4", None, 2048, "B", Some("4"))),
        ("GRID V100DX-16C", ("V100DX", None, 16384, "C", None)),
        ("GRID RTX6000P-12Q", ("RTX6000P", None, 12288, "Q", None)),
        ("NVIDIA A40-48C", ("A40", None, 49152, "C", None)),
        ("NVIDIA L40S-1B", ("L40S", None, 1024, "B", None)),
        (
            "NVIDIA RTX6000-Ada-1Q",
            ("RTX6000-Ada", None, 1024, "Q", None),
        ),
        ("NVIDIA RTXA6000-48Q", ("RTXA6000", None, 49152, "Q", None)),
        ("GRID A100-40C", ("A100", None, 40960, "C", None)),
        ("GRID A100-1-5C", ("A100", Some(1), 5120, "C", None)),
        ("GRID A100-1-5CME", ("A100", Some(1), 5120, "C", Some("ME"))),
        (
            "A100D-7-80CNOME",
            ("A100D", Some(7), 81920, "C", Some("NOME")),
        ),
        (
            "H100-1-10CMEALL",
            ("H100", Some(1), 10240, "C", Some("MEALL")),
        ),
        ("DC-1-24QGFX", ("DC", Some(1), 24576, "Q", Some("GFX"))),
        ("H100XM-1-10C", ("H100XM", Some(1), 10240, "C", None)),
        ("NVIDIA RTX-5000-8Q", ("RTX-5000", None, 8192, "Q", None)),
        ("NVIDIA DC-24QGFX", ("DC", None, 24576, "Q", Some("GFX"))),
        (
            "NVIDIA RTX Pro 6000 Blackwell DC-4-96Q",
            ("RTX Pro 6000 Blackwell DC", Some(4), 98304, "Q", None),
        ),
        ("GRID GTX P40-6", ("GTX P40", None, 6144, "gaming", None)),
        ("GRID RTX T10-16", ("RTX T10", None, 16384, "gaming", None)),
        ("GRID RTX T4-0", ("RTX T4", None, 512, "gaming", None)),
        (
            "GeForce RTX T10x-4",
            ("GeForce RTX T10x", None, 4096, "gaming", None),
        ),
    ];

    #[test]
    fn names_of_all_kinds_come_apart() {
        for (name, (gpu, slices, framebuffer_mib, series, suffix)) in NAMES {
            let parsed = TypeName::parse(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(parsed.gpu, gpu, "{name}");
            assert_eq!(parsed.slices, slices, "{name}");
            assert_eq!(parsed.framebuffer_mib, framebuffer_mib, "{name}");
            assert_eq!(parsed.series.name(), series, "{name}");
            assert_eq!(parsed.suffix, suffix, "{name}");
        }
    }

    #[test]
    fn other_names_are_not_guessed_at() {
        for name in [
            "",
            "-",
            "Dual port serial",
            "VFIO AP Passthrough Device",
            "GRID K120Q",
            "GRID P4",
            "GRID P4-",
            "GRID P4-Q",
            "GRID P4-1",
            "GRID P4-1q",
            "GRID P4-1X",
            "GRID P4-1Q5",
            "GRID P4-1QX",
            "GRID P4-01Q",
            "GRID P4-00Q",
            "GRID P4-99999Q",
            "GRID P4-1Q ",
            "GRID -1Q",
            "GRID 1-5C",
            "GRID 1-1-5C",
            "1Q",
            "-1Q",
            "P4--1Q ",
            "GRID P\n4-1Q",
            "A100-99999999999-5C",
            "GRID P4-１Q",
            "GRID P4-1é",
        ] {
            assert_eq!(TypeName::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn cuda_runs_where_nvidia_says_it_does() {
        for (name, wanted) in [
            ("GRID P4-1Q", Some(true)),
            ("GRID P4-4C", Some(true)),
            ("GRID P4-8A", Some(false)),
            ("GRID P4-2B4", Some(false)),
            ("GRID M60-4Q", Some(false)),
            ("GRID M10-8Q", Some(true)),
            ("GRID M6-0Q", Some(false)),
            ("GRID RTX T10-8", None),
        ] {
            assert_eq!(TypeName::parse(name).unwrap().cuda(), wanted, "{name}");
        }
    }

    #[test]
    fn a_mig_backed_type_names_the_profile_of_its_gpu_instance() {
        for (name, profile) in [
            ("NVIDIA H100XM-3-40C", Some("3g.40gb")),
            ("NVIDIA H100XM-1-10CME", Some("1g.10gb+me")),
            ("NVIDIA DC-1-24QGFX", None),
            ("NVIDIA L40S-8Q", None),
        ] {
            let found = TypeName::parse(name).unwrap().gpu_instance_profile();
            assert_eq!(found.as_deref(), profile, "{name}");
        }
    }
}
