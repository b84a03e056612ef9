//! Proxmox VE's lists of properties, as `hostpciN:` and a mapping's `map` hold: what it takes, and
//! what it does not. It takes blanks, upper case and unknown keys nowhere.

use std::collections::HashMap;

use vgpu_host::text::quoted;

/// What a line `hostpciN:` says, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPci<'f> {
    /// The type of a mediated device; without, the whole device is passed through.
    pub type_name: Option<&'f str>,
    /// Addresses of this host.
    pub host: Option<&'f str>,
    /// A mapping of the cluster.
    pub mapping: Option<&'f str>,
    /// Whether it asks for Intel's legacy mode.
    pub is_legacy_igd: bool,
    /// Whether Proxmox VE leaves it to others to make the device.
    pub keeps_driver: bool,
}

/// What a mapping's `map` line says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEntry<'f> {
    /// The cluster's node that it is about.
    pub node: &'f str,
    /// The vendor and device that are expected there.
    pub id: &'f str,
    /// The addresses, with semicolons between them.
    pub path: &'f str,
}

type Check = fn(&str) -> bool;

const HOSTPCI_KEYS: &[(&str, Check)] = &[
    ("host", |value| value.split(';').all(is_address)),
    ("mapping", is_config_id),
    ("mdev", is_type),
    ("rombar", is_boolean),
    ("pcie", is_boolean),
    ("x-vga", is_boolean),
    ("legacy-igd", is_boolean),
    ("romfile", |value| !value.contains(';')),
    ("vendor-id", is_shown_id),
    ("device-id", is_shown_id),
    ("sub-vendor-id", is_shown_id),
    ("sub-device-id", is_shown_id),
    ("driver", |value| matches!(value, "vfio" | "keep")),
];

const MAP_KEYS: &[(&str, Check)] = &[
    ("node", is_node),
    ("id", is_pci_id),
    ("subsystem-id", is_pci_id),
    ("path", |value| {
        value
            .split(';')
            .all(|one| is_address(one) && has_domain(one))
    }),
    ("iommugroup", |value| value.parse::<i64>().is_ok()),
    ("description", |value| value.chars().count() <= 4096),
];

/// Understands the value of a line `hostpciN:`.
///
/// # Errors
/// Why Proxmox VE does not take it.
pub fn hostpci(value: &str) -> Result<HostPci<'_>, String> {
    let found = properties(value, Some("host"), HOSTPCI_KEYS)?;
    let get = |key: &str| found.get(key).copied();
    Ok(HostPci {
        type_name: get("mdev"),
        host: get("host"),
        mapping: get("mapping"),
        is_legacy_igd: get("legacy-igd").is_some_and(is_yes),
        keeps_driver: get("driver") == Some("keep"),
    })
}

/// Understands the value of a mapping's `map` line.
///
/// # Errors
/// Why Proxmox VE does not take it.
pub fn map_entry(value: &str) -> Result<MapEntry<'_>, String> {
    let found = properties(value, None, MAP_KEYS)?;
    let get = |key: &str| {
        let value = found.get(key).copied();
        value.ok_or_else(|| format!("{key}= is missing"))
    };
    Ok(MapEntry {
        node: get("node")?,
        id: get("id")?,
        path: get("path")?,
    })
}

/// Keys and values between commas; one of them may leave out its key.
fn properties<'f>(
    text: &'f str,
    default: Option<&'static str>,
    keys: &[(&'static str, Check)],
) -> Result<HashMap<&'static str, &'f str>, String> {
    let mut found = HashMap::new();
    let is_blank = |part: &&str| part.bytes().all(|byte| byte.is_ascii_whitespace());
    for part in text.split(',').filter(|part| !is_blank(part)) {
        let (key, value) = match (part.split_once('='), default) {
            (Some((key, value)), _) if !key.is_empty() && !value.is_empty() => (key, value),
            (Some(_), _) => return Err(format!("{} lacks a key or a value", quoted(part))),
            (None, Some(default)) => (default, part),
            (None, None) => return Err(format!("{} has no key", quoted(part))),
        };
        let known = keys.iter().find(|(name, _)| *name == key);
        let Some((key, takes)) = known else {
            return Err(format!("unknown key {}", quoted(key)));
        };
        if !takes(value) {
            return Err(format!("{key} cannot be {}", quoted(value)));
        }
        if found.insert(*key, value).is_some() {
            return Err(format!("{key} is set twice"));
        }
    }
    Ok(found)
}

fn is_hex(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !text.is_empty() && text.bytes().all(is_digit)
}

/// An address whose domain and function may be left out; letters are small.
fn is_address(text: &str) -> bool {
    let (rest, function) = match text.split_once('.') {
        Some((rest, function)) => (rest, Some(function)),
        None => (text, None),
    };
    let is_short = |text: &str, len: usize| is_hex(text) && text.len() == len;
    let mut parts = rest.rsplit(':');
    let is_slot = parts.next().is_some_and(|slot| is_short(slot, 2));
    let is_bus = parts.next().is_some_and(|bus| is_short(bus, 2));
    let domain = parts.next();
    is_slot
        && is_bus
        && domain.is_none_or(|domain| is_hex(domain) && domain.len() >= 4)
        && parts.next().is_none()
        && function.is_none_or(|function| is_short(function, 1))
}

fn has_domain(address: &str) -> bool {
    address.matches(':').count() == 2
}

fn is_type(text: &str) -> bool {
    !text.contains(['/', '.', ':'])
}

/// The name of a mapping.
pub fn is_config_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    let is_first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let is_other = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    is_first && text.len() > 1 && bytes.all(is_other)
}

fn is_node(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_plain) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_pci_id(text: &str) -> bool {
    let is_part = |part: &str| part.len() == 4 && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.split_once(':')
        .is_some_and(|(vendor, device)| is_part(vendor) && is_part(device))
}

fn is_shown_id(text: &str) -> bool {
    let digits = text.strip_prefix("0x");
    digits.is_some_and(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether a switch is on.
pub fn is_yes(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    matches!(text.as_str(), "1" | "on" | "yes" | "true")
}

fn is_boolean(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    is_yes(&text) || matches!(text.as_str(), "0" | "off" | "no" | "false")
}
