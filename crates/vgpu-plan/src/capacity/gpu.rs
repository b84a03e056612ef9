//! One GPU: what it holds, what goes, what comes, and what that leaves room for.

use std::sync::Arc;

use super::Room;
use super::held::{Held, holdings, instances_left, mig_types};
use super::limits::{Bound, By, Limits};
use super::reason::Refusal;
use nvidia_vgpu::{Filling, Places, Share, TypeDetails, is_cut_as_wanted};
use vgpu_host::model::{TypeId, VgpuType};

/// vGPUs on one GPU at most, up to driver branch 590.
const MOST_VGPUS: u32 = 32;

/// What is free on a GPU that serves several sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragmentation {
    /// The framebuffer that nothing takes, in MiB.
    pub free_mib: u64,
    /// The largest size of which one more fits, in MiB.
    pub largest_mib: Option<u64>,
}

/// Which moment a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This one: what the driver offers now counts.
    Now,
    /// The next boot: all that is active is gone, and sizes mix only where settings say so.
    NextBoot,
}

/// What a GPU has room for.
#[derive(Debug, Clone)]
pub struct Capacity<'t> {
    types: Vec<Known<'t>>,
    /// Where each type is among these, in order of size.
    largest_first: Vec<usize>,
    limits: Limits,
    moment: Moment,
    kept: u32,
    /// The placement ids of what stays, each with its type, as far as the driver says them.
    fixed: Vec<(usize, u32)>,
    /// What alone may come, where that was decided: one framebuffer size, or instances.
    pub only: Option<Share>,
}

/// A type of the GPU: what is understood of it, and how many there are.
#[derive(Debug, Clone)]
struct Known<'t> {
    vgpu_type: &'t VgpuType,
    share: Share,
    /// The most instances that an empty GPU takes.
    most: Option<Bound>,
    /// Where its instances can start while the GPU serves several sizes.
    places: Option<Arc<Places>>,
    stays: u32,
    leaves: u32,
    comes: u32,
}

impl Known<'_> {
    fn will_be(&self) -> u32 {
        self.stays + self.comes
    }

    fn is_now(&self) -> u32 {
        self.stays + self.leaves
    }

    /// The size by which it shares the whole GPU, in MiB.
    fn size(&self) -> Option<u64> {
        match self.share {
            Share::Size(mib) => Some(mib),
            Share::Instance | Share::Unknown => None,
        }
    }
}

impl<'t> Capacity<'t> {
    /// A GPU that is known to hold nothing, and offers what these types say. Functions of one GPU
    /// that are parents each are to be put together before.
    pub fn of(types: impl IntoIterator<Item = &'t VgpuType>, limits: Limits) -> Capacity<'t> {
        let mut all = Capacity {
            types: Vec::new(),
            largest_first: Vec::new(),
            limits,
            moment: Moment::Now,
            kept: 0,
            fixed: Vec::new(),
            only: None,
        };
        for vgpu_type in types {
            all.add(vgpu_type);
        }
        all
    }

    /// The GPU at the next boot: what it holds now will have gone.
    pub fn at_next_boot(self) -> Capacity<'t> {
        let types = self.types.into_iter().map(|known| Known {
            stays: 0,
            leaves: known.is_now(),
            ..known
        });
        Capacity {
            types: types.collect(),
            moment: Moment::NextBoot,
            fixed: Vec::new(),
            ..self
        }
    }

    /// The place of a type among those of the GPU; one that it does not list is added.
    pub fn add(&mut self, vgpu_type: &'t VgpuType) -> usize {
        if let Some(at) = self.type_at(&vgpu_type.id) {
            return at;
        }
        let details = vgpu_type.details();
        let share = vgpu_type.share();
        let known = Known {
            share,
            most: most(&self.limits, vgpu_type, share, details.as_ref()),
            places: places(&self.limits, share, details.as_ref()),
            vgpu_type,
            stays: 0,
            leaves: 0,
            comes: 0,
        };
        let is_as_large = |at: &usize| self.types[*at].size() >= known.size();
        let place = self.largest_first.partition_point(is_as_large);
        self.largest_first.insert(place, self.types.len());
        self.types.push(known);
        self.types.len() - 1
    }

    /// Which of its types that is.
    pub fn type_at(&self, id: &TypeId) -> Option<usize> {
        let mut types = self.types.iter();
        types.position(|known| known.vgpu_type.id == *id)
    }

    /// One of that type stays, at this placement id if the driver says it.
    pub fn stays(&mut self, at: usize, placement: Option<u32>) {
        self.types[at].stays += 1;
        self.fixed.extend(placement.map(|id| (at, id)));
    }

