//! What a GPU has room for once some of what it holds has gone.

use super::observe::Gpu;
use crate::capacity::{
    Bounds, Held, Room, clashes, has_other_size, hold_line, holdings, instances_left,
    is_cut_as_wanted, too_full, too_full_of_several, why_no_room,
};
use crate::error::Error;
use crate::model::VgpuType;
use crate::nvidia::Share;
use crate::ops::cautions::memory_caution;

/// A GPU, what stays on it, what leaves it, and what comes.
#[derive(Clone)]
pub struct Space<'w> {
    gpu: &'w Gpu,
    /// What each type's size means to others, and its most instances, understood once.
    shares: Vec<Share>,
    most: Vec<Option<u32>>,
    stays: Vec<u32>,
    leaves: Vec<u32>,
    comes: Vec<u32>,
    /// Functions that are kept for what is only defined, and not of this plan.
    kept: u32,
    /// What alone may come, where that was decided: one framebuffer size, or instances.
    pub only: Option<Share>,
}

impl<'w> Space<'w> {
    /// A GPU of which nothing is known to be held.
    pub fn of(gpu: &'w Gpu) -> Space<'w> {
        let none = vec![0; gpu.types.len()];
        let types = gpu.types.iter();
        Space {
            gpu,
            shares: types.clone().map(VgpuType::share).collect(),
            most: types.map(|vgpu_type| most(gpu, vgpu_type)).collect(),
            stays: none.clone(),
            leaves: none.clone(),
            comes: none,
            kept: 0,
            only: None,
        }
    }

    /// One of that type stays.
    pub fn stays(&mut self, at: usize) {
        self.stays[at] += 1;
    }

    /// One of that type goes.
    pub fn leaves(&mut self, at: usize) {
        self.leaves[at] += 1;
    }

    /// One of that type comes.
    pub fn comes(&mut self, at: usize) {
        self.comes[at] += 1;
    }

    /// A function of it is kept for what the plan is not about.
    pub fn keeps_function(&mut self) {
        self.kept += 1;
    }

    /// The GPU.
    pub fn gpu(&self) -> &'w Gpu {
        self.gpu
    }

    /// What is to be said of what comes to it: the driver lets in more than an unlocked card can hold.
    pub fn caution(&self) -> Option<Error> {
        let comes = self.comes.iter().any(|count| *count > 0);
        let card = self.gpu.unlocked.filter(|_| comes)?;
        memory_caution(card, self.gpu.id(), &self.holdings())
    }

    /// What it holds, or will hold, that leaves no room for one more of a type.
    pub fn why_full(&self, at: usize) -> String {
        let (held, wanted) = (self.holdings(), &self.gpu.types[at]);
        let verb = match self.comes.iter().any(|count| *count > 0) {
            true => "will hold",
            false => "holds",
        };
        let seats = self.gpu.seats.unwrap_or(u32::MAX);
        if self.kept > 0 && self.taken() < seats && self.taken() + self.kept >= seats {
            let held = hold_line(&held);
            let held = Some(held.as_str()).filter(|held| !held.is_empty());
            return format!(
                "{verb} {}; its other virtual functions are kept for definitions that start at boot",
                held.unwrap_or("nothing")
            );
        }
        let left = instances_left(&held, wanted, self.gpu.memory_mib);
        let may_fit = self.shares[at] == Share::Instance && left.is_none_or(|left| left > 0);
        if may_fit && self.instances_leave() {
            return format!(
                "holds {} now; whether a GPU instance for this type is there once some of them have gone, \
                 only its driver can tell: remove those first, then apply again",
                hold_line(&self.held_now())
            );
        }
        let bounds = Bounds {
            memory_mib: self.gpu.memory_mib,
            functions: self.gpu.seats,
        };
        let is_of_several = self.has_several_sizes()
            && matches!(self.shares[at], Share::Size(_))
            && (has_other_size(&held, wanted) || !clashes(&held, wanted));
        match (held.is_empty(), is_of_several) {
            (true, _) => why_no_room(&held, wanted, &bounds),
            (false, true) => format!("{verb} {}", too_full_of_several(&held, &bounds)),
            (false, false) => format!("{verb} {}", too_full(&held, wanted, &bounds)),
        }
    }

    /// What would let it have a type of this size too, where that is what is in the way.
    pub fn how_to_mix(&self, at: usize) -> Option<&str> {
        let is_of_other_size = has_other_size(&self.holdings(), &self.gpu.types[at]);
        let how = self.gpu.how_to_mix.as_deref();
        how.filter(|_| is_of_other_size && !self.has_several_sizes())
    }

