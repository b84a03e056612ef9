//! The memory that Looking Glass shares between guest and host.

use std::str::FromStr;

use super::SharedMemory;
use crate::error::{Error, Kind, Result};

/// The name by which Looking Glass's client looks for the memory.
const NAME: &str = "looking-glass";

/// The widest and highest screen: what the largest vGPU drives, twice over.
const LARGEST: u32 = 16384;

const MIB: u64 = 1 << 20;

/// How Looking Glass gets at the guest's screen, which says how much memory it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookingGlass {
    /// By NvFBC, on a vGPU.
    Nvfbc,
    /// By DXGI, at this width and height.
    Resolution(u32, u32),
}

impl LookingGlass {
    /// The memory's size in MiB. NvFBC on a vGPU needs 512 (the vGPU_Unlock guide, 6b); else two
    /// frames of 4 bytes a pixel and 10 MiB, up to the next power of two (Looking Glass's
    /// documentation).
    pub fn size_mib(self) -> u64 {
        match self {
            LookingGlass::Nvfbc => 512,
            LookingGlass::Resolution(width, height) => {
                let frames = u64::from(width) * u64::from(height) * 4 * 2;
                (frames + 10 * MIB).next_power_of_two() / MIB
            }
        }
    }

    /// The memory, given where files of shared memory are.
    pub fn memory(self, file: impl Fn(&str) -> std::path::PathBuf) -> SharedMemory {
        SharedMemory {
            size_mib: self.size_mib(),
            name: NAME.to_owned(),
            path: file(NAME),
        }
    }
}

impl FromStr for LookingGlass {
    type Err = Error;

    fn from_str(text: &str) -> Result<LookingGlass> {
        if text.eq_ignore_ascii_case("nvfbc") {
            return Ok(LookingGlass::Nvfbc);
        }
        resolution(text).ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!(
                    "{text:?} is neither nvfbc nor a resolution such as 1920x1080, up to \
                     {LARGEST}x{LARGEST}"
                ),
            )
        })
    }
}

fn resolution(text: &str) -> Option<LookingGlass> {
    let (width, height) = text.split_once(['x', 'X'])?;
    let number = |text: &str| {
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        let value = is_number.then(|| text.parse::<u32>().ok())??;
        (1..=LARGEST).contains(&value).then_some(value)
    };
    Some(LookingGlass::Resolution(number(width)?, number(height)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_documentation() {
        for (given, mib) in [
            ("nvfbc", 512),
            ("NvFBC", 512),
            ("640x480", 16),
            // 6 MiB of frames and 10 make 16 to the byte; a pixel's column more is too much.
            ("1024x768", 16),
            ("1025x768", 32),
            ("1920x1080", 32),
            ("2560x1440", 64),
            ("3840x2160", 128),
            ("7680x4320", 512),
            ("16384x16384", 4096),
        ] {
            assert_eq!(
                given.parse::<LookingGlass>().unwrap().size_mib(),
                mib,
                "{given}"
            );
        }
        for bad in [
            "",
            "x",
            "1920",
            "1920x",
            "x1080",
            "0x1080",
            "1920x1080x1",
            "1920x-1",
            "+1x1",
            "16385x1",
            "99999999999x1",
            "dxgi",
        ] {
            assert!(bad.parse::<LookingGlass>().is_err(), "{bad:?}");
        }
    }
}
