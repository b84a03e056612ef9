//! Which virtual function a vGPU sits on: the one that its definition names, else one that no
//! definition has spoken for. Virtual machines refer to it by its address, so it is changed only
//! where it cannot be had, and then that is said.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Change, Context, Effect};
use crate::error::{Error, Kind, Result, Warnings, if_present};
use crate::model::{Definition, Device, FrameworkKind, Parent, ParentId, Slot, StartMode, TypeId};
use crate::store::Location;

/// How many functions a message names.
const MOST_NAMED: usize = 3;

/// What definitions say of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// None names it.
    None,
    /// One names it that starts only when asked for: others had better go elsewhere.
    Manual,
    /// One names it that starts at boot: it is kept for that one.
    Auto,
}

/// The functions of some GPUs that definitions name.
#[derive(Debug, Clone, Default)]
pub struct Spoken(HashMap<ParentId, Vec<(Uuid, StartMode)>>);

impl Spoken {
    /// What definitions name on the GPUs of these parents. Those that cannot be read name nothing.
    pub fn on<'p>(context: &Context<'_>, parents: impl Iterator<Item = &'p Parent>) -> Spoken {
        let on_functions =
            |parent: &&Parent| parent.framework == FrameworkKind::Vfio || parent.gpu.is_some();
        let homes: HashSet<(FrameworkKind, &ParentId)> = parents
            .filter(on_functions)
            .map(|parent| (parent.framework, parent.home()))
            .collect();
        if homes.is_empty() {
            return Spoken::default();
        }
        let mut unrelated = Vec::new();
        if let [(framework, home)] = homes.iter().collect::<Vec<_>>().as_slice() {
            let all = context.store.of_parent(home, &mut unrelated);
            let all = all.unwrap_or_default();
            return Spoken::by(all.iter().filter(|one| one.framework == *framework));
        }
        let mut places = context.store.index(&mut unrelated).unwrap_or_default();
        places.retain(|at| homes.contains(&(at.framework, &at.parent)));
        let all = context.store.read_each(&places).into_iter().flatten();
        Spoken::by(all.collect::<Vec<_>>().iter())
    }

    /// What these definitions name.
    pub fn by<'d>(definitions: impl Iterator<Item = &'d Definition>) -> Spoken {
        let mut all: HashMap<ParentId, Vec<(Uuid, StartMode)>> = HashMap::new();
        for definition in definitions {
            if let Some(vf) = named(definition) {
                let claims = all.entry(vf.clone()).or_default();
                claims.push((definition.uuid, definition.start));
            }
        }
        Spoken(all)
    }

    /// What definitions of other UUIDs say of a function.
    pub fn claim(&self, vf: &ParentId, own: Option<Uuid>) -> Claim {
        match (self.keeper(vf, own), self.others(vf, own).next()) {
            (Some(_), _) => Claim::Auto,
            (None, Some(_)) => Claim::Manual,
            (None, None) => Claim::None,
        }
    }

    /// Whose definition, of another UUID, starts at boot and names this function.
    pub fn keeper(&self, vf: &ParentId, own: Option<Uuid>) -> Option<Uuid> {
        let mut others = self.others(vf, own);
        others
            .find(|(_, start)| *start == StartMode::Auto)
            .map(|(uuid, _)| uuid)
    }

    fn others(&self, vf: &ParentId, own: Option<Uuid>) -> impl Iterator<Item = (Uuid, StartMode)> {
        let claims = self.0.get(vf).into_iter().flatten().copied();
        claims.filter(move |(uuid, _)| Some(*uuid) != own)
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The function that a definition names; for a mediated device its parent, which may be one.
pub fn named(definition: &Definition) -> Option<&ParentId> {
    match definition.framework {
        FrameworkKind::Vfio => definition.vf.as_ref(),
        FrameworkKind::Mdev => Some(&definition.parent),
    }
}

/// Whether a vGPU on this parent still needs one of its functions.
pub fn needs_function(parent: &Parent) -> bool {
    parent.framework == FrameworkKind::Vfio && parent.gpu.is_none()
}

/// A function of a GPU, as a parent.
pub fn function_of(gpu: &Parent, vf: ParentId) -> Parent {
    Parent {
        id: vf,
        framework: gpu.framework,
        gpu: Some(gpu.gpu().clone()),
    }
}

/// A free function of a GPU for one of a type: rather one that no definition names, never one that is
/// kept for another. `taken` are those that are no longer free.
///
/// # Errors
/// [`Kind::NoCapacity`] where there is none, with the definitions that keep those that are free;
/// [`Kind::NotFound`] where there is no such type.
pub fn free_function(
    context: &Context<'_>,
    gpu: &Parent,
    id: &TypeId,
    own: Option<Uuid>,
    spoken: &Spoken,
    taken: &HashSet<ParentId>,
) -> Result<ParentId> {
    let framework = context.kernel.serving(gpu);
    let mut odd = Vec::new();
    for most in [Claim::None, Claim::Manual] {
        let skip = |vf: &ParentId| taken.contains(vf) || spoken.claim(vf, own) > most;
        let found = framework.open_functions(&gpu.id, id, 1, &skip, &mut odd)?;
        if let Some(first) = found.into_iter().next() {
            return Ok(first);
        }
    }
    let vgpu_type = framework.vgpu_type(&gpu.id, id, &mut Vec::new());
    let vgpu_type = vgpu_type.map_err(|error| error.with_unread(&odd))?;
    let label = super::capacity::label(&vgpu_type);
    let message = format!("no instance of {label} is free on {}", gpu.id);
    let error = Error::new(Kind::NoCapacity, message).with_unread(&odd);
    Err(error.hints(kept_line(&kept(context, gpu, id, own, spoken))))
}

/// The functions that could take one of a type and are kept for others, and for whom.
pub fn kept(
    context: &Context<'_>,
    gpu: &Parent,
    id: &TypeId,
    own: Option<Uuid>,
    spoken: &Spoken,
) -> Vec<(ParentId, Uuid)> {
    if spoken.is_empty() {
        return Vec::new();
    }
    let framework = context.kernel.serving(gpu);
    let skip = |vf: &ParentId| spoken.keeper(vf, own).is_none();
    let mut odd = Vec::new();
    let open = framework.open_functions(&gpu.id, id, usize::MAX, &skip, &mut odd);
    let open = open.unwrap_or_default().into_iter();
    open.filter_map(|vf| Some((vf.clone(), spoken.keeper(&vf, own)?)))
        .collect()
}

/// "its free virtual functions are kept for definitions that start at boot: 0000:41:00.4 for ...";
/// nothing where none is.
pub fn kept_line(kept: &[(ParentId, Uuid)]) -> Option<String> {
    let named: Vec<String> = kept
        .iter()
        .take(MOST_NAMED)
        .map(|(vf, uuid)| format!("{vf} for {uuid}"))
        .collect();
    let (what, all) = match kept {
        [] => return None,
        [_] => ("its only free virtual function is", named.join(", ")),
        few if few.len() <= MOST_NAMED => ("its free virtual functions are", named.join(", ")),
        many => (
            "its free virtual functions are",
            format!("{} and {} more", named.join(", "), many.len() - MOST_NAMED),
        ),
    };
    Some(format!(
        "{what} reserved for devices that start at boot: {all}"
    ))
}

/// Where a definition's device is made.
#[derive(Debug, Clone)]
pub struct Place {
    /// The parent, which is the function where it sits on one.
    pub parent: Parent,
    /// The function that its definition is to name.
    pub vf: Option<ParentId>,
    /// That this is another function than the definition names now, and why.
    pub moved: Option<Error>,
    /// Whether the function was chosen here, so that another would do as well.
    pub is_chosen: bool,
}

/// Finds out where a definition's device is to be made; `taken` are functions that others have by
/// then.
///
/// # Errors
/// [`Kind::NotFound`] where the parent, the function or its type is not there (yet);
/// [`Kind::NoCapacity`] where no function is free; a function of another GPU.
pub fn place_for(
    context: &Context<'_>,
    definition: &Definition,
    taken: &HashSet<ParentId>,
) -> Result<Place> {
    let settled = |parent: Parent| Place {
        parent,
        vf: definition.vf.clone(),
        moved: None,
        is_chosen: false,
    };
    let found = context.kernel.place_of(definition);
    let Some(vf) = definition.vf.as_ref() else {
        return match found? {
            parent if needs_function(&parent) => chosen(context, definition, &parent, taken, None),
            parent => Ok(settled(parent)),
        };
    };
    match found {
        Ok(parent) if parent.gpu.as_ref() != Some(&definition.parent) => {
            Err(not_of(context, definition, vf))
        }
        Ok(parent) => match rival(context, definition, &parent, taken) {
            None => Ok(settled(parent)),
            Some(why) => chosen(context, definition, &parent.whole(), taken, Some(&why)),
        },
        Err(error) => match is_gone(context, &definition.parent, vf) {
            false => Err(error),
            true => {
                let gpu = context
                    .kernel
                    .parent(&definition.parent, &mut Vec::new())
                    .map_err(|_| error)?;
                chosen(context, definition, &gpu, taken, Some("is gone"))
            }
        },
    }
}

fn chosen(
    context: &Context<'_>,
    definition: &Definition,
    gpu: &Parent,
    taken: &HashSet<ParentId>,
    why: Option<&str>,
) -> Result<Place> {
    let spoken = Spoken::on(context, std::iter::once(gpu));
    let (uuid, id) = (definition.uuid, &definition.type_id);
    let vf = free_function(context, gpu, id, Some(uuid), &spoken, taken)?;
    let moved = why.zip(definition.vf.as_ref());
    let moved = moved.map(|(why, old)| moves(uuid, old, why, &vf));
    Ok(Place {
        parent: function_of(gpu, vf.clone()),
        vf: Some(vf),
        moved,
        is_chosen: true,
    })
}

/// Why a definition cannot have its function as long as definitions stay as they are: another one that
/// names it starts at boot, and has it.
fn rival(
    context: &Context<'_>,
    definition: &Definition,
    function: &Parent,
    taken: &HashSet<ParentId>,
) -> Option<String> {
    let of_another = || "is also named by other definitions".to_owned();
    if taken.contains(&function.id) {
        return Some(of_another());
    }
    let (mut odd, framework) = (Vec::new(), context.kernel.serving(function));
    let id = &definition.type_id;
    let open = framework.open_functions(&function.id, id, 1, &|_| false, &mut odd);
    if open.is_ok_and(|open| !open.is_empty()) {
        return None;
    }
    let device = holder(context, &function.id)?;
    let Slot::OwnVf(_) = device.slot else {
        return None;
    };
    let other = context.store.read(&Location::of_device(&device)).ok()?;
    let has_it = other.start == StartMode::Auto && other.vf.as_ref() == Some(&function.id);
    (has_it && other.uuid != definition.uuid)
        .then(|| format!("is also named by the definition of {}", other.uuid))
}

/// The function that a definition's vGPU has at a boot that finds nothing running, and what is to be said
/// where that is another than the definition names; no function where it is not known yet. `functions`
/// are those of its GPU that are known, which may not be `all`; `taken` are those that others have by then.
///
/// # Errors
/// [`Kind::NoCapacity`] where each is taken, or kept for another.
pub fn slot_at_boot(
    definition: &Definition,
    functions: &[ParentId],
    all: bool,
    spoken: &Spoken,
    taken: &HashSet<ParentId>,
) -> Result<(Option<ParentId>, Option<Error>)> {
    let Definition {
        uuid, parent, vf, ..
    } = definition;
    let is_there = |vf: &ParentId| !all || functions.contains(vf);
    let own = vf.as_ref().filter(|vf| !taken.contains(*vf));
    if let Some(own) = own.filter(|vf| is_there(vf)) {
        return Ok((Some(own.clone()), None));
    }
    let free = functions.iter().filter(|vf| !taken.contains(*vf));
    let claims = free.map(|vf| (spoken.claim(vf, Some(*uuid)), vf));
    let open = claims.filter(|(claim, _)| *claim < Claim::Auto);
    // Of those that are alike, the first.
    let Some((_, chosen)) = open.min_by_key(|(claim, _)| *claim) else {
        if !all {
            return Ok((None, None));
        }
        let message = format!("no virtual function of {parent} is free for {uuid}");
        return Err(Error::new(Kind::NoCapacity, message).hint(format!(
            "see which vGPU uses which: vgpuctl list --defined --parent {parent}"
        )));
    };
    let why = |old: &ParentId| match is_there(old) {
        true => "is also named by other definitions",
        false => "is gone",
    };
    let moved = vf.as_ref().map(|old| moves(*uuid, old, why(old), chosen));
    Ok((Some(chosen.clone()), moved))
}

/// That a vGPU changes its function, and what to do about it.
fn moves(uuid: Uuid, old: &ParentId, why: &str, new: &ParentId) -> Error {
    let message = format!("{uuid} moves from {old}, which {why}, to {new}");
    Error::new(Kind::Failed, message).hint(format!(
        "update the virtual machine that uses it: vgpuctl attach {uuid}"
    ))
}

/// Writes the function of a device that is up into a definition of it that names none, so that it has
/// the same one after the next boot. Nothing where there is no such definition.
///
/// # Errors
/// The definition cannot be read or written, or is locked for long.
pub fn note_function(context: &Context<'_>, device: &Device) -> Result<()> {
    let at = Location::of_device(device);
    let names_none = |known: &Definition| known.vf.is_none();
    let Some(vf) = device
        .vf()
        .filter(|_| matches!(device.slot, Slot::OwnVf(_)))
    else {
        return Ok(());
    };
    if !if_present(context.store.read(&at))?.is_some_and(|known| names_none(&known)) {
        return Ok(());
    }
    let lock = context.store.lock(&at.parent)?;
    let now = if_present(context.store.read(&at))?.filter(names_none);
    let is_still_there = context.kernel.device(device.uuid)?.as_ref() == Some(device);
    match now.filter(|_| is_still_there) {
        Some(now) => context.store.write(
            &lock,
            &Definition {
                vf: Some(vf.clone()),
                ..now
            },
        ),
        None => Ok(()),
    }
}

/// As [`note_function`] for all of these. A definition that cannot be written works as it did without.
pub fn note_functions<'d>(context: &Context<'_>, devices: impl IntoIterator<Item = &'d Device>) {
    for device in devices {
        if let Err(error) = note_function(context, device) {
            log::warn!(
                "cannot record the virtual function of {} in its definition: {error}",
                device.uuid
            );
        }
    }
}

