//! One UUID that is to start at boot on several parents, of which only one can have it.

use uuid::Uuid;

use super::Context;
use crate::error::{Error, Kind, Warnings};
use crate::model::{Definition, StartMode};
use crate::store::Location;

/// A UUID and where it is to start at boot: first the place that gets it, then those that do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rivals {
    /// The UUID.
    pub uuid: Uuid,
    /// At least two places, in the order in which boot looks at them.
    pub places: Vec<Location>,
}

impl Rivals {
    /// What is wrong, and the ways out.
    pub fn as_error(&self) -> Error {
        let uuid = self.uuid;
        let names: Vec<&str> = self.places.iter().map(|at| at.parent.as_str()).collect();
        let (first, losers) = names.split_first().unwrap_or((&"", &[]));
        let message = format!(
            "{uuid} is set to start at boot on {}, but a UUID can be active only once: the next \
             boot starts it on {first}",
            names.join(" and ")
        );
        let ways = losers.iter().map(|loser| {
            format!(
                "remove one definition: vgpuctl undefine {uuid} --parent {loser}, or make it \
                 manual: vgpuctl modify {uuid} --parent {loser} --manual"
            )
        });
        Error::new(Kind::Failed, message).hints(ways)
    }
}

/// The UUIDs that several of these claim at boot; `definitions` are in the order in which boot looks at
/// them.
pub fn rivals(definitions: &[Definition]) -> Vec<Rivals> {
    let at_boot = definitions.iter().filter(|d| d.start == StartMode::Auto);
    let mut all: Vec<Location> = at_boot.map(Location::of).collect();
    // Boot's order is kept among those of one UUID.
    all.sort_by_key(|at| at.uuid);
    let several = all.chunk_by(|a, b| a.uuid == b.uuid);
    several
        .filter(|places| places.len() > 1)
        .map(|places| Rivals {
            uuid: places[0].uuid,
            places: places.to_vec(),
        })
        .collect()
}

/// A caution where a definition that starts at boot, written or planned, is not the only one of its
/// UUID. Those that cannot be read are reported elsewhere.
pub fn rival_cautions(context: &Context<'_>, own: &Location) -> Warnings {
    let mut places = context.store.index(&mut Vec::new()).unwrap_or_default();
    places.retain(|at| at.uuid == own.uuid && at != own);
    let others = context.store.read_each(&places).into_iter().flatten();
    let at_boot = others.filter(|other| other.start == StartMode::Auto);
    let mut places: Vec<Location> = at_boot.map(|other| Location::of(&other)).collect();
    if places.is_empty() {
        return Vec::new();
    }
    places.push(own.clone());
    places.sort_by(|a, b| (a.framework, &a.parent).cmp(&(b.framework, &b.parent)));
    let uuid = own.uuid;
    vec![Rivals { uuid, places }.as_error()]
}
