//! The keys of vgpu_unlock-rs' settings, and what each takes.
//!
//! vgpu_unlock-rs silently ignores a key that it does not know; a value of the wrong kind
//! makes the whole file fail, when a VM starts.

use toml::de::DeValue;

use vgpu_host::text::{said, whole};

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A whole number that fits in so many bits.
    Number(u32),
    /// A number, of which all but 0 count as 1; never true or false.
    Switch,
    /// A number of bytes, or a text such as "512 MiB".
    Size,
    /// A text of fewer bytes than this.
    Text(usize),
    /// A text of fewer bytes than 32, or 64 with newer drivers.
    Name,
}

/// The first driver that gives names 64 bytes: 19.x of the vGPU software.
const LONG_NAMES_FROM: u32 = 580;
/// Bytes for a name before that, and since.
const NAME: (usize, usize) = (32, 64);

/// The keys of one profile, device or VM.
pub const KEYS: [(&str, Takes); 25] = [
    ("gpu_type", Takes::Number(32)),
    ("card_name", Takes::Name),
    ("vgpu_type", Takes::Name),
    ("features", Takes::Text(128)),
    ("max_instances", Takes::Number(32)),
    ("num_displays", Takes::Number(32)),
    ("display_width", Takes::Number(32)),
    ("display_height", Takes::Number(32)),
    ("max_pixels", Takes::Number(32)),
    ("frl_config", Takes::Number(32)),
    ("cuda_enabled", Takes::Switch),
    ("ecc_supported", Takes::Switch),
    ("mig_instance_size", Takes::Number(32)),
    ("multi_vgpu_supported", Takes::Switch),
    ("pci_id", Takes::Number(64)),
    ("pci_device_id", Takes::Number(64)),
    (FRAMEBUFFER, Takes::Size),
    ("mappable_video_size", Takes::Size),
    (RESERVATION, Takes::Size),
    ("encoder_capacity", Takes::Number(32)),
    ("bar1_length", Takes::Number(64)),
    ("frl_enabled", Takes::Switch),
    ("adapter_name", Takes::Text(64)),
    ("short_gpu_name", Takes::Text(64)),
    ("license_type", Takes::Text(128)),
];

/// Memory that the guest sees, in bytes.
pub const FRAMEBUFFER: &str = "framebuffer";
/// Memory of the card that the driver keeps beside it, in bytes.
pub const RESERVATION: &str = "framebuffer_reservation";

/// Why a value makes the whole file fail, in words; `None` where it does not.
pub fn fault(takes: Takes, value: &DeValue<'_>) -> Option<String> {
    let fits = |bits: u32| {
        // TOML's own numbers end at 63 bits.
        whole(value).is_some_and(|number| number >= 0 && (bits == 64 || number < 1 << bits))
    };
    match takes {
        Takes::Switch => match value.as_bool() {
            Some(true) => Some("must be 0 or 1, not true: write 1".to_owned()),
            Some(false) => Some("must be 0 or 1, not false: write 0".to_owned()),
            None if fits(32) => None,
            None => Some(format!("must be 0 or 1, not {}", said(value))),
        },
        Takes::Number(bits) => match fits(bits) {
            true => None,
            false => Some(format!(
                "must be a non-negative integer that fits in {bits} bits, not {}",
                said(value)
            )),
        },
        Takes::Size => match size(value) {
            Some(_) => None,
            None => Some(format!(
                "must be a number of bytes, or a string with kB, MB, GB, TB, KiB, MiB, GiB or \
                 TiB, not {}",
                said(value)
            )),
        },
        Takes::Text(_) | Takes::Name => match value.as_str() {
            Some(_) => None,
            None => Some(format!("must be a string, not {}", said(value))),
        },
    }
}

/// A text that is too long for the driver's field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// Whether it is so with this host's driver; else with some.
    pub is_certain: bool,
    /// The rest of the sentence that the key begins.
    pub words: String,
}

/// Whether a text is too long for a driver of that branch.
pub fn too_long(takes: Takes, value: &DeValue<'_>, branch: Option<u32>) -> Option<TooLong> {
    let length = value.as_str()?.len();
    let (limit, is_certain) = match (takes, branch) {
        (Takes::Text(limit), _) => (limit, true),
        (Takes::Name, Some(LONG_NAMES_FROM..)) => (NAME.1, true),
        (Takes::Name, Some(_)) => (NAME.0, true),
        (Takes::Name, None) if length < NAME.1 => (NAME.0, false),
        (Takes::Name, None) => (NAME.1, true),
        _ => return None,
    };
    let drivers = match is_certain {
        true => String::new(),
        false => format!(" with drivers before {LONG_NAMES_FROM}"),
    };
    (length >= limit).then(|| TooLong {
        is_certain,
        words: format!("must be shorter than {limit} bytes{drivers}; this one has {length}"),
    })
}

/// What a switch counts as, where it is neither 0 nor 1.
pub fn counts_as_one(takes: Takes, value: &DeValue<'_>) -> bool {
    takes == Takes::Switch && whole(value).is_some_and(|number| number > 1)
}