/// The function that a definition names or, where it names none, that its device has now, if that is
/// up on the definition's GPU.
pub fn function_now(context: &Context<'_>, definition: &Definition) -> Option<ParentId> {
    if definition.framework != FrameworkKind::Vfio || definition.vf.is_some() {
        return definition.vf.clone();
    }
    let device = context.kernel.device(definition.uuid).ok().flatten()?;
    let is_its = matches!(device.slot, Slot::OwnVf(_)) && device.parent == definition.parent;
    device.vf().filter(|_| is_its).cloned()
}

/// The vGPU that sits on a function now.
pub fn holder(context: &Context<'_>, vf: &ParentId) -> Option<Device> {
    let mut devices = context.kernel.devices(&mut Vec::new()).ok()?.into_iter();
    devices.find(|device| device.vf() == Some(vf) || device.parent == *vf)
}

/// Whether the GPU is there with all its functions, and this is none of them. Functions that are
/// switched off may come back.
pub fn is_gone(context: &Context<'_>, gpu: &ParentId, vf: &ParentId) -> bool {
    let found = context.kernel.sriov_gpu(gpu).ok().flatten();
    let is_another =
        found.is_some_and(|found| !found.functions.is_empty() && !found.functions.contains(vf));
    is_another && !context.kernel.functions_are_coming(gpu)
}

