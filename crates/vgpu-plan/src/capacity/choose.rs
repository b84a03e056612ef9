//! Which of several GPUs with room to take.

/// Which of several GPUs with room a new vGPU goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// The fullest, so that whole GPUs stay free for other sizes.
    #[default]
    Pack,
    /// The emptiest, so that each vGPU has as much of a GPU's time as can be.
    Spread,
}

/// What a GPU has left for one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// vGPUs of whatever type that are on it.
    pub taken: u32,
    /// Instances of the type that it can still take; `None` where it does not say.
    pub free: Option<u32>,
}

impl Room {
    /// Whether there is room for one more, as far as it says.
    pub fn fits(self) -> bool {
        self.free != Some(0)
    }
}

/// Which of the rooms, which are in order of their GPUs' addresses, takes the next vGPU. A GPU that
/// does not say what is free comes after those that do, and where several are alike, the first.
pub fn choose(rooms: &[Room], placement: Placement) -> Option<usize> {
    let fitting = rooms.iter().enumerate().filter(|(_, room)| room.fits());
    let chosen = fitting.min_by_key(|(at, room)| {
        let free = i64::from(room.free.unwrap_or_default());
        let taken = i64::from(room.taken);
        let (first, second) = match placement {
            Placement::Pack => (i64::from(room.taken == 0), free),
            Placement::Spread => (taken, -free),
        };
        (room.free.is_none(), first, second, *at)
    });
    chosen.map(|(at, _)| at)
}
