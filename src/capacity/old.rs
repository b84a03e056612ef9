//! The answer as it was given until now, for comparison and for those who still ask it.

use super::held::{Held, holdings, instances_left};
use super::reasons::{Bounds, too_full_of_several, why_no_room};
use crate::model::VgpuType;
use crate::nvidia::Share;

/// Whether something of another framebuffer size is held, where all have to have the same.
pub fn has_other_size(held: &[Held<'_>], wanted: &VgpuType) -> bool {
    let wanted = wanted.share();
    held.iter()
        .any(|held| held.vgpu_type.share().is_other_size(wanted))
}

/// Whether something is held that does not go with this type: of another size, or MIG-backed where
/// this type is not, or the other way round.
pub fn clashes(held: &[Held<'_>], wanted: &VgpuType) -> bool {
    let wanted = wanted.share();
    held.iter()
        .any(|held| held.vgpu_type.share().clashes(wanted))
}

/// A GPU to which vGPUs come one after the other, in an order that is known beforehand.
#[derive(Debug, Clone, Default)]
pub struct Queue<'a> {
    held: Vec<&'a VgpuType>,
    admitted: Vec<&'a VgpuType>,
    serves_several_sizes: bool,
    bounds: Bounds,
}

impl<'a> Queue<'a> {
    /// A GPU that holds nothing, as after a reboot.
    pub fn after_reboot() -> Queue<'a> {
        Queue::default()
    }

    /// The same GPU, told to serve several framebuffer sizes at a time.
    pub fn of_several_sizes(mut self) -> Queue<'a> {
        self.serves_several_sizes = true;
        self
    }

    /// A GPU that holds these now, of which it offers what `types` say.
    pub fn now(active: Vec<&'a VgpuType>, types: &[VgpuType]) -> Queue<'a> {
        let held = holdings(active.iter().copied());
        // Newer drivers can be told to serve several sizes at once, and then offer them.
        let serves_several_sizes = types
            .iter()
            .any(|vgpu_type| vgpu_type.at_least > 0 && has_other_size(&held, vgpu_type));
        Queue {
            held: active,
            admitted: Vec::new(),
            serves_several_sizes,
            bounds: Bounds::default(),
        }
    }

    /// The same GPU, of which so much is known.
    pub fn within(mut self, bounds: Bounds) -> Queue<'a> {
        self.bounds = bounds;
        self
    }

    /// Lets one more in, if there is room; `free` is how many of its type there was room for at the
    /// beginning, where that is known.
    ///
    /// # Errors
    /// Why there is none, as [`why_no_room`] says it.
    pub fn admit(&mut self, wanted: &'a VgpuType, free: Option<u32>) -> Result<(), String> {
        let share = wanted.share();
        let shares = |other: &&&VgpuType| match (share, other.share()) {
            (Share::Size(_), Share::Size(_)) => true,
            _ => other.id == wanted.id,
        };
        let taken = self.admitted.iter().filter(shares).count();
        let is_full = free.is_some_and(|free| usize::try_from(free).is_ok_and(|f| f <= taken));
        let admitted = holdings(self.admitted.iter().copied());
        let is_of_other_size = has_other_size(&admitted, wanted);
        if is_full && is_of_other_size && self.serves_several_sizes {
            let too_full = too_full_of_several(&self.holdings(), &self.bounds);
            return Err(format!("holds {too_full}"));
        }
        let is_out_of_place = match self.serves_several_sizes {
            true => clashes(&admitted, wanted) && !is_of_other_size,
            false => clashes(&admitted, wanted),
        };
        if is_full || is_out_of_place || self.has_no_instance_left(wanted, free) {
            return Err(why_no_room(&self.holdings(), wanted, &self.bounds));
        }
        self.held.push(wanted);
        self.admitted.push(wanted);
        Ok(())
    }

    /// Whether instances of other types surely take what a MIG-backed one would need; of its own
    /// type, who says how many are free knows better.
    fn has_no_instance_left(&self, wanted: &VgpuType, free: Option<u32>) -> bool {
        let is_other = |one: &&VgpuType| one.id != wanted.id;
        let is_told = free.is_some() && !self.admitted.iter().any(is_other);
        !is_told && instances_left(&self.holdings(), wanted, None) == Some(0)
    }

    /// What it holds after all that were let in.
    pub fn holdings(&self) -> Vec<Held<'a>> {
        holdings(self.held.iter().copied())
    }
}
