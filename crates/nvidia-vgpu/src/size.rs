//! Parsing and formatting of framebuffer sizes.

use crate::Invalid;

/// Formats a framebuffer size: "512 MiB", "2 GiB", "1.5 GiB".
pub fn size(mib: u64) -> String {
    match mib {
        _ if mib < 1024 => format!("{mib} MiB"),
        _ if mib.is_multiple_of(1024) => format!("{} GiB", mib / 1024),
        _ => format!("{:.1} GiB", mib as f64 / 1024.0),
    }
}

/// Parses `2G`, `2GiB`, `2 GiB`, `2048M`, `2048MiB`, case-insensitively, into MiB.
///
/// # Errors
/// [`Invalid::Size`] for any other form. `2GB` is rejected, since it could mean a size that no type has.
pub fn parse_size(text: &str) -> Result<u64, Invalid> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "m" | "mib" => Some(1),
        "g" | "gib" => Some(1024),
        _ => None,
    };
    let number = number.parse::<u64>().ok().filter(|number| *number > 0);
    let product = number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor));
    product.ok_or_else(|| Invalid::Size(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_say_them() {
        assert_eq!(size(512), "512 MiB");
        assert_eq!(size(2048), "2 GiB");
        assert_eq!(size(1536), "1.5 GiB");
    }

    #[test]
    fn sizes_are_taken_in_the_usual_forms() {
        for (text, mib) in [
            ("2G", 2048),
            ("2g", 2048),
            ("2GiB", 2048),
            ("2 GiB", 2048),
            ("2048M", 2048),
            ("2048MiB", 2048),
            ("512m", 512),
            ("512 MiB", 512),
            ("48G", 49152),
        ] {
            assert_eq!(parse_size(text), Ok(mib), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_those_that_are_taken() {
        for bad in [
            "",
            "2",
            "G",
            "0G",
            "0M",
            "-2G",
            "+2G",
            "1.5G",
            "2GB",
            "2MB",
            "2T",
            "2 G iB",
            "2  G",
            " 2G",
            "2G ",
            "2GG",
            "two",
            "18446744073709551615G",
            "99999999999999999999M",
            "２G",
        ] {
            let error = parse_size(bad).unwrap_err();
            assert_eq!(error, Invalid::Size(bad.to_owned()));
            assert!(error.hint().unwrap().contains("2G, 2GiB, 2048M"), "{bad:?}");
        }
    }
}
