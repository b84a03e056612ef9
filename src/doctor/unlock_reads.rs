//! vgpu_unlock-rs' own reading of its two files, by the TOML reader that it is built with.
//!
//! It reads TOML 1.0, while the `toml` of the rest of this program reads newer forms too; and it
//! reads a whole file into one structure, so that one wrong value anywhere refuses the file.

use std::collections::HashMap;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, de::DeserializeOwned};

use super::keys::size_of;

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The byte at which it stands.
    pub at: usize,
    /// What the reader says.
    pub message: String,
}

/// What it says of `profile_override.toml`; `None` where it takes it.
pub fn refuses_overrides(text: &str) -> Option<Refusal> {
    refusal::<Overrides>(text)
}

/// What it says of `config.toml`; `None` where it takes it.
pub fn refuses_config(text: &str) -> Option<Refusal> {
    refusal::<Config>(text)
}

fn refusal<T: DeserializeOwned>(text: &str) -> Option<Refusal> {
    let error = toml_0_8::from_str::<T>(text).err()?;
    Some(Refusal {
        at: error.span().map_or(0, |span| span.start),
        message: error.message().replace('\n', ", "),
    })
}

/// The device that an entry of `pci_info_map` is for: digits are decimal, unless `0x` or `0b` stands
/// before them.
pub fn device_number(key: &str) -> Option<u32> {
    let key = key.trim();
    let (digits, radix) = match (key.get(..2), key.get(2..)) {
        (Some("0x" | "0X"), Some(digits)) => (digits, 16),
        (Some("0b" | "0B"), Some(digits)) => (digits, 2),
        _ => (key, 10),
    };
    u32::from_str_radix(digits, radix).ok()
}

// Nothing reads the fields: that they can be filled is all there is to know.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Config {
    unlock: Option<bool>,
    unlock_migration: Option<bool>,
    pci_info_map: Option<HashMap<DeviceNumber, Card>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Card {
    device_id: u16,
    sub_system_id: u16,
}

#[derive(PartialEq, Eq, Hash)]
struct DeviceNumber(u32);

impl<'de> Deserialize<'de> for DeviceNumber {
    fn deserialize<D: Deserializer<'de>>(key: D) -> Result<DeviceNumber, D::Error> {
        let key = String::deserialize(key)?;
        let number = device_number(&key);
        number.map(DeviceNumber).ok_or_else(|| {
            de::Error::custom(format!(
                "{key:?} is no number (decimal, or with 0x in front)"
            ))
        })
    }
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Overrides {
    #[serde(default)]
    profile: HashMap<String, Entry>,
    #[serde(default)]
    mdev: HashMap<String, Entry>,
    #[serde(default)]
    vm: HashMap<String, Entry>,
}

/// One profile, device or VM, its fields in the order of [`super::keys::KEYS`].
#[derive(Deserialize)]
#[allow(dead_code)]
struct Entry {
    gpu_type: Option<u32>,
    card_name: Option<String>,
    vgpu_type: Option<String>,
    features: Option<String>,
    max_instances: Option<u32>,
    num_displays: Option<u32>,
    display_width: Option<u32>,
    display_height: Option<u32>,
    max_pixels: Option<u32>,
    frl_config: Option<u32>,
    cuda_enabled: Option<u32>,
    ecc_supported: Option<u32>,
    mig_instance_size: Option<u32>,
    multi_vgpu_supported: Option<u32>,
    pci_id: Option<u64>,
    pci_device_id: Option<u64>,
    framebuffer: Option<Size>,
    mappable_video_size: Option<Size>,
    framebuffer_reservation: Option<Size>,
    encoder_capacity: Option<u32>,
    bar1_length: Option<u64>,
    frl_enabled: Option<u32>,
    adapter_name: Option<String>,
    short_gpu_name: Option<String>,
    license_type: Option<String>,
}

/// Bytes, as a number or as a text such as "512 MiB".
struct Size;

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Size, D::Error> {
        value.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str("a number of bytes, or a text such as \"512 MiB\"")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
        match number {
            0.. => Ok(Size),
            _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        match size_of(text) {
            Some(_) => Ok(Size),
            None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}
