//! What a line `hostpciN:` of a virtual machine's configuration says, and the mappings that it may
//! name.

use std::collections::HashMap;

use super::super::GpuFacts;
use super::super::table::text_fault;
use crate::model::ParentId;

/// A mediated device of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'f> {
    /// The type.
    pub type_name: &'f str,
    /// Where it is to be.
    pub on: On<'f>,
}

/// Where a device is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On<'f> {
    /// On one of these addresses.
    Addresses(Vec<&'f str>),
    /// Where a mapping of the cluster says.
    Mapping(&'f str),
}

/// Understands a line's value; nothing where the whole device is passed through.
///
/// # Errors
/// What is wrong with it.
pub fn wanted(value: &str) -> Result<Option<Wanted<'_>>, String> {
    let (mut type_name, mut on) = (None, None);
    for part in value.split(',').map(str::trim) {
        match part.split_once('=') {
            Some(("mdev", name)) => type_name = Some(name),
            Some(("mapping", name)) => on = Some(On::Mapping(name)),
            Some(("host", list)) => on = Some(addresses(list)),
            None => on = Some(addresses(part)),
            // How the guest sees the device is not our business.
            Some(_) => {}
        }
    }
    let Some(type_name) = type_name else {
        return Ok(None);
    };
    if let Some(fault) = text_fault(type_name) {
        return Err(format!("mdev= takes a type, {fault}"));
    }
    match on {
        Some(on) => Ok(Some(Wanted { type_name, on })),
        None => Err("the line says neither an address nor a mapping".to_owned()),
    }
}

fn addresses(list: &str) -> On<'_> {
    let items = list.split(';').map(str::trim);
    On::Addresses(items.filter(|item| !item.is_empty()).collect())
}

/// A whole address: domain and function may be left out.
pub fn whole_address(text: &str) -> Option<ParentId> {
    let text = text.to_ascii_lowercase();
    let tries = [
        text.clone(),
        format!("0000:{text}"),
        format!("{text}.0"),
        format!("0000:{text}.0"),
    ];
    let ids = tries.iter().filter_map(|text| text.parse().ok());
    ids.into_iter().find(ParentId::is_pci_address)
}

/// The addresses of each mapping, on whatever node of the cluster.
pub type Mappings<'f> = HashMap<&'f str, Vec<&'f str>>;

/// Reads the cluster's mappings: a name at the beginning of a line, and below it `map` lines.
pub fn mappings(text: &str) -> Mappings<'_> {
    let mut found: Mappings<'_> = HashMap::new();
    let mut name = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with([' ', '\t']) {
            let heading = line.trim();
            let named = heading.strip_prefix("pci:").map_or(heading, str::trim);
            name = (!named.starts_with('#')).then_some(named);
            continue;
        }
        let map = line
            .trim()
            .strip_prefix("map")
            .filter(|rest| rest.starts_with([' ', '\t']));
        let paths = map.into_iter().flat_map(|map| map.trim().split(','));
        let paths = paths.filter_map(|part| part.trim().strip_prefix("path="));
        let paths = paths.flat_map(|list| list.split(';'));
        if let Some(name) = name {
            found.entry(name).or_default().extend(paths);
        }
    }
    found
}

/// The GPU that has this address, itself or as a virtual function of it.
pub fn gpu_at<'g>(gpus: &'g [GpuFacts], address: &ParentId) -> Option<&'g GpuFacts> {
    gpus.iter().find(|gpu| gpu.is_at(address.as_str()))
}
