//! What a card is to the vGPU host driver, as its number and what is seen on the host tell.

use super::Context;
use crate::dir::read_file;
use crate::host::Host;
use crate::model::VgpuType;
use crate::nvidia::{Card, Standing, card, standing_with};

/// The services of the vGPU host driver, which an unlock is put before.
const SERVICES: [&str; 2] = ["nvidia-vgpud.service", "nvidia-vgpu-mgr.service"];

/// What the names of vgpu_unlock's files have in common.
const MARK: &str = "vgpu_unlock";

/// Of a card of these PCI numbers, whose driver offers these types.
pub fn standing_of(
    context: &Context<'_>,
    numbers: (u16, u16),
    offered: &[VgpuType],
) -> Option<Standing> {
    standing_with(numbers, offered.iter().map(VgpuType::name_parts), || {
        unlock_is_wired(context.host)
    })
}

/// The card, where it is known and its types are another card's.
pub fn unlocked(
    context: &Context<'_>,
    numbers: (u16, u16),
    offered: &[VgpuType],
) -> Option<&'static Card> {
    let (vendor, device) = numbers;
    let known = card(vendor, device)?;
    let standing = standing_of(context, numbers, offered)?;
    matches!(standing, Standing::Unlockable(_)).then_some(known)
}

/// Whether the services name an unlock; what cannot be read names none.
fn unlock_is_wired(host: &Host) -> bool {
    let names_it = |path: std::path::PathBuf| {
        read_file(&path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(MARK))
    };
    SERVICES.into_iter().any(|service| {
        let mut units = host.unit_dirs().into_iter().map(|dir| dir.join(service));
        let drop_ins = std::fs::read_dir(host.drop_ins(service));
        let mut drop_ins = drop_ins.into_iter().flatten().flatten();
        units.any(names_it) || drop_ins.any(|entry| names_it(entry.path()))
    })
}
