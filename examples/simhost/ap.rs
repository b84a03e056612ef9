//! The attributes of an s390 crypto device (kernel: `Documentation/arch/s390/vfio-ap.rst`).

use std::collections::BTreeSet;

use nix::errno::Errno;

/// The change made by an `assign_*` or `unassign_*` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Which of the three sets.
    pub kind: Set,
    /// Assign or unassign.
    pub add: bool,
}

/// The sets of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Crypto cards.
    Adapter,
    /// Usage domains.
    Domain,
    /// Control domains.
    ControlDomain,
}

/// All these files with their effect.
pub const FILES: [(&str, Assignment); 6] = [
    (
        "assign_adapter",
        Assignment {
            kind: Set::Adapter,
            add: true,
        },
    ),
    (
        "assign_control_domain",
        Assignment {
            kind: Set::ControlDomain,
            add: true,
        },
    ),
    (
        "assign_domain",
        Assignment {
            kind: Set::Domain,
            add: true,
        },
    ),
    (
        "unassign_adapter",
        Assignment {
            kind: Set::Adapter,
            add: false,
        },
    ),
    (
        "unassign_control_domain",
        Assignment {
            kind: Set::ControlDomain,
            add: false,
        },
    ),
    (
        "unassign_domain",
        Assignment {
            kind: Set::Domain,
            add: false,
        },
    ),
];

/// The assignments of one device.
#[derive(Debug, Default, Clone)]
pub struct Matrix {
    adapters: BTreeSet<u8>,
    domains: BTreeSet<u8>,
    controls: BTreeSet<u8>,
}

impl Matrix {
    /// The matrix after a write of `data`; adapters and domains are numbered from 0 to 255.
    pub fn after(&self, change: Assignment, data: &[u8]) -> Result<Self, Errno> {
        let number = u8::try_from(unsigned(data)?).map_err(|_| Errno::ENODEV)?;
        let mut next = self.clone();
        let set = match change.kind {
            Set::Adapter => &mut next.adapters,
            Set::Domain => &mut next.domains,
            Set::ControlDomain => &mut next.controls,
        };
        if change.add {
            set.insert(number);
        } else {
            set.remove(&number);
        }
        Ok(next)
    }

    /// Whether the two share a queue (an adapter and domain).
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.adapters.is_disjoint(&other.adapters) && !self.domains.is_disjoint(&other.domains)
    }

    /// Content of `matrix`: each adapter with each domain, or the only set that is not empty.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        match (self.adapters.is_empty(), self.domains.is_empty()) {
            (true, _) => {
                for domain in &self.domains {
                    text += &format!(".{domain:04x}\n");
                }
            }
            (false, true) => {
                for adapter in &self.adapters {
                    text += &format!("{adapter:02x}.\n");
                }
            }
            (false, false) => {
                for adapter in &self.adapters {
                    for domain in &self.domains {
                        text += &format!("{adapter:02x}.{domain:04x}\n");
                    }
                }
            }
        }
        text
    }

    /// Content of `control_domains`.
    pub fn control_lines(&self) -> String {
        self.controls.iter().map(|c| format!("{c:04x}\n")).collect()
    }
}

/// Parses a number like the kernel's `kstrtoul`: 0x, 0 or decimal, optionally followed by one newline.
pub fn unsigned(data: &[u8]) -> Result<u64, Errno> {
    let text = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_prefix('+').unwrap_or(text);
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(Errno::EINVAL);
    }
    u64::from_str_radix(digits, radix).map_err(|e| match e.kind() {
        std::num::IntErrorKind::PosOverflow => Errno::ERANGE,
        _ => Errno::EINVAL,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_kstrtoul_reads_them() {
        for (text, value) in [("5", 5), ("0x1f\n", 31), ("010", 8), ("0", 0), ("1\n", 1)] {
            assert_eq!(unsigned(text.as_bytes()), Ok(value), "{text:?}");
        }
        for text in ["", "\n", "x", " 1", "1 ", "-1", "1\n\n", "08", "0x", "++1"] {
            assert_eq!(unsigned(text.as_bytes()), Err(Errno::EINVAL), "{text:?}");
        }
    }

    #[test]
    fn the_matrix_shows_queues_or_the_half_that_is_there() {
        let assign = |m: &Matrix, kind, text: &str| {
            m.after(Assignment { kind, add: true }, text.as_bytes())
                .unwrap()
        };
        let one = assign(&Matrix::default(), Set::Adapter, "5");
        assert_eq!(one.lines(), "05.\n");
        let two = assign(&assign(&one, Set::Domain, "4"), Set::Domain, "0x47");
        assert_eq!(two.lines(), "05.0004\n05.0047\n");
        assert!(two.overlaps(&two) && !one.overlaps(&two));
        let wide = Assignment {
            kind: Set::Domain,
            add: true,
        };
        assert_eq!(one.after(wide, b"256").unwrap_err(), Errno::ENODEV);
    }
}