    /// What it holds in the end.
    pub fn holdings(&self) -> Vec<Held<'w>> {
        self.counted(|at| self.stays[at] + self.comes[at])
    }

    fn held_now(&self) -> Vec<Held<'w>> {
        self.counted(|at| self.stays[at] + self.leaves[at])
    }

    fn counted(&self, count: impl Fn(usize) -> u32) -> Vec<Held<'w>> {
        let types = self.gpu.types.iter().enumerate();
        let all = types.flat_map(|(at, one)| (0..count(at)).map(move |_| one));
        holdings(all)
    }

    fn instances_leave(&self) -> bool {
        let mut counts = self.shares.iter().zip(&self.leaves);
        counts.any(|(share, count)| *share == Share::Instance && *count > 0)
    }

    /// Whether nothing is on it or comes to it.
    pub fn is_idle(&self) -> bool {
        self.taken() == 0
    }

    /// What it has left for one type.
    pub fn room(&self, at: usize) -> Room {
        Room {
            taken: self.taken(),
            alike: self.taken(),
            free: self.free(at),
        }
    }

    fn taken(&self) -> u32 {
        self.stays.iter().sum::<u32>() + self.comes.iter().sum::<u32>()
    }

    fn free(&self, at: usize) -> Option<u32> {
        let seats = self.gpu.seats;
        let seats = seats.map(|seats| seats.saturating_sub(self.taken() + self.kept));
        let rest = match self.shares[at] {
            share if self.refuses(share) => Some(0),
            Share::Instance => self.free_instances(at),
            Share::Size(mib) if self.has_several_sizes() => self.free_mixed(at, mib),
            Share::Size(_) => self.free_of_size(at),
            Share::Unknown => self.free_unsized(at),
        };
        least(seats, rest)
    }

    /// All vGPUs of one GPU have one size, unless the GPU was told otherwise; or all are instances.
    fn refuses(&self, share: Share) -> bool {
        let mixes = self.has_several_sizes();
        let is_in_the_way = |other: Share| match mixes {
            true => share.is_other_mode(other),
            false => share.clashes(other),
        };
        let is_closed = self.only.is_some_and(|only| share.clashes(only));
        is_closed || self.there_will_be().any(is_in_the_way)
    }

    /// It has several sizes, offers another than it holds, or will be told to have them, which counts
    /// only while it holds nothing.
    fn has_several_sizes(&self) -> bool {
        let types = self.gpu.types.iter().enumerate();
        let sizes = types.filter_map(|(at, one)| Some((at, one, self.size(at)?)));
        let held: Vec<u64> = sizes
            .clone()
            .filter(|(at, ..)| self.stays[*at] + self.leaves[*at] > 0)
            .map(|(.., mib)| mib)
            .collect();
        let differs = |mib: u64| held.iter().any(|other| *other != mib);
        let offers = |one: &VgpuType| one.at_least > 0;
        let is_emptied = self.stays.iter().all(|count| *count == 0);
        (self.gpu.mixes_sizes && is_emptied)
            || held.iter().any(|mib| differs(*mib))
            || sizes
                .filter(|(_, one, _)| offers(one))
                .any(|(.., mib)| differs(mib))
    }

    /// The size that a type shares a whole GPU by.
    fn size(&self, at: usize) -> Option<u64> {
        match self.shares[at] {
            Share::Size(mib) => Some(mib),
            Share::Instance | Share::Unknown => None,
        }
    }

    fn sizes(&self) -> impl Iterator<Item = Option<u64>> {
        (0..self.shares.len()).map(|at| self.size(at))
    }

    /// What there will be on it.
    fn there_will_be(&self) -> impl Iterator<Item = Share> {
        let all = self.shares.iter().enumerate();
        all.filter(|(at, _)| self.stays[*at] + self.comes[*at] > 0)
            .map(|(_, share)| *share)
    }

    /// Types of one kind of instance share those that there are: what others leave free is no use to
    /// them until the GPU is cut anew, unless its driver does that by itself. All together take no more
    /// slices than it has.
    fn free_instances(&self, at: usize) -> Option<u32> {
        let vgpu_type = &self.gpu.types[at];
        let (stays, comes) = (self.stays[at], self.comes[at]);
        let most = self.most[at].map(|most| most.saturating_sub(stays + comes));
        let left = instances_left(&self.holdings(), vgpu_type, self.gpu.memory_mib);
        let instance = |one: &VgpuType| one.mig().map(|mig| mig.instance);
        let own = instance(vgpu_type);
        let alike = |counts: &[u32]| -> u32 {
            let types = self.gpu.types.iter().zip(counts);
            let alike = types.filter(|(one, _)| instance(one) == own);
            alike.map(|(_, count)| count).sum()
        };
        let is_freed =
            self.instances_leave() && is_cut_as_wanted(&self.held_now(), &self.gpu.types);
        let offered = match is_freed {
            true => None,
            false => vgpu_type
                .available
                .map(|free| (free + alike(&self.leaves)).saturating_sub(alike(&self.comes))),
        };
        least(offered, least(most, left))
    }

    /// All sizes are the same here, so that counts will do.
    fn free_of_size(&self, at: usize) -> Option<u32> {
        let vgpu_type = &self.gpu.types[at];
        let count = |counts: &[u32]| self.count_sized(counts);
        let (stays, comes) = (count(&self.stays), count(&self.comes));
        let taken = stays + comes;
        let most = self.most[at].map(|most| most.saturating_sub(taken));
        let is_emptied = stays == 0 && count(&self.leaves) > 0;
        // Once all has gone, the GPU takes as many as it can; what it says now is of no use.
        let offered = match is_emptied {
            true => None,
            false => vgpu_type
                .available
                .map(|free| (free + count(&self.leaves)).saturating_sub(comes)),
        };
        least(most, offered)
    }

    fn count_sized(&self, counts: &[u32]) -> u32 {
        let sizes = self.sizes().zip(counts);
        sizes
            .filter(|(size, _)| size.is_some())
            .map(|(_, count)| count)
            .sum()
    }

    /// Sizes are mixed: what is free is memory, of which the largest offer tells best, and the card's
    /// own the most that there can be.
    fn free_mixed(&self, at: usize, mib: u64) -> Option<u32> {
        let memory = |counts: &[u32]| -> u64 {
            let sizes = self.sizes().zip(counts);
            sizes
                .filter_map(|(size, count)| Some(size? * u64::from(*count)))
                .sum()
        };
        let fitting = |free: u64| u32::try_from(free / mib.max(1)).ok();
        let leaving = memory(&self.leaves);
        if self.gpu.types[at].available == Some(0) && leaving == 0 {
            return Some(0);
        }
        let offered = self.offered_mib();
        let offered = offered.map(|free| (free + leaving).saturating_sub(memory(&self.comes)));
        let card = self.gpu.memory_mib;
        let left = card.map(|all| all.saturating_sub(memory(&self.stays) + memory(&self.comes)));
        let taken = self.stays[at] + self.comes[at];
        let most = self.most[at].map(|most| most.saturating_sub(taken));
        let free = least(offered.and_then(fitting), left.and_then(fitting));
        least(free, most)
    }

    /// The memory that it offers now; not known where only so much is known that some types fit.
    fn offered_mib(&self) -> Option<u64> {
        let types = self.gpu.types.iter().zip(self.sizes());
        let sized = types.filter_map(|(one, size)| Some((one.available, size?)));
        let offered: Option<Vec<u64>> = sized
            .map(|(available, mib)| Some(u64::from(available?) * mib))
            .collect();
        offered?.into_iter().max()
    }

    /// Nothing is known of such types but what is offered. They share what a parent has, as ports of
    /// a card: half of what one type has left takes half of what the others have.
    fn free_unsized(&self, at: usize) -> Option<u32> {
        let offered = |at: usize| {
            let free = self.gpu.types[at].available?;
            Some(free + self.leaves[at])
        };
        let own = offered(at)?;
        let mut left = 1.0;
        for (other, count) in self
            .comes
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            left -= match offered(other) {
                Some(free) if free > 0 => f64::from(*count) / f64::from(free),
                _ => 0.0,
            };
        }
        // A hair more, since thirds do not add up.
        let free = (f64::from(own) * left + 1e-6).floor().max(0.0);
        Some(free as u32)
    }
}

/// The most instances of a type: what its description says, else what fits into the memory.
fn most(gpu: &Gpu, vgpu_type: &VgpuType) -> Option<u32> {
    if let Some(details) = vgpu_type.details() {
        return Some(details.max_instances);
    }
    if vgpu_type.share() == Share::Instance {
        return instances_left(&[], vgpu_type, gpu.memory_mib);
    }
    let (memory, mib) = (gpu.memory_mib?, vgpu_type.framebuffer_mib()?);
    u32::try_from(memory / mib.max(1)).ok()
}

/// The smaller one of what is known.
pub fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