    /// One of that type goes.
    pub fn leaves(&mut self, at: usize) {
        self.types[at].leaves += 1;
    }

    /// One of that type that was to go stays after all.
    pub fn returns(&mut self, at: usize, placement: Option<u32>) {
        self.types[at].leaves = self.types[at].leaves.saturating_sub(1);
        self.stays(at, placement);
    }

    /// One of that type comes.
    pub fn comes(&mut self, at: usize) {
        self.types[at].comes += 1;
    }

    /// A function of it is kept for a definition.
    pub fn keeps_function(&mut self) {
        self.kept += 1;
    }

    /// What it holds in the end.
    pub fn holdings(&self) -> Vec<Held<'t>> {
        self.counted(Known::will_be)
    }

    /// Whether something comes to it.
    pub fn is_to_fill(&self) -> bool {
        self.types.iter().any(|known| known.comes > 0)
    }

    /// Whether nothing is on it or comes to it.
    pub fn is_idle(&self) -> bool {
        self.taken() == 0
    }

    /// What it has left for one type.
    pub fn room(&self, at: usize) -> Room {
        Room {
            taken: self.taken(),
            free: self.bound(at).map(|bound| bound.most),
        }
    }

    /// Lets one more of a type in, unless there surely is no room. [`Capacity::bound`] counts what
    /// surely fits; they differ only for types without a size, beside others of them.
    ///
    /// # Errors
    /// Why there is none.
    pub fn admit(&mut self, at: usize) -> Result<(), Refusal<'t>> {
        if !self.may_fit(at) {
            return Err(self.refusal(at));
        }
        self.comes(at);
        Ok(())
    }

    /// Why it has no room for one more of a type.
    pub fn refusal(&self, at: usize) -> Refusal<'t> {
        Refusal::of(self, at)
    }

    /// How many more of a type fit, with what sets the bound; `None` where nothing does.
    pub fn bound(&self, at: usize) -> Option<Bound> {
        let rest = match self.types[at].share {
            share if self.refuses(share) => Some(Bound {
                most: 0,
                by: By::Others,
            }),
            Share::Instance => self.free_instances(at),
            Share::Size(mib) if self.mixes_sizes() => self.free_mixed(at, mib),
            Share::Size(_) => self.free_of_size(at),
            Share::Unknown => driver(self.free_unsized(at)),
        };
        Bound::tighter(self.functions_left(), rest)
    }

    fn functions_left(&self) -> Option<Bound> {
        let (all, taken, kept) = (self.limits.functions?, self.taken(), self.kept);
        Some(Bound {
            most: all.saturating_sub(taken + kept),
            by: By::Functions { all, taken, kept },
        })
    }

    /// Whether it serves one size, and what it holds has another than this type.
    pub fn needs_mixing(&self, at: usize) -> bool {
        let own = self.types[at].share;
        let mut there_will_be = self.types.iter().filter(|known| known.will_be() > 0);
        !self.mixes_sizes() && there_will_be.any(|known| known.share.is_other_size(own))
    }

    pub(super) fn wanted(&self, at: usize) -> (&'t VgpuType, Share) {
        (self.types[at].vgpu_type, self.types[at].share)
    }

    /// What bounds it beside what its types say.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether functions that are kept for definitions are all that is left.
    pub(super) fn has_only_kept_functions(&self) -> bool {
        let all = self.limits.functions.unwrap_or(u32::MAX);
        self.kept > 0 && self.taken() < all && self.taken() + self.kept >= all
    }

    pub(super) fn held_now(&self) -> Vec<Held<'t>> {
        self.counted(Known::is_now)
    }

    fn counted(&self, count: impl Fn(&Known<'t>) -> u32) -> Vec<Held<'t>> {
        let each = |known: &Known<'t>| {
            let vgpu_type = known.vgpu_type;
            (0..count(known)).map(move |_| vgpu_type)
        };
        holdings(self.types.iter().flat_map(each))
    }

    pub(super) fn instances_leave(&self) -> bool {
        let mut types = self.types.iter();
        types.any(|known| known.share == Share::Instance && known.leaves > 0)
    }

    pub(super) fn taken(&self) -> u32 {
        self.sum(Known::will_be)
    }

    fn sum(&self, count: impl Fn(&Known<'t>) -> u32) -> u32 {
        self.types.iter().map(count).sum()
    }

    /// All vGPUs of one GPU have one size, unless the GPU was told otherwise; or all are instances.
    fn refuses(&self, share: Share) -> bool {
        let mixes = self.mixes_sizes();
        let is_in_the_way = |other: Share| match mixes {
            true => share.is_other_mode(other),
            false => share.clashes(other),
        };
        let mut there_will_be = self.types.iter().filter(|known| known.will_be() > 0);
        let is_closed = self.only.is_some_and(|only| share.clashes(only));
        is_closed || there_will_be.any(|known| is_in_the_way(known.share))
    }

    /// Whether only its driver can say if it serves several sizes: it is to, and what it holds has one size and fills it.
    pub fn may_be_mixed(&self) -> bool {
        let is_told = self.limits.mixes_sizes && self.limits.region.is_some();
        is_told && self.moment == Moment::Now && !self.is_idle() && !self.mixes_sizes()
    }

    /// It has several sizes, offers another than it holds, or will be told to have them, which counts
    /// only while it holds nothing.
    pub fn mixes_sizes(&self) -> bool {
        let is_emptied = self.sum(|known| known.stays) == 0;
        if self.moment == Moment::NextBoot || (self.limits.mixes_sizes && is_emptied) {
            return self.limits.mixes_sizes;
        }
        if self.limits.is_mixed {
            return true;
        }
        let sizes = |counts: fn(&Known<'_>) -> bool| {
            let counted = self.types.iter().filter(move |known| counts(known));
            counted.filter_map(Known::size)
        };
        let held = || sizes(|known| known.is_now() > 0);
        let Some(first) = held().next() else {
            return false;
        };
        let offered = sizes(|known| known.vgpu_type.at_least > 0);
        held().chain(offered).any(|mib| mib != first)
    }

    /// What the driver offers of a type now. Of the next boot it tells only where nothing else does.
    fn offered(&self, at: usize) -> Option<u32> {
        let known = &self.types[at];
        let is_told = self.moment == Moment::Now || known.most.is_none();
        known.vgpu_type.available.filter(|_| is_told)
    }

    /// Types of one kind of instance share those that there are: what others leave free is no use to
    /// them until the GPU is cut anew, unless its driver does that by itself. All together take no more
    /// slices than it has.
    fn free_instances(&self, at: usize) -> Option<Bound> {
        let known = &self.types[at];
        let most = known.most.map(|most| most.beside(known.will_be()));
        let left = instances_left(&self.holdings(), known.vgpu_type, self.limits.memory_mib);
        let left = left.map(|most| Bound {
            most,
            by: By::Instances,
        });
        let instance = |one: &VgpuType| one.mig().map(|mig| mig.instance);
        let own = instance(known.vgpu_type);
        let alike = |count: &dyn Fn(&Known<'t>) -> u32| -> u32 {
            let types = self.types.iter();
            let alike = types.filter(|known| instance(known.vgpu_type) == own);
            alike.map(count).sum()
        };
        let offered = match self.instances_leave() && self.is_cut_as_wanted() {
            true => None,
            false => self.offered(at).map(|free| {
                (free + alike(&|known| known.leaves)).saturating_sub(alike(&|known| known.comes))
            }),
        };
        Bound::tighter(left, Bound::tighter(most, driver(offered)))
    }

    fn is_cut_as_wanted(&self) -> bool {
        let free = |one: &VgpuType| one.available.unwrap_or(one.at_least);
        let types = self.types.iter().map(|known| known.vgpu_type);
        let offered: Vec<_> = types
            .filter_map(|one| Some((one.mig()?, free(one))))
            .collect();
        is_cut_as_wanted(&mig_types(&self.held_now()), &offered)
    }

    /// All sizes are the same here, so that counts will do.
    fn free_of_size(&self, at: usize) -> Option<Bound> {
        let count = |count: &dyn Fn(&Known<'t>) -> u32| {
            let sized = self.types.iter().filter(|known| known.size().is_some());
            sized.map(count).sum::<u32>()
        };
        let stays = count(&|known| known.stays);
        let (leaves, comes) = (count(&|known| known.leaves), count(&|known| known.comes));
        let most = self.types[at].most.map(|most| most.beside(stays + comes));
        let others_leave = leaves > self.types[at].leaves;
        // Once all has gone, the GPU takes as many as it can; what it says now is of no use.
        let offered = match stays == 0 && others_leave {
            true => None,
            false => self
                .offered(at)
                .map(|free| (free + leaves).saturating_sub(comes)),
        };
        Bound::tighter(most, driver(offered))
    }

    /// Sizes are mixed: what is free is memory, of which the largest offer tells best, and the card's
    /// own the most that there can be.
    fn free_mixed(&self, at: usize, mib: u64) -> Option<Bound> {
        let memory = |count: &dyn Fn(&Known<'t>) -> u32| -> u64 {
            let sized = self.types.iter();
            let sized = sized.filter_map(|known| Some(known.size()? * u64::from(count(known))));
            sized.sum()
        };
        let fitting = |free: u64| u32::try_from(free / mib.max(1)).ok();
        let leaving = memory(&|known| known.leaves);
        // Once as many vGPUs run as there can be of a type, the driver no longer offers it, whatever is free.
        if self.offered(at) == Some(0) && leaving == 0 {
            return driver(Some(0));
        }
        if let Some(most) = self.free_placements(at) {
            let by = By::Placements;
            return Some(Bound { most, by });
        }
        let offered = match self.moment {
            Moment::Now => self.offered_mib(),
            Moment::NextBoot => None,
        };
        let comes = memory(&|known| known.comes);
        let offered = offered.map(|free| (free + leaving).saturating_sub(comes));
        let taken = memory(&|known| known.stays) + comes;
        let left = self.limits.memory_mib.and_then(|all| {
            Some(Bound {
                most: fitting(all.saturating_sub(taken))?,
                by: By::Memory {
                    all,
                    taken,
                    each: mib,
                },
            })
        });
        let known = &self.types[at];
        let most = known.most.map(|most| most.beside(known.will_be()));
        let free = Bound::tighter(left, driver(offered.and_then(fitting)));
        Bound::tighter(free, most)
    }

    /// How many more of a type find a place, where everything that is still to come is made in order of size, the
    /// largest first, and the driver chooses each place. `None` where the places are not known.
    fn free_placements(&self, at: usize) -> Option<u32> {
        let own = self.types[at].places.as_deref()?;
        let mut filling = self.placed()?;
        let mut smaller = Vec::new();
        for known in self.largest_first().filter(|known| known.comes > 0) {
            let places = known.places.as_deref()?;
            for _ in 0..known.comes {
                match places.width >= own.width {
                    true if filling.place(places).is_none() => return Some(0),
                    true => {}
                    false => smaller.push(places),
                }
            }
        }
        let mut more = 0;
        while filling.place(own).is_some() {
            let mut rest = filling.clone();
            if smaller.iter().any(|places| rest.place(places).is_none()) {
                break;
            }
            more += 1;
        }
        Some(more)
    }

    /// Whether one more of a type could start somewhere beside what stays and comes, though its driver may not offer it:
    /// it stops doing so once as many vGPUs of any types run as there can be of this one.
    pub(super) fn has_place(&self, at: usize) -> bool {
        let filled = || {
            let mut filling = self.placed()?;
            for known in self.largest_first().filter(|known| known.comes > 0) {
                for _ in 0..known.comes {
                    filling.place(known.places.as_deref()?);
                }
            }
            let own = self.types[at].places.as_deref()?;
            Some(filling.free(own).next().is_some())
        };
        filled() == Some(true)
    }

    /// The region with what stays. A vGPU whose place the driver does not say is taken to be where it would put it
    /// now. `None` where the places of one of them are not known.
    fn placed(&self) -> Option<Filling> {
        let mut filling = self.limits.region?.empty();
        let mut rest = Vec::new();
        for (at, known) in self
            .types
            .iter()
            .enumerate()
            .filter(|(_, known)| known.stays > 0)
        {
            let places = known.places.as_deref()?;
            let fixed = self.fixed.iter().filter(|(of, _)| *of == at);
            let count = fixed
                .map(|(_, id)| filling.occupy(*id, places.width))
                .count();
            let unknown = (known.stays as usize).saturating_sub(count);
            rest.extend(std::iter::repeat_n(places, unknown));
        }
        rest.sort_by_key(|places| std::cmp::Reverse(places.width));
        for places in rest {
            filling.place(places);
        }
        Some(filling)
    }

    /// What is free and of no use, as no type of more than the given size finds a place: the free framebuffer in MiB
    /// and the largest size that fits, if any does. `None` where places do not decide.
    pub fn fragmentation(&self) -> Option<Fragmentation> {
        if !self.mixes_sizes() {
            return None;
        }
        let mut filling = self.placed()?;
        for known in self.largest_first().filter(|known| known.comes > 0) {
            for _ in 0..known.comes {
                filling.place(known.places.as_deref()?);
            }
        }
        let fits = |at: &usize| self.bound(*at).is_some_and(|bound| bound.most > 0);
        let sizes = (0..self.types.len())
            .filter(fits)
            .filter_map(|at| self.types[at].size());
        Some(Fragmentation {
            free_mib: u64::from(filling.free_gib()) * 1024,
            largest_mib: sizes.max(),
        })
    }

    fn largest_first(&self) -> impl Iterator<Item = &Known<'t>> {
        self.largest_first.iter().map(|at| &self.types[*at])
    }

    /// The memory that it offers now; not known where only so much is known that some types fit.
    fn offered_mib(&self) -> Option<u64> {
        let types = self.types.iter();
        let sized = types.filter_map(|known| Some((known.vgpu_type.available, known.size()?)));
        let offered: Option<Vec<u64>> = sized
            .map(|(available, mib)| Some(u64::from(available?) * mib))
            .collect();
        offered?.into_iter().max()
    }

    fn may_fit(&self, at: usize) -> bool {
        let is_full = |bound: Option<Bound>| bound.is_some_and(|bound| bound.most == 0);
        match self.types[at].share {
            Share::Unknown => !is_full(self.functions_left()) && self.may_fit_unsized(at),
            Share::Instance | Share::Size(_) => !is_full(self.bound(at)),
        }
    }

    /// Of a type of which n fit, one takes more than 1/(n+1) of the whole.
    fn may_fit_unsized(&self, at: usize) -> bool {
        let least = |at: usize| {
            let known = &self.types[at];
            let most = known.vgpu_type.available?.checked_add(known.leaves)?;
            (!self.is_unknown_then(at)).then(|| 1.0 / (f64::from(most) + 1.0))
        };
        let Some(own) = least(at) else {
            return true;
        };
        let taken = self.types.iter().enumerate().map(|(at, known)| {
            let comes = f64::from(known.comes);
            least(at).map_or(0.0, |each| each * comes)
        });
        taken.sum::<f64>() + own < 1.0 - 1e-6
    }

    /// What other types free cannot be told in instances of this one: now it is not counted on, and of
    /// the next boot nothing is known.
    fn is_unknown_then(&self, at: usize) -> bool {
        let leaves_others = |(other, known): (usize, &Known<'_>)| other != at && known.leaves > 0;
        self.moment == Moment::NextBoot && self.types.iter().enumerate().any(leaves_others)
    }

    /// Nothing is known of such types but what is offered. They share what a parent has, as ports of
    /// a card: half of what one type has left takes half of what the others have.
    fn free_unsized(&self, at: usize) -> Option<u32> {
        if self.is_unknown_then(at) {
            return None;
        }
        let offered = |known: &Known<'_>| Some(known.vgpu_type.available? + known.leaves);
        let own = offered(&self.types[at])?;
        let mut left = 1.0;
        for known in self.types.iter().filter(|known| known.comes > 0) {
            left -= match offered(known) {
                Some(free) if free > 0 => f64::from(known.comes) / f64::from(free),
                _ => 0.0,
            };
        }
        // A hair more, since thirds do not add up.
        let free = (f64::from(own) * left + 1e-6).floor().max(0.0);
        Some(free as u32)
    }
}

impl Bound {
    /// What is left of it beside so many.
    fn beside(self, count: u32) -> Bound {
        let most = self.most.saturating_sub(count);
        let by = match self.by {
            By::Memory { all, each, .. } => By::Memory {
                all,
                taken: each * u64::from(count),
                each,
            },
            by => by,
        };
        Bound { most, by }
    }
}

fn driver(most: Option<u32>) -> Option<Bound> {
    let by = By::Driver;
    most.map(|most| Bound { most, by })
}

fn places(limits: &Limits, share: Share, details: Option<&TypeDetails<'_>>) -> Option<Arc<Places>> {
    let Share::Size(mib) = share else {
        return None;
    };
    let region = limits.region?;
    let size = u32::try_from(mib.div_ceil(1024))
        .ok()
        .filter(|size| *size > 0)?;
    let most = details.map_or(region.gib / size, |details| details.max_instances);
    Some(Arc::new(region.places(size, most.min(MOST_VGPUS))))
}

/// The most instances of a type: what its description says, else what fits into the memory.
fn most(
    limits: &Limits,
    vgpu_type: &VgpuType,
    share: Share,
    details: Option<&TypeDetails<'_>>,
) -> Option<Bound> {
    if let Some(details) = details {
        let (most, by) = (details.max_instances, By::Type);
        return Some(Bound { most, by });
    }
    let (all, each) = match share {
        Share::Instance => {
            let most = instances_left(&[], vgpu_type, limits.memory_mib)?;
            let by = By::Instances;
            return Some(Bound { most, by });
        }
        Share::Size(mib) => (limits.memory_mib?, mib),
        Share::Unknown => return None,
    };
    let most = u32::try_from(all / each.max(1)).ok()?;
    let by = By::Memory {
        all,
        taken: 0,
        each,
    };
    Some(Bound { most, by })
}
