//! Where taking one group after the other leaves some without a place: other orders, other sizes for idle
//! GPUs, and all ways to spread them over the GPUs, within bounds.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::place::{Claim, Demand, Own, Placed, Rank, in_order, place};
use super::space::Space;
use crate::capacity::{Placement, least};
use crate::nvidia::Share;

/// How much work a search may be: vGPUs times GPUs, each time they are placed.
const EFFORT: usize = 20_000_000;
/// How often they are placed at most.
const TRIES: usize = 4096;
/// How many numbers of vGPUs of one group on one GPU are looked at, at most, for all ways to spread them.
const BRANCHES: usize = 20_000;

/// Finds places for all demands; where that fails, for as many as the search finds.
pub fn place_all<'w>(spaces: &[Space<'w>], demands: &[Demand]) -> (Placed, Vec<Space<'w>>) {
    let first = place(spaces, demands);
    let needed = most_possible(spaces, demands);
    // What is not placed stays where it is, and may leave those no room that are.
    let met = |placed: &Placed| match all_leave(placed, demands) {
        true => count(placed, demands),
        false => 0,
    };
    if met(&first.0) == needed {
        return first;
    }
    let mut best = first;
    for placed in other_orders(spaces, demands).chain(other_sizes(spaces, demands)) {
        if met(&placed.0) > met(&best.0) {
            best = placed;
        }
        if met(&best.0) == needed {
            return best;
        }
    }
    let mut search = Search::of(spaces, demands, met(&best.0), needed);
    search.decide_who_stays(&mut spaces.to_vec(), &mut Vec::new());
    match search.found.take() {
        Some((counts, spaces)) => by_counts(&search, &counts, spaces, demands),
        None => best,
    }
}

