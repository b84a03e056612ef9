//! The keys of vgpu_unlock-rs' settings, and what each takes.
//!
//! vgpu_unlock-rs ignores a key that it does not know, without a word; a value of the wrong kind
//! makes the whole file fail, when a VM starts.

use toml::de::DeValue;

use crate::text::{said, whole};

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A whole number that fits in so many bits.
    Number(u32),
    /// 0 or 1, and never true or false.
    Switch,
    /// A number of bytes, or a text such as "512 MiB".
    Size,
    /// A text of fewer bytes than this.
    Text(usize),
}

/// The keys of one profile, device or VM.
pub const KEYS: [(&str, Takes); 25] = [
    ("gpu_type", Takes::Number(32)),
    ("card_name", Takes::Text(32)),
    ("vgpu_type", Takes::Text(32)),
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

/// What is wrong with a value, in words; `None` where nothing is.
pub fn fault(takes: Takes, value: &DeValue<'_>) -> Option<String> {
    match takes {
        Takes::Switch => match (value.as_bool(), whole(value)) {
            (Some(true), _) => Some("takes 0 or 1, not true: write 1".to_owned()),
            (Some(false), _) => Some("takes 0 or 1, not false: write 0".to_owned()),
            (None, Some(0 | 1)) => None,
            (None, _) => Some(format!("takes 0 or 1, not {}", said(value))),
        },
        Takes::Number(bits) => match whole(value) {
            // TOML's own numbers end at 63 bits.
            Some(number) if number >= 0 && (bits == 64 || number < 1 << bits) => None,
            _ => Some(format!(
                "takes a whole number from 0 that fits in {bits} bits, not {}",
                said(value)
            )),
        },
        Takes::Size => match size(value) {
            Some(_) => None,
            None => Some(format!(
                "takes a number of bytes, or a text with kB, MB, GB, TB, KiB, MiB, GiB or TiB, not {}",
                said(value)
            )),
        },
        Takes::Text(limit) => match value.as_str() {
            Some(text) if text.len() < limit => None,
            Some(text) => Some(format!(
                "takes a text shorter than {limit} bytes; this one has {}",
                text.len()
            )),
            None => Some(format!("takes a text, not {}", said(value))),
        },
    }
}

/// A value that takes bytes.
pub fn size(value: &DeValue<'_>) -> Option<u64> {
    let Some(text) = value.as_str() else {
        return u64::try_from(whole(value)?).ok();
    };
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
    use crate::text::nearest;
    use toml::de::DeTable;

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
            ("cuda_enabled = 2", "takes 0 or 1, not 2"),
            ("cuda_enabled = \"1\"", "takes 0 or 1, not \"1\""),
            ("num_displays = -1", "fits in 32 bits, not -1"),
            ("num_displays = 4294967296", "fits in 32 bits"),
            ("num_displays = 1.0", "not 1.0"),
            ("framebuffer = \"1 GiX\"", "not \"1 GiX\""),
            ("framebuffer = -1", "not -1"),
            ("framebuffer = \"\"", "not \"\""),
            ("framebuffer = [1]", "not an array"),
            ("card_name = 5", "takes a text, not 5"),
            (
                "card_name = \"0123456789012345678901234567890x\"",
                "shorter than 32 bytes; this one has 32",
            ),
        ] {
            let found = faults(line).remove(0).unwrap_or_default();
            assert!(found.contains(words), "{line}: {found:?}");
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
