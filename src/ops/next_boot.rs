//! What the next boot does: as if nothing ran now. Every active device is gone, virtual functions are
//! off unless boot switches them on, and sizes are what settings say.

use std::collections::HashSet;

use super::cautions::AtBoot;
use super::functions::{Spoken, crowded, is_gone, not_of, slot_at_boot};
use super::home::switched_off;
use super::inventory::{active_on, inventory_of_these};
use super::moved::{Moves, moved_settings_hint};
use super::prepare;
use super::restore::{Job, Work, contested, with_move};
use super::start::{Brought, as_change};
use super::vfs::refuse_no_gpu;
use super::{Action, Change, Context, Effect};
use crate::dir::Dir;
use crate::error::{Error, Kind, Result, Warnings};
use crate::host::Host;
use crate::model::{Definition, FrameworkKind, Parent, ParentId, VgpuType};
use crate::store::{FunctionsAtBoot, GpuInstanceSpec, GpuSettings};

/// What becomes of a GPU and its devices, in order, and what cannot be told of that.
pub fn next_boot(
    context: &Context<'_>,
    gpu: &ParentId,
    work: &Work,
    moves: &Moves,
) -> (Vec<Change>, Warnings) {
    let first = first_of_all(context, gpu, &work.settings);
    // What is known to fail for its own reasons takes no room.
    let jobs = work.in_order(context, gpu);
    let found: Vec<Result<Place>> = jobs
        .iter()
        .map(|job| place(context, gpu, &work.settings, job, moves))
        .collect();
    let of_gpu = found
        .iter()
        .flatten()
        .next()
        .map(|place| place.parent.clone());
    let inventory = of_gpu.as_ref().map(|parent| {
        let types = found.iter().flatten().map(|place| &place.vgpu_type);
        inventory_of_these(context, parent, types)
    });
    let mut room = of_gpu
        .as_ref()
        .zip(inventory.as_ref())
        .map(|(parent, inventory)| AtBoot::of(context, parent, inventory));
    let functions = context.kernel.sriov_gpu(gpu).ok().flatten();
    // Boot switches on as many as there can be, whatever is on now.
    let all = functions
        .as_ref()
        .is_some_and(|found| usize::try_from(found.total) == Ok(found.functions.len()));
    let functions = functions.map_or_else(Vec::new, |found| found.functions);
    let spoken = Spoken::by(work.jobs.iter().map(|job| &job.definition));
    let mut taken = HashSet::new();
    let mut devices = Vec::new();
    for (job, found) in jobs.into_iter().zip(&found) {
        let mut definition = job.definition.clone();
        let outcome = match (found, &mut room) {
            (Err(error), _) => Err(error.clone()),
            (Ok(place), Some(room)) => {
                let vendor_vfs = match (definition.framework, &place.function) {
                    (FrameworkKind::Vfio, _) => {
                        slot_at_boot(&definition, &functions, all, &spoken, &taken)
                    }
                    (FrameworkKind::Mdev, Some(vf)) if taken.contains(vf) => {
                        Err(crowded(&definition))
                    }
                    (FrameworkKind::Mdev, function) => Ok((function.clone(), None)),
                };
                vendor_vfs.and_then(|(function, moved)| {
                    room.admit(&place.vgpu_type)?;
                    taken.extend(function.clone());
                    Ok((function, moved))
                })
            }
            (Ok(_), None) => Ok((None, None)),
        };
        let brought = match outcome {
            Ok((function, moved)) => {
                if definition.framework == FrameworkKind::Vfio {
                    definition.vf = function.or(definition.vf);
                }
                Brought {
                    effect: Effect::Planned(Action::Start),
                    cautions: moved.into_iter().collect(),
                }
            }
            Err(error) => Effect::Failed(error).into(),
        };
        devices.push(as_change(context, definition, brought));
    }
    devices.sort_by(|a, b| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
    let changes = first.into_iter().chain(devices).collect();
    let is_guess = |place: &&Place| place.vgpu_type.framebuffer_mib().is_none() && place.is_to_come;
    let guesses = found.iter().flatten().filter(is_guess).count();
    let doubt = (guesses > 1).then(|| {
        let message = format!(
            "cannot tell whether {gpu} has room for all of them while its virtual functions are off"
        );
        Error::new(Kind::NotFound, message)
            .hint(format!("to switch them on: vgpuctl vfs enable {gpu}"))
    });
    (changes, doubt.into_iter().collect())
}

/// What the GPU's settings ask for. GPU instances are lost at a reboot, and MIG mode on some GPUs.
fn first_of_all(context: &Context<'_>, gpu: &ParentId, settings: &GpuSettings) -> Vec<Change> {
    if *settings == GpuSettings::default() {
        return Vec::new();
    }
    if let Err(error) = refuse_no_gpu(context, gpu).and_then(|()| prepare::count(context, gpu)) {
        let error = error.hints(moved_settings_hint(context, gpu));
        return vec![prepare::as_change(gpu, Effect::Failed(error))];
    }
    let mut planned = Vec::new();
    if settings.functions == FunctionsAtBoot::Enable {
        planned.push(Effect::WouldEnable);
    }
    if !settings.mig.is_empty() {
        let names = settings.mig.iter().map(GpuInstanceSpec::to_string);
        planned.push(Effect::WouldCreateInstances(names.collect()));
    }
    let planned = planned.into_iter();
    planned
        .map(|effect| prepare::as_change(gpu, effect))
        .collect()
}

/// Where a device will be, and what it takes there.
struct Place {
    /// The parent, or the GPU where its functions take types.
    parent: Parent,
    /// The one function that it must have.
    function: Option<ParentId>,
    /// Its type as far as that is known.
    vgpu_type: VgpuType,
    /// The function or its types are not there now.
    is_to_come: bool,
}

fn place(
    context: &Context<'_>,
    gpu: &ParentId,
    settings: &GpuSettings,
    job: &Job,
    moves: &Moves,
) -> Result<Place> {
    let definition = &job.definition;
    if let Some(rival) = &job.rival {
        return Err(contested(definition, rival));
    }
    let comes_back = |gpu: &ParentId| {
        let own = context
            .store
            .settings_of(gpu)
            .unwrap_or_else(|_| settings.clone());
        own.functions == FunctionsAtBoot::Enable || is_switched_by_another(context.host)
    };
    let parent = match context.kernel.place_of(definition) {
        Ok(parent) => match definition.vf.as_ref() {
            Some(vf) if parent.gpu.as_ref() != Some(&definition.parent) => {
                return Err(not_of(context, definition, vf));
            }
            _ => parent,
        },
        Err(error) => {
            let vf = definition.vf.as_ref();
            let is_gone = vf.is_some_and(|vf| is_gone(context, &definition.parent, vf));
            let off = switched_off(context, &definition.parent);
            match off.filter(|_| error.kind() == Kind::NotFound) {
                _ if is_gone => context.kernel.parent(&definition.parent, &mut Vec::new())?,
                Some(gpu) if comes_back(&gpu) => return Ok(to_come(context, &gpu, definition)),
                Some(gpu) => return Err(functions_off(&gpu)),
                None => return Err(with_move(context, moves, definition, error)),
            }
        }
    };
    let on_function = parent.gpu.is_some() || parent.framework == FrameworkKind::Vfio;
    if on_function && !comes_back(parent.gpu()) {
        return Err(functions_off(gpu));
    }
    let function = Some(parent.id.clone()).filter(|id| id != parent.gpu());
    // What one function has free says nothing of its GPU.
    let parent = match parent.framework {
        FrameworkKind::Vfio => parent.whole(),
        FrameworkKind::Mdev => parent,
    };
    let framework = context.kernel.serving(&parent);
    let found = framework.vgpu_type(&parent.id, &definition.type_id, &mut Vec::new());
    let vgpu_type = match found {
        Ok(vgpu_type) if parent.gpu.is_some() => vgpu_type.with_free(None),
        Ok(vgpu_type) => vgpu_type,
        // What a GPU holds keeps it from listing what it offers otherwise.
        Err(error) if error.kind() == Kind::NotFound && parent.framework == FrameworkKind::Vfio => {
            match active_on(context, &parent).is_empty() {
                true => return Err(error),
                false => unlisted_type(context, parent.gpu(), definition),
            }
        }
        Err(error) => return Err(error),
    };
    Ok(Place {
        parent,
        function,
        vgpu_type,
        is_to_come: false,
    })
}

/// The same where functions are off now, and on then.
fn to_come(context: &Context<'_>, gpu: &ParentId, definition: &Definition) -> Place {
    let function = definition.vf.as_ref().or(match definition.framework {
        FrameworkKind::Mdev => Some(&definition.parent),
        FrameworkKind::Vfio => None,
    });
    Place {
        parent: Parent {
            id: gpu.clone(),
            framework: definition.framework,
            gpu: None,
        },
        function: function.cloned(),
        vgpu_type: unlisted_type(context, gpu, definition),
        is_to_come: true,
    }
}

/// A type that nobody lists now, by the name that is remembered of it.
fn unlisted_type(context: &Context<'_>, gpu: &ParentId, definition: &Definition) -> VgpuType {
    let id = &definition.type_id;
    let name = context.kernel.type_name(gpu, id, &mut Vec::new());
    VgpuType::unlisted(id.clone(), name, None)
}

fn functions_off(gpu: &ParentId) -> Error {
    Error::new(
        Kind::NotFound,
        format!("the virtual functions of {gpu} are off after a reboot"),
    )
    .hint(format!(
        "to switch them on at each boot: vgpuctl vfs enable {gpu} --at-boot"
    ))
}

/// Whether a unit with SR-IOV in its name is enabled, as Proxmox VE's pve-nvidia-sriov@, which
/// switches functions on before ours.
pub fn is_switched_by_another(host: &Host) -> bool {
    let names = |dir: &Dir| -> Vec<String> {
        let listed = Dir::open(dir.path()).and_then(|mut dir| dir.entries());
        let listed = listed.unwrap_or_default().into_iter();
        listed
            .filter_map(|entry| entry.name.to_str().map(str::to_owned))
            .collect()
    };
    host.unit_dirs().into_iter().any(|dir| {
        let Ok(dir) = Dir::open(dir) else {
            return false;
        };
        let wants = names(&dir)
            .into_iter()
            .filter(|name| name.ends_with(".wants"));
        let mut wanted = wants.filter_map(|name| dir.open_dir(name).ok());
        wanted.any(|wants| names(&wants).iter().any(|unit| unit.contains("sriov")))
    })
}