/// The error for a definition that names a function of another GPU.
pub fn not_of(context: &Context<'_>, definition: &Definition, vf: &ParentId) -> Error {
    let (uuid, gpu) = (definition.uuid, &definition.parent);
    Error::new(
        Kind::Failed,
        format!("the definition of {uuid} names {vf}, which is not a virtual function of {gpu}"),
    )
    .at(context.store.path(&Location::of(definition)))
    .hint(format!(
        "choose one of its functions (vgpuctl vfs {gpu}): vgpuctl modify {uuid} --vf VF, or --vf \
         any"
    ))
}

/// The functions of those that would start, one after the other, as they are chosen when they do.
pub fn foresee_functions<'c>(
    context: &Context<'_>,
    starting: impl Iterator<Item = (&'c Definition, &'c mut Change)>,
    with_reason: impl Fn(&Definition, Error) -> Error,
) {
    let mut taken = HashSet::new();
    for (definition, change) in starting {
        if !matches!(change.effect, Effect::Planned(_)) {
            continue;
        }
        match place_for(context, definition, &taken) {
            Ok(place) => {
                let function = place.parent.gpu.is_some().then_some(&place.parent.id);
                let is_new = function.is_none_or(|vf| taken.insert(vf.clone()));
                if !is_new {
                    change.effect = Effect::Failed(crowded(definition));
                }
                change.vf = place.vf;
                change.cautions = place.moved.into_iter().collect();
            }
            Err(error) => change.effect = Effect::Failed(with_reason(definition, error)),
        }
    }
}

