//! A user for whom root does what he asks: he has vGPUs of his own, as many as the policy allows, and
//! nothing else is there for him.

use uuid::Uuid;

use super::choose::Offer;
use super::list::list;
use super::start::offer_of;
use super::{Context, CreateRequest, ListRequest, Listed, Persistence, Selector, Which};
use crate::declare::Quota;
use crate::error::{Error, Kind, Result};
use crate::model::{Definition, Parent, StartMode};
use crate::store::{Location, Owner};
use crate::text::quoted;

/// The version of UUIDs that are random.
const RANDOM: usize = 4;

/// A user, and what the policy allows him.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// His number.
    pub user: u32,
    /// What the policy's blocks that are about him allow.
    pub quotas: Vec<Quota>,
}

/// What a block of the policy allows a user, and how much of it he has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it allows.
    pub quota: Quota,
    /// How many of his vGPUs are of its types and on its parents.
    pub used: u32,
}

impl Tenant {
    fn owns(&self, definition: &Definition) -> bool {
        Owner::of(definition) == Some(Owner(self.user))
    }
}

/// Whether the definition in this place is there for whom this is done: root has all of them.
pub fn has(context: &Context<'_>, at: &Location) -> bool {
    let owns = |tenant: &Tenant| {
        context
            .store
            .read(at)
            .is_ok_and(|found| tenant.owns(&found))
    };
    context.tenant.as_ref().is_none_or(owns)
}

/// Refuses what is not the user's own, in the same words whether it is there or not.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn refuse_others(context: &Context<'_>, selector: &Selector) -> Result<()> {
    if context.tenant.is_none() {
        return Ok(());
    }
    let uuid = selector.uuid.whole();
    let all = context.store.index(&mut Vec::new())?;
    match all
        .iter()
        .any(|at| Some(at.uuid) == uuid && has(context, at))
    {
        true => Ok(()),
        false => Err(none_of_yours(&selector.uuid)),
    }
}

/// As [`refuse_others`], of one place, for whoever holds its lock: it may have changed hands.
///
/// # Errors
/// As there.
pub fn refuse_place(context: &Context<'_>, at: &Location) -> Result<()> {
    match has(context, at) {
        true => Ok(()),
        false => Err(none_of_yours(&at.uuid)),
    }
}

fn none_of_yours(uuid: &impl std::fmt::Display) -> Error {
    Error::new(Kind::NotFound, format!("you have no vGPU {uuid}"))
}

/// Notes whose a new definition is.
pub fn note_owner(context: &Context<'_>, definition: &mut Definition) {
    if let Some(tenant) = &context.tenant {
        Owner(tenant.user).note_in(definition);
    }
}

/// Whether both are the same user's, or root's.
pub fn is_same_owner(one: &Definition, other: &Definition) -> bool {
    Owner::of(one) == Owner::of(other)
}

/// Refuses a UUID for a new vGPU that is somebody else's, or that another program would give to one of
/// its own.
///
/// # Errors
/// [`Kind::Usage`] for one that is not random; [`Kind::Failed`] where it is taken.
pub fn refuse_uuid(context: &Context<'_>, uuid: Uuid) -> Result<()> {
    if context.tenant.is_none() {
        return Ok(());
    }
    if uuid.get_version_num() != RANDOM {
        let message = format!("{uuid} is not a random UUID (version {RANDOM})");
        return Err(Error::new(Kind::Usage, message));
    }
    let mut places = context.store.index(&mut Vec::new())?;
    places.retain(|at| at.uuid == uuid);
    let is_own = match context.kernel.device(uuid)? {
        Some(device) => places.contains(&Location::of_device(&device)),
        None => true,
    };
    match is_own && places.iter().all(|at| has(context, at)) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Failed,
            format!("{uuid} is already in use"),
        )),
    }
}

/// Those of the offers that the user may still take one of. Call it with his lock.
///
/// # Errors
/// [`Kind::NotPermitted`] where none is left.
pub fn permitted(
    context: &Context<'_>,
    request: &CreateRequest,
    mut offers: Vec<Offer>,
) -> Result<Vec<Offer>> {
    if context.tenant.is_none() {
        return Ok(offers);
    }
    let at_boot = request.persistence == Persistence::Defined(StartMode::Auto);
    let mut grants = grants(context, request.uuid)?;
    let is_covered = |grants: &[Grant], offer: &Offer| {
        let mut quotas = grants.iter().map(|grant| &grant.quota);
        quotas.any(|quota| covers(quota, offer))
    };
    let refuse = |how: &str, why: String| {
        let place = request
            .parent
            .as_ref()
            .map(|parent| format!(" on {parent}"));
        let place = place.unwrap_or_default();
        let what = quoted(&request.type_name);
        refused(format!("you may not have {how} of type {what}{place}{why}"))
    };
    offers.retain(|offer| is_covered(&grants, offer));
    if offers.is_empty() {
        return Err(refuse("a vGPU", String::new()));
    }
    grants.retain(|grant| grant.quota.at_boot || !at_boot);
    offers.retain(|offer| is_covered(&grants, offer));
    if offers.is_empty() {
        return Err(refuse("a vGPU", " started at boot".to_owned()));
    }
    grants.retain(|grant| offers.iter().any(|offer| covers(&grant.quota, offer)));
    let widest = grants.iter().max_by_key(|grant| grant.quota.devices);
    let widest = widest.map(|grant| format!("{} of {}", grant.used, grant.quota.devices));
    grants.retain(|grant| grant.used < grant.quota.devices);
    offers.retain(|offer| is_covered(&grants, offer));
    match offers.is_empty() {
        true => {
            let have = format!(": you have {}", widest.unwrap_or_default());
            Err(refuse("another vGPU", have))
        }
        false => Ok(offers),
    }
}