/// How many of those that must be active could have a place at most, if no group took any from another.
fn most_possible(spaces: &[Space<'_>], demands: &[Demand]) -> usize {
    let all = demands.iter().filter(must).map(|demand| {
        let rooms = (0..demand.gpus.len()).map(|choice| room(spaces, demand, choice));
        rooms
            .fold(0, usize::saturating_add)
            .min(demand.claims.len())
    });
    all.sum()
}

/// Whether all that must be active and leave a device found a place.
fn all_leave(placed: &Placed, demands: &[Demand]) -> bool {
    let placed: HashSet<usize> = placed.iter().map(|(case, _)| *case).collect();
    let mut claims = demands
        .iter()
        .filter(must)
        .flat_map(|demand| &demand.claims);
    claims.all(|claim| claim.own.is_none() || placed.contains(&claim.case))
}

/// How many of a demand its nth GPU takes.
fn room(spaces: &[Space<'_>], demand: &Demand, choice: usize) -> usize {
    let (gpu, at) = demand.gpus[choice];
    let free = least(spaces[gpu].capacity.room(at).free, demand.functions[choice]);
    free.map_or(usize::MAX, |free| free as usize)
}

/// Members of one demand that are alike: those without a device, or one with a device that it leaves.
struct Part<'d> {
    demand: &'d Demand,
    claims: Vec<&'d Claim>,
    own: Option<Own>,
}

/// Tries which members stay where they are, and how many of each part go to each of its GPUs.
struct Search<'d, 'w> {
    /// Those with devices first.
    parts: Vec<Part<'d>>,
    /// A part and one of its GPUs, both as numbers, in order.
    pairs: Vec<(usize, usize)>,
    /// The most that have found a place so far.
    most: usize,
    /// As many as could.
    needed: usize,
    /// How many more numbers may be tried.
    branches: usize,
    /// How many of each pair, and the GPUs then.
    found: Option<(Vec<usize>, Vec<Space<'w>>)>,
}

impl<'d, 'w> Search<'d, 'w> {
    fn of(spaces: &[Space<'w>], demands: &'d [Demand], most: usize, needed: usize) -> Self {
        let mut all: Vec<&Demand> = demands.iter().filter(must).collect();
        all.sort_by_key(|demand| Reverse(size_of(spaces, demand)));
        let mut parts: Vec<Part<'_>> = Vec::new();
        for demand in &all {
            let with_device = demand.claims.iter().filter(|claim| claim.own.is_some());
            parts.extend(with_device.map(|claim| Part {
                demand,
                claims: vec![claim],
                own: claim.own,
            }));
        }
        parts.extend(all.iter().map(|demand| {
            Part {
                demand,
                claims: demand
                    .claims
                    .iter()
                    .filter(|claim| claim.own.is_none())
                    .collect(),
                own: None,
            }
        }));
        let pairs = |(at, part): (usize, &Part<'_>)| {
            let choices = 0..part.demand.gpus.len();
            choices.map(move |choice| (at, choice)).collect::<Vec<_>>()
        };
        Search {
            pairs: parts.iter().enumerate().flat_map(pairs).collect(),
            parts,
            most,
            needed,
            branches: BRANCHES,
            found: None,
        }
    }

    fn is_over(&self) -> bool {
        self.most == self.needed || self.branches == 0
    }

    /// `stays` are those of the first parts.
    fn decide_who_stays(&mut self, spaces: &mut Vec<Space<'w>>, stays: &mut Vec<bool>) {
        let own = self.parts.get(stays.len()).and_then(|part| part.own);
        let Some(own) = own else {
            return self.spread(spaces, stays, &mut Vec::new());
        };
        for it_stays in [false, true] {
            if self.is_over() {
                return;
            }
            let before = spaces[own.gpu].capacity.clone();
            if it_stays {
                spaces[own.gpu].capacity.returns(own.type_at, own.placement);
            }
            stays.push(it_stays);
            self.decide_who_stays(spaces, stays);
            stays.pop();
            spaces[own.gpu].capacity = before;
        }
    }

    /// How many of a part are to find a place.
    fn size(&self, at: usize, stays: &[bool]) -> usize {
        match stays.get(at) {
            Some(true) => 0,
            _ => self.parts[at].claims.len(),
        }
    }

    /// `counts` are those of the pairs before.
    fn spread(&mut self, spaces: &mut Vec<Space<'w>>, stays: &[bool], counts: &mut Vec<usize>) {
        let placed: usize = counts.iter().sum();
        let Some((at, choice)) = self.pairs.get(counts.len()).copied() else {
            if placed > self.most {
                self.most = placed;
                self.found = Some((counts.clone(), spaces.clone()));
            }
            return;
        };
        let of_this = self.pairs.iter().zip(counts.iter());
        let of_this = of_this.filter(|((other, _), _)| *other == at);
        let left = self.size(at, stays) - of_this.map(|(_, count)| count).sum::<usize>();
        let after: usize = (at + 1..self.parts.len())
            .map(|at| self.size(at, stays))
            .sum();
        let demand = self.parts[at].demand;
        let (gpu, type_at) = demand.gpus[choice];
        let most = self.room(spaces, counts, choice, demand).min(left);
        // What leaves its device has to find a place.
        let is_last = choice + 1 == demand.gpus.len();
        let least = match self.parts[at].own.is_some() && is_last {
            true => left,
            false => 0,
        };
        for count in (least..=most).rev() {
            if placed + left + after <= self.most || self.is_over() {
                break;
            }
            self.branches -= 1;
            let before = spaces[gpu].capacity.clone();
            (0..count).for_each(|_| spaces[gpu].capacity.comes(type_at));
            counts.push(count);
            self.spread(spaces, stays, counts);
            counts.pop();
            spaces[gpu].capacity = before;
        }
    }

    /// How many of a demand its nth GPU takes, where parts of it may be there already.
    fn room(
        &self,
        spaces: &[Space<'_>],
        counts: &[usize],
        choice: usize,
        demand: &Demand,
    ) -> usize {
        let (gpu, at) = demand.gpus[choice];
        let pairs = self.pairs.iter().zip(counts);
        let is_same = |part: usize| std::ptr::eq(self.parts[part].demand, demand);
        let here = pairs.filter(|((part, other), _)| is_same(*part) && *other == choice);
        let here: usize = here.map(|(_, count)| count).sum();
        let functions = demand.functions[choice];
        let functions = functions.map(|free| (free as usize).saturating_sub(here));
        let free = spaces[gpu].capacity.room(at).free.map(|free| free as usize);
        free.into_iter()
            .chain(functions)
            .min()
            .unwrap_or(usize::MAX)
    }
}

/// Places so many of each pair, those first that prefer the GPU, and then the demands that need not be met.
fn by_counts<'w>(
    search: &Search<'_, 'w>,
    counts: &[usize],
    spaces: Vec<Space<'w>>,
    demands: &[Demand],
) -> (Placed, Vec<Space<'w>>) {
    let mut placed = Vec::new();
    for (at, part) in search.parts.iter().enumerate() {
        let pairs = search.pairs.iter().zip(counts);
        let mut left: Vec<(usize, usize)> = pairs
            .filter(|((other, _), _)| *other == at)
            .map(|((_, choice), count)| (part.demand.gpus[*choice].0, *count))
            .collect();
        let mut others: Vec<&Claim> = Vec::new();
        for claim in &part.claims {
            let mut own = left.iter_mut();
            let own = own.find(|(gpu, count)| Some(*gpu) == claim.prefers && *count > 0);
            match own {
                Some((gpu, count)) => {
                    *count -= 1;
                    placed.push((claim.case, *gpu));
                }
                None => others.push(claim),
            }
        }
        let free = left.into_iter();
        let free = free.flat_map(|(gpu, count)| std::iter::repeat_n(gpu, count));
        placed.extend(others.into_iter().map(|claim| claim.case).zip(free));
    }
    let mut rest: Vec<&Demand> = demands.iter().filter(|demand| !must(demand)).collect();
    rest.sort_by_key(|demand| (demand.rank, demand.gpus.len(), demand.group));
    let (more, spaces) = in_order(spaces, &rest);
    placed.extend(more);
    (placed, spaces)
}

fn must(demand: &&Demand) -> bool {
    demand.rank == Rank::Active
}

/// How many of those that have to be active got a place.
fn count(placed: &Placed, demands: &[Demand]) -> usize {
    let needed = demands.iter().filter(must).flat_map(|d| &d.claims);
    let needed: HashSet<usize> = needed.map(|claim| claim.case).collect();
    placed
        .iter()
        .filter(|(case, _)| needed.contains(case))
        .count()
}

fn size_of(spaces: &[Space<'_>], demand: &Demand) -> Option<u64> {
    let (gpu, at) = demand.gpus.first()?;
    spaces[*gpu].gpu.types[*at].framebuffer_mib()
}

/// The largest first, the smallest first; and packed whatever the file says, since room counts more.
fn other_orders<'s, 'w>(
    spaces: &'s [Space<'w>],
    demands: &'s [Demand],
) -> impl Iterator<Item = (Placed, Vec<Space<'w>>)> + use<'s, 'w> {
    let by_size = |demand: &Demand| size_of(spaces, demand).unwrap_or_default();
    let packed = packed(demands);
    let mut orders: Vec<Vec<usize>> = Vec::new();
    let mut all: Vec<usize> = (0..demands.len()).collect();
    all.sort_by_key(|at| {
        (
            demands[*at].rank,
            demands[*at].gpus.len(),
            demands[*at].group,
        )
    });
    orders.push(all.clone());
    all.sort_by_key(|at| (demands[*at].rank, Reverse(by_size(&demands[*at]))));
    orders.push(all.clone());
    all.sort_by_key(|at| (demands[*at].rank, by_size(&demands[*at])));
    orders.push(all);
    orders.into_iter().map(move |order| {
        let order: Vec<&Demand> = order.iter().map(|at| &packed[*at]).collect();
        in_order(spaces.to_vec(), &order)
    })
}

fn packed(demands: &[Demand]) -> Vec<Demand> {
    let one = |demand: &Demand| Demand {
        group: demand.group,
        gpus: demand.gpus.clone(),
        functions: demand.functions.clone(),
        placement: Placement::Pack,
        claims: demand.claims.clone(),
        rank: demand.rank,
    };
    demands.iter().map(one).collect()
}

/// Each idle GPU with each size that is asked for there, as far as the bounds allow.
fn other_sizes<'s, 'w>(
    spaces: &'s [Space<'w>],
    demands: &'s [Demand],
) -> impl Iterator<Item = (Placed, Vec<Space<'w>>)> + use<'s, 'w> {
    let choices: Vec<(usize, Vec<Share>)> = (0..spaces.len())
        .filter(|gpu| spaces[*gpu].capacity.is_idle() && !spaces[*gpu].gpu.mixes_sizes)
        .map(|gpu| (gpu, sizes_for(spaces, demands, gpu)))
        .filter(|(_, sizes)| sizes.len() > 1)
        .collect();
    let claims: usize = demands.iter().map(|demand| demand.claims.len()).sum();
    let effort = (claims * spaces.len()).max(1);
    let packed = packed(demands);
    let all = choices
        .iter()
        .fold(1_usize, |all, (_, sizes)| all.saturating_mul(sizes.len()));
    let tries = match choices.is_empty() {
        true => 0,
        false => all.min(TRIES).min(EFFORT / effort),
    };
    (0..tries).map(move |mut number| {
        let mut tried = spaces.to_vec();
        for (gpu, sizes) in &choices {
            tried[*gpu].capacity.only = Some(sizes[number % sizes.len()]);
            number /= sizes.len();
        }
        place(&tried, &packed)
    })
}

fn sizes_for(spaces: &[Space<'_>], demands: &[Demand], gpu: usize) -> Vec<Share> {
    let asked = demands.iter().filter(must).flat_map(|d| &d.gpus);
    let here = asked.filter(|(at, _)| *at == gpu);
    let types = &spaces[gpu].gpu.types;
    let mut sizes: Vec<Share> = here
        .map(|(_, at)| types[*at].share())
        .filter(|share| *share != Share::Unknown)
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}
