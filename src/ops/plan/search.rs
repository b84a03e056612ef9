//! Where taking one group after the other leaves some without a place: other orders, and other sizes
//! for idle GPUs, within bounds.

use super::place::{Demand, Placed, Rank, in_order, place};
use super::space::Space;
use crate::capacity::Placement;
use crate::nvidia::Share;

/// How much work a search may be: vGPUs times GPUs, each time they are placed.
const EFFORT: usize = 20_000_000;
/// How often they are placed at most.
const TRIES: usize = 4096;

/// Finds places for all demands; where that fails, for as many as the search finds.
pub fn place_all<'w>(spaces: &[Space<'w>], demands: &[Demand]) -> (Placed, Vec<Space<'w>>) {
    let first = place(spaces, demands);
    let needed: usize = demands.iter().filter(must).map(|d| d.claims.len()).sum();
    let met = |placed: &Placed| count(placed, demands);
    if met(&first.0) == needed {
        return first;
    }
    let mut best = first;
    for placed in other_orders(spaces, demands).chain(other_sizes(spaces, demands)) {
        if met(&placed.0) > met(&best.0) {
            best = placed;
        }
        if met(&best.0) == needed {
            break;
        }
    }
    best
}

fn must(demand: &&Demand) -> bool {
    demand.rank == Rank::Active
}

/// How many of those that have to be active got a place.
fn count(placed: &Placed, demands: &[Demand]) -> usize {
    let needed = demands.iter().filter(must).flat_map(|d| &d.claims);
    let needed: std::collections::HashSet<usize> = needed.map(|claim| claim.case).collect();
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
    all.sort_by_key(|at| (demands[*at].rank, std::cmp::Reverse(by_size(&demands[*at]))));
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