/// Refuses to start what the policy no longer allows.
///
/// # Errors
/// [`Kind::NotPermitted`].
pub fn refuse_start(context: &Context<'_>, definition: &Definition) -> Result<()> {
    let Some(tenant) = &context.tenant else {
        return Ok(());
    };
    // What is not there now fails by itself.
    let is_allowed = offer_of(context, definition)
        .is_none_or(|offer| tenant.quotas.iter().any(|quota| covers(quota, &offer)));
    match is_allowed {
        true => Ok(()),
        false => Err(refused(format!(
            "you may no longer have a vGPU of type {} on {}",
            definition.type_id, definition.parent
        ))),
    }
}

fn refused(message: String) -> Error {
    Error::new(Kind::NotPermitted, message)
}

/// What the user may have, and how much of it he has, but for one vGPU that is to be made anew.
///
/// # Errors
/// The definitions cannot be listed.
pub fn grants(context: &Context<'_>, but: Option<Uuid>) -> Result<Vec<Grant>> {
    let Some(tenant) = &context.tenant else {
        return Ok(Vec::new());
    };
    let mut own = context.store.all(&mut Vec::new())?;
    own.retain(|one| tenant.owns(one) && Some(one.uuid) != but);
    let own: Vec<Option<Offer>> = own.iter().map(|one| offer_of(context, one)).collect();
    let used = |quota: &Quota| {
        // What cannot be looked up now counts everywhere, so that it makes no room.
        let counts = |offer: &&Option<Offer>| offer.as_ref().is_none_or(|o| covers(quota, o));
        u32::try_from(own.iter().filter(counts).count()).unwrap_or(u32::MAX)
    };
    let grant = |quota: &Quota| Grant {
        used: used(quota),
        quota: quota.clone(),
    };
    Ok(tenant.quotas.iter().map(grant).collect())
}

/// The user's own vGPUs, active or not.
///
/// # Errors
/// Devices or definitions cannot be listed at all.
pub fn own(context: &Context<'_>) -> Result<Vec<Listed>> {
    let request = ListRequest {
        which: Which::Defined,
        parent: None,
        type_name: None,
    };
    let mut all = list(context, &request)?.value;
    all.retain(|one| {
        let at = Location {
            framework: one.framework,
            parent: one.parent.clone(),
            uuid: one.uuid,
        };
        has(context, &at)
    });
    Ok(all)
}

fn covers(quota: &Quota, offer: &Offer) -> bool {
    let Offer { parent, vgpu_type } = offer;
    is_among(quota, parent) && quota.types.iter().any(|name| vgpu_type.answers_to(name))
}

fn is_among(quota: &Quota, parent: &Parent) -> bool {
    let named = quota.parents.as_ref();
    named.is_none_or(|named| named.contains(&parent.id) || named.contains(parent.gpu()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::{Policy, Source};
    use crate::model::{FrameworkKind, TypeId, VgpuType};

    fn offer(parent: &str, gpu: Option<&str>, id: &str, name: Option<&str>) -> Offer {
        let id: TypeId = id.parse().unwrap();
        Offer {
            parent: Parent {
                id: parent.parse().unwrap(),
                framework: FrameworkKind::Mdev,
                gpu: gpu.map(|gpu| gpu.parse().unwrap()),
            },
            vgpu_type: VgpuType::unlisted(id, name.map(Into::into), None),
        }
    }

    #[test]
    fn a_block_covers_its_types_on_its_parents_and_their_functions() {
        let text = "[[allow]]\nuser = 1\ntypes = [\"nvidia-63\", \"GRID P4-2Q\", \"P4-4Q\"]\n\
                    parents = [\"0000:81:00.0\"]\ndevices = 1\n[[allow]]\nuser = 1\n";
        let policy = Policy::parse(&Source {
            name: String::new(),
            text: text.to_owned(),
        });
        let policy = policy.unwrap();
        let [some, none] = policy.blocks() else {
            panic!("{policy:?}");
        };
        let here = "0000:81:00.0";
        for (offer, wanted) in [
            (offer(here, None, "nvidia-63", None), true),
            (offer(here, None, "nvidia-64", Some("GRID P4-2Q")), true),
            (offer(here, None, "nvidia-65", Some("GRID P4-4Q")), true),
            (offer(here, None, "nvidia-66", Some("GRID P4-8Q")), false),
            (offer(here, None, "nvidia-6", None), false),
            (offer("0000:81:00.4", Some(here), "nvidia-63", None), true),
            (offer("0000:82:00.0", None, "nvidia-63", None), false),
        ] {
            assert_eq!(covers(&some.quota, &offer), wanted, "{offer:?}");
            assert!(!covers(&none.quota, &offer));
        }
    }
}
