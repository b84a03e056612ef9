//! What a GPU holds, in words: the reason why another size does not fit.

use crate::model::VgpuType;

use super::size;

/// How many instances of one type are active on a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<'a> {
    /// The type.
    pub vgpu_type: &'a VgpuType,
    /// Active instances of it.
    pub count: usize,
}

/// Counts the active instances of each type, given the types of the active devices.
pub fn holdings<'a>(active: impl IntoIterator<Item = &'a VgpuType>) -> Vec<Held<'a>> {
    let mut held: Vec<Held<'a>> = Vec::new();
    for vgpu_type in active {
        match held.iter_mut().find(|h| h.vgpu_type.id == vgpu_type.id) {
            Some(known) => known.count += 1,
            None => held.push(Held {
                vgpu_type,
                count: 1,
            }),
        }
    }
    held.sort_by(|a, b| a.vgpu_type.id.cmp(&b.vgpu_type.id));
    held
}

/// "3 x P4-2Q (2 GiB each)", or "1 x mtty-2" where the size is not known; empty for an idle GPU.
pub fn hold_line(held: &[Held<'_>]) -> String {
    let parts: Vec<String> = held
        .iter()
        .map(|h| {
            let name = h.vgpu_type.short_name();
            match &h.vgpu_type.details {
                Some(details) => format!(
                    "{} x {name} ({} each)",
                    h.count,
                    size(details.framebuffer_mib)
                ),
                None => format!("{} x {name}", h.count),
            }
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvidia::TypeDetails;

    fn vgpu_type(id: &str, name: &str, description: &str) -> VgpuType {
        VgpuType {
            id: id.parse().unwrap(),
            name: Some(name.into()),
            description: Some(description.into()),
            details: TypeDetails::parse(description),
            available: Some(0),
            at_least: 0,
            device_api: Some("vfio-pci".into()),
        }
    }

    #[test]
    fn what_a_gpu_holds_is_counted_by_type_and_said_with_sizes() {
        let q = vgpu_type(
            "nvidia-64",
            "GRID P4-2Q",
            "num_heads=4, frl_config=60, framebuffer=2048M, max_resolution=7680x4320, max_instance=4",
        );
        let other = vgpu_type("mtty-2", "Dual port serial", "");
        let held = holdings([&q, &other, &q, &q]);
        assert_eq!(
            hold_line(&held),
            "1 x Dual port serial, 3 x P4-2Q (2 GiB each)"
        );
        assert_eq!(hold_line(&[]), "");
    }
}