/// A value that takes bytes.
pub fn size(value: &DeValue<'_>) -> Option<u64> {
    match value.as_str() {
        Some(text) => size_of(text),
        None => u64::try_from(whole(value)?).ok(),
    }
}

/// Bytes as a text says them.
pub fn size_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|sign: char| !(sign.is_ascii_digit() || sign == '.'));
    let Some(end) = end else {
        return text.parse().ok();
    };
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let unit: u64 = match unit.trim_start() {
        "KB" | "kB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "TB" => 1000 * 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    Some((number * unit as f64).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::DeTable;
    use vgpu_host::text::nearest;

    fn faults(text: &str) -> Vec<Option<String>> {
        let table = DeTable::parse(text).unwrap().into_inner();
        let of = |name: &str| KEYS.iter().find(|(key, _)| *key == name).unwrap().1;
        let judged = table
            .iter()
            .map(|(key, value)| fault(of(key.get_ref()), value.get_ref()));
        judged.collect()
    }

    #[test]
    fn right_values_pass() {
        let good = "cuda_enabled = 1\nframebuffer = 0x3BA00000\nmappable_video_size = '512 MiB'\n\
            framebuffer_reservation = \"1.5GiB\"\nnum_displays = 1\npci_id = 0x1E3010DE\n\
            card_name = 'x'\nfrl_enabled = 0\nmax_pixels = 2_073_600\n";
        assert_eq!(faults(good), vec![None; 9]);
    }

    #[test]
    fn wrong_values_are_named() {
        for (line, words) in [
            ("frl_enabled = false", "not false: write 0"),
            ("cuda_enabled = true", "not true: write 1"),
            ("cuda_enabled = -1", "must be 0 or 1, not -1"),
            (
                "cuda_enabled = 4294967296",
                "must be 0 or 1, not 4294967296",
            ),
            ("cuda_enabled = \"1\"", "must be 0 or 1, not \"1\""),
            ("num_displays = -1", "fits in 32 bits, not -1"),
            ("num_displays = 4294967296", "fits in 32 bits"),
            ("num_displays = 1.0", "not 1.0"),
            ("framebuffer = \"1 GiX\"", "not \"1 GiX\""),
            ("framebuffer = -1", "not -1"),
            ("framebuffer = \"\"", "not \"\""),
            ("framebuffer = [1]", "not an array"),
            ("card_name = 5", "must be a string, not 5"),
        ] {
            let found = faults(line).remove(0).unwrap_or_default();
            assert!(found.contains(words), "{line}: {found:?}");
        }
    }

    #[test]
    fn a_switch_counts_as_0_or_1_whatever_its_number() {
        let two = DeTable::parse("a = 2\nb = 1\nc = 0").unwrap().into_inner();
        let counts: Vec<bool> = two
            .iter()
            .map(|(_, value)| counts_as_one(Takes::Switch, value.get_ref()))
            .collect();
        assert_eq!(counts, [true, false, false]);
    }

    #[test]
    fn a_text_is_too_long_by_the_drivers_branch() {
        let of = |takes, length: usize, branch| {
            let text = "x".repeat(length);
            too_long(takes, &DeValue::String(text.into()), branch).map(|long| long.is_certain)
        };
        for (takes, length, branch, wanted) in [
            (Takes::Name, 31, Some(570), None),
            (Takes::Name, 32, Some(570), Some(true)),
            (Takes::Name, 32, Some(580), None),
            (Takes::Name, 63, Some(590), None),
            (Takes::Name, 64, Some(580), Some(true)),
            (Takes::Name, 31, None, None),
            (Takes::Name, 32, None, Some(false)),
            (Takes::Name, 64, None, Some(true)),
            (Takes::Text(64), 63, Some(535), None),
            (Takes::Text(64), 64, Some(580), Some(true)),
            (Takes::Text(128), 127, None, None),
            (Takes::Text(128), 128, None, Some(true)),
            (Takes::Size, 500, None, None),
        ] {
            assert_eq!(
                of(takes, length, branch),
                wanted,
                "{takes:?} {length} {branch:?}"
            );
        }
    }

    #[test]
    fn sizes_are_read_as_the_unlock_reads_them() {
        let of = |text: &str| size(&DeValue::String(text.into()));
        assert_eq!(of("512 MiB"), Some(512 << 20));
        assert_eq!(of(" 1234 "), Some(1234));
        assert_eq!(of("1.5 GiB"), Some(3 << 29));
        assert_eq!(of("1KB"), Some(1000));
        for wrong in ["1.5", "GiB", "1 gib", "1 M", ""] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_slip_leads_to_the_key_that_was_meant() {
        let near = |text| nearest(text, KEYS.map(|(key, _)| key));
        assert_eq!(near("num_display"), Some("num_displays"));
        assert_eq!(near("frame_buffer"), Some("framebuffer"));
        assert_eq!(near("cuda-enabled"), Some("cuda_enabled"));
        assert_eq!(near("colour"), None);
    }
}
