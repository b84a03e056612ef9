//! Which GPU each new vGPU goes to, so that the whole set fits.

use super::space::Space;
use crate::capacity::{Placement, Room, choose, least};

/// Members of one group that need a place.
pub struct Demand {
    /// Where the group stands among the others.
    pub group: usize,
    /// The GPUs that they may be on, in order, each with the place of the type among its types.
    pub gpus: Vec<(usize, usize)>,
    /// How many functions are free on each of those, where only some of them may be taken.
    pub functions: Vec<Option<u32>>,
    /// How to choose.
    pub placement: Placement,
    /// Those that need one.
    pub claims: Vec<Claim>,
    /// How urgent they are.
    pub rank: Rank,
}

/// One that needs a place.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Which of the cases.
    pub case: usize,
    /// The GPU where it is now, which it keeps if it can.
    pub prefers: Option<usize>,
    /// Its device, which it leaves.
    pub own: Option<Own>,
}

/// A device that leaves its GPU for another place, or stays if there is none.
#[derive(Debug, Clone, Copy)]
pub struct Own {
    /// The GPU.
    pub gpu: usize,
    /// The place of its type among the GPU's.
    pub type_at: usize,
    /// Where its framebuffer starts, in GiB, if that is known.
    pub placement: Option<u32>,
}

/// In which order demands are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// They are active in the end.
    Active,
    /// As many of them are active in the end as there is room for.
    IfRoom,
    /// They are only defined.
    Defined,
}

/// The GPU of each case that got one, by case.
pub type Placed = Vec<(usize, usize)>;

/// Finds places for all demands, which are to be in the order of the file.
pub fn place<'w>(spaces: &[Space<'w>], demands: &[Demand]) -> (Placed, Vec<Space<'w>>) {
    let mut order: Vec<&Demand> = demands.iter().collect();
    // Who has less choice goes first.
    order.sort_by_key(|demand| (demand.rank, demand.gpus.len(), demand.group));
    in_order(spaces.to_vec(), &order)
}

/// As [`place`], in this order.
pub fn in_order<'w>(mut spaces: Vec<Space<'w>>, order: &[&Demand]) -> (Placed, Vec<Space<'w>>) {
    let mut placed = Vec::new();
    for demand in order {
        place_group(&mut spaces, demand, &mut placed);
    }
    (placed, spaces)
}

fn place_group(spaces: &mut [Space<'_>], demand: &Demand, placed: &mut Placed) {
    let look = |space: &Space<'_>, at: usize, functions: Option<u32>| {
        let room = space.capacity.room(at);
        Room {
            free: least(room.free, functions),
            ..room
        }
    };
    let mut functions = demand.functions.clone();
    let mut rooms: Vec<Room> = demand
        .gpus
        .iter()
        .zip(&functions)
        .map(|((gpu, at), functions)| look(&spaces[*gpu], *at, *functions))
        .collect();
    let mut take = |rooms: &mut Vec<Room>, case: usize, choice: usize| {
        let (gpu, at) = demand.gpus[choice];
        spaces[gpu].capacity.comes(at);
        functions[choice] = functions[choice].map(|free| free.saturating_sub(1));
        rooms[choice] = look(&spaces[gpu], at, functions[choice]);
        placed.push((case, gpu));
    };
    let mut others = Vec::new();
    for claim in &demand.claims {
        let own = demand
            .gpus
            .iter()
            .position(|(gpu, _)| Some(*gpu) == claim.prefers);
        // What is only defined stays where it is defined, whether or not there is room now: the next plan would move it
        // again otherwise.
        let stays = demand.rank == Rank::Defined;
        match own.filter(|choice| stays || rooms[*choice].fits()) {
            Some(choice) => take(&mut rooms, claim.case, choice),
            None => others.push(claim),
        }
    }
    // A device that finds no place stays where it is, and may be in the way of others.
    others.sort_by_key(|claim| claim.own.is_none());
    for claim in others {
        if let Some(choice) = choose(&rooms, demand.placement) {
            take(&mut rooms, claim.case, choice);
        }
    }
}