/// A mediated device has its function as parent, and cannot go elsewhere by itself.
pub fn crowded(definition: &Definition) -> Error {
    let Definition { uuid, parent, .. } = definition;
    Error::new(
        Kind::NoCapacity,
        format!(
            "no room for {uuid}: {parent} holds only one vGPU, and another definition has \
             precedence"
        ),
    )
    .hint(format!(
        "make one of them manual: vgpuctl modify {uuid} --parent {parent} --manual"
    ))
}

/// A caution where another definition that starts at boot names the same function as this one, which
/// starts at boot too.
pub fn crowd_cautions(context: &Context<'_>, definition: &Definition) -> Warnings {
    let Some(vf) = named(definition).filter(|_| definition.start == StartMode::Auto) else {
        return Vec::new();
    };
    let is_function = definition.vf.is_some() || context.kernel.gpu_of(vf) != *vf;
    if !is_function {
        return Vec::new();
    }
    let all = context.store.of_parent(&definition.parent, &mut Vec::new());
    let all = all.unwrap_or_default();
    let spoken = Spoken::by(all.iter().filter(|d| d.framework == definition.framework));
    let uuid = definition.uuid;
    let other = spoken.keeper(vf, Some(uuid)).into_iter();
    let caution = other.map(|other| {
        let message = format!(
            "{uuid} and {other} both start at boot on the virtual function {vf}, which holds only \
             one vGPU"
        );
        let error = Error::new(Kind::NoCapacity, message);
        match definition.framework {
            FrameworkKind::Vfio => error.hint(format!(
                "move one of them to another function: vgpuctl modify {uuid} --vf any, or --manual"
            )),
            FrameworkKind::Mdev => error.hint(format!(
                "make one of them manual: vgpuctl modify {uuid} --parent {vf} --manual"
            )),
        }
    });
    caution.collect()
}
