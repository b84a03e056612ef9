//! What a GPU's functions can take at most: their driver lists types, and does not say how often
//! each fits.

use super::Context;
use crate::model::{FrameworkKind, Parent, VgpuType};
use crate::nvidia::{Held, card, framebuffer_needed};
use crate::store::Sizes;

/// Bounds from above, as far as they are known: no more than so many functions, and than the card's
/// memory holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Which sizes boot lets it serve.
    pub sizes: Sizes,
    functions: Option<u32>,
    memory_mib: Option<u64>,
}

impl Limits {
    /// Of a parent's GPU; no limits for mediated devices, whose types say more themselves.
    pub fn of(context: &Context<'_>, parent: &Parent) -> Limits {
        if parent.framework != FrameworkKind::Vfio {
            return Limits::default();
        }
        let gpu = parent.gpu();
        let settings = context.store.settings_of(gpu).unwrap_or_default();
        let sriov = context.kernel.sriov_gpu(gpu).ok().flatten();
        let pci = context.kernel.serving(parent).pci(gpu, &mut Vec::new());
        let numbers = pci.and_then(|pci| pci.numbers());
        let known = numbers.and_then(|(vendor, device)| card(vendor, device));
        Limits {
            sizes: settings.sizes,
            functions: sriov.map(|sriov| sriov.total),
            memory_mib: known.map(|card| card.memory_mib()),
        }
    }

    /// How many of a type fit on the GPU while it holds nothing else.
    pub fn most(&self, vgpu_type: &VgpuType) -> Option<u32> {
        let by_memory = vgpu_type.framebuffer_mib().and_then(|mib| {
            let fit = self.memory_mib?.checked_div(mib)?;
            u32::try_from(fit).ok()
        });
        [self.functions, by_memory].into_iter().flatten().min()
    }

    /// Nothing, where one more of a type beside these is surely too much.
    pub fn beside(&self, held: &[Held<'_>], vgpu_type: &VgpuType) -> Option<u32> {
        let needed = framebuffer_needed(held) + vgpu_type.framebuffer_mib().unwrap_or_default();
        let count: usize = held.iter().map(|held| held.count).sum();
        let is_too_much = self.memory_mib.is_some_and(|memory| needed > memory);
        let all_taken = self
            .functions
            .is_some_and(|most| usize::try_from(most).is_ok_and(|most| count >= most));
        (is_too_much || all_taken).then_some(0)
    }
}
