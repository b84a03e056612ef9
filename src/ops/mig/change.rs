//! `mig enable`, `disable`, `create`, `destroy`: MIG mode and GPU instances changed with `nvidia-smi`.
//!
//! What came of a change is read again: `nvidia-smi` also succeeds without having done it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use super::super::vfs::refuse_used;
use super::{MigRequest, mig, named, not_found_smi, used_instances};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Patience;
use crate::model::ParentId;
use crate::ops::execute::refuse_held;
use crate::ops::{Answer, Context, MigGpu};
use crate::scripts::{Said, complaint};
use crate::smi::{GpuInstance, GpuMode, MigMode, Profile, Smi};
use crate::store::GpuInstanceSpec;
use crate::sysfs::SriovGpu;
use crate::text::{nearest, quoted};

/// A change of one GPU.
#[derive(Debug, Clone)]
pub struct MigChange {
    /// The GPU.
    pub gpu: ParentId,
    /// What to do.
    pub step: MigStep,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// What is done to a GPU.
#[derive(Debug, Clone)]
pub enum MigStep {
    /// Enables MIG mode.
    Enable,
    /// Disables MIG mode.
    Disable,
    /// Creates a GPU instance of each of these profiles, with a compute instance that takes all of it.
    Create(Vec<GpuInstanceSpec>),
    /// Destroys the GPU instances with these numbers, and their compute instances.
    Destroy(Vec<u32>),
}

/// A profile that the GPU has, and where to start.
struct Wanted {
    profile: Profile,
    start: Option<u32>,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            None => f.write_str(&self.profile.name),
            Some(start) => write!(f, "{}:{start}", self.profile.name),
        }
    }
}

/// Changes a GPU, and tells how it is then. A change of the mode is refused while the GPU has a vGPU, or a process
/// has one of its functions open; destroying GPU instances, while one of them has a vGPU.
///
/// # Errors
/// [`Kind::InUse`]; [`Kind::NotFound`]: no such GPU, profile or GPU instance, or no `nvidia-smi`;
/// [`Kind::NoCapacity`]: the profiles do not fit, and none of their instances is left behind;
/// [`Kind::Usage`]; [`Kind::Failed`]: with what `nvidia-smi` printed.
pub fn change_mig(context: &Context<'_>, change: &MigChange) -> Result<Answer<Vec<MigGpu>>> {
    let gpu = &change.gpu;
    let whole = context.kernel.gpu_of(gpu);
    if whole != *gpu {
        let what = format!("{gpu} is a virtual function of {whole}, and MIG is that GPU's");
        return Err(Error::new(Kind::Usage, what).hint(format!("specify the GPU: {whole}")));
    }
    let scene = Scene {
        dry_run: change.dry_run,
        ..Scene::of(context, gpu)?
    };
    let smi = scene.smi;
    // A rollback is part of the change: a signal ends the command after it.
    let _patience = Patience::begin();
    // Nobody else changes the GPU until it is read again below.
    let _lock = match change.dry_run {
        true => None,
        false => Some(context.store.lock(gpu)?),
    };
    let modes = smi.modes()?;
    let mode = named(&modes, gpu)?;
    let notes = match &change.step {
        MigStep::Enable => scene.switch(mode, MigMode::Enabled)?,
        MigStep::Disable => scene.switch(mode, MigMode::Disabled)?,
        MigStep::Create(profiles) => scene.create(mode, profiles)?,
        MigStep::Destroy(ids) => scene.destroy(mode, ids)?,
    };
    let request = MigRequest {
        gpu: Some(gpu.clone()),
    };
    let mut answer = mig(context, &request)?;
    answer.notes.splice(0..0, notes);
    Ok(answer)
}

/// Creates `count` GPU instances of a profile for vGPUs that are created on them next: all, or none.
///
/// # Errors
/// As [`change_mig`].
pub fn make_for(
    context: &Context<'_>,
    gpu: &ParentId,
    profile: &str,
    count: usize,
) -> Result<Vec<GpuInstance>> {
    let scene = Scene::of(context, gpu)?;
    let _lock = context.store.lock(gpu)?;
    let modes = scene.smi.modes()?;
    let mode = named(&modes, gpu)?;
    scene.refuse_other_mode(mode)?;
    let one = GpuInstanceSpec {
        profile: profile.to_owned(),
        start: None,
    };
    let wanted = scene.profiles(mode, &vec![one; count])?;
    scene.make(mode, &wanted)
}

/// Destroys those that [`make_for`] created, as far as they are still there.
///
/// # Errors
/// [`Kind::InUse`]: somebody else's vGPU is on one of them; what `nvidia-smi` printed.
pub fn destroy_again(context: &Context<'_>, gpu: &ParentId, made: &[GpuInstance]) -> Result<()> {
    let scene = Scene::of(context, gpu)?;
    let _lock = context.store.lock(gpu)?;
    let modes = scene.smi.modes()?;
    let mode = named(&modes, gpu)?;
    // An ID may be another GPU instance's by now.
    let mut left = scene.instances(mode)?;
    left.retain(|one| made.contains(one));
    let ids: Vec<u32> = left.iter().map(|one| one.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    scene.refuse_used_instances(&ids)?;
    scene.take_away(mode, &ids)
}

/// What boot is to do for MIG on one GPU.
pub struct MigAtBoot<'c, 'h> {
    scene: Scene<'c, 'h>,
    wanted: &'c [GpuInstanceSpec],
}

impl<'c, 'h> MigAtBoot<'c, 'h> {
    /// Where these GPU instances are to be on a GPU. The caller holds its lock.
    ///
    /// # Errors
    /// There is no `nvidia-smi`, or others could have written it.
    pub fn of(
        context: &'c Context<'h>,
        gpu: &'c ParentId,
        wanted: &'c [GpuInstanceSpec],
    ) -> Result<Self> {
        let scene = Scene::of(context, gpu)?;
        Ok(MigAtBoot { scene, wanted })
    }

    /// Whether the GPU is in MIG mode.
    ///
    /// # Errors
    /// It does not have MIG; `nvidia-smi` cannot be asked.
    pub fn is_enabled(&self) -> Result<bool> {
        let modes = self.scene.smi.modes()?;
        Ok(named(&modes, self.scene.gpu)?.current == MigMode::Enabled)
    }

    /// Enables MIG mode.
    ///
    /// # Errors
    /// A vGPU is on the GPU, or one of its functions is open; it cannot be enabled, or only takes effect later.
    pub fn enable(&self) -> Result<()> {
        let modes = self.scene.smi.modes()?;
        let gpu = self.scene.gpu;
        self.scene.switch(named(&modes, gpu)?, MigMode::Enabled)?;
        match self.is_enabled()? {
            true => Ok(()),
            false => {
                let what = format!("MIG mode of {gpu} is enabled only after a reset of the GPU");
                Err(Error::new(Kind::InUse, what).hint(format!(
                    "stop all programs that use the GPU, then: nvidia-smi --gpu-reset -i {gpu}"
                )))
            }
        }
    }

    /// The GPU instances that are still to be created, as they are named in settings.
    ///
    /// # Errors
    /// The GPU has no such profile, or too few of its instances fit; `nvidia-smi` cannot be asked.
    pub fn missing(&self) -> Result<Vec<String>> {
        let modes = self.scene.smi.modes()?;
        let missing = self.find_missing(named(&modes, self.scene.gpu)?)?;
        let names = listed(&missing, ", ");
        self.scene.refuse_more_than_free(&missing, &names)?;
        self.scene
            .refuse_without_place(named(&modes, self.scene.gpu)?, &missing, &names)?;
        Ok(missing.iter().map(Wanted::to_string).collect())
    }

    /// Creates them: all, or none. Others stay as they are.
    ///
    /// # Errors
    /// [`Kind::NoCapacity`]: they do not fit; what `nvidia-smi` printed.
    pub fn create_missing(&self) -> Result<Vec<String>> {
        let modes = self.scene.smi.modes()?;
        let mode = named(&modes, self.scene.gpu)?;
        self.scene.refuse_other_mode(mode)?;
        let missing = self.find_missing(mode)?;
        if !missing.is_empty() {
            self.scene.make(mode, &missing)?;
        }
        Ok(missing.iter().map(Wanted::to_string).collect())
    }

    /// The numbers of the GPU instances that there are.
    ///
    /// # Errors
    /// `nvidia-smi` cannot be asked.
    pub fn instance_ids(&self) -> Result<Vec<u32>> {
        let modes = self.scene.smi.modes()?;
        let there = self.scene.instances(named(&modes, self.scene.gpu)?)?;
        Ok(there.iter().map(|one| one.id).collect())
    }

    /// Destroys the GPU instances with these numbers.
    ///
    /// # Errors
    /// What `nvidia-smi` printed.
    pub fn destroy(&self, ids: &[u32]) -> Result<()> {
        let modes = self.scene.smi.modes()?;
        let mode = named(&modes, self.scene.gpu)?;
        self.scene.take_away(mode, ids)
    }

    /// Disables MIG mode.
    ///
    /// # Errors
    /// A vGPU is on the GPU, or it has GPU instances; it cannot be disabled.
    pub fn disable(&self) -> Result<()> {
        let modes = self.scene.smi.modes()?;
        let mode = named(&modes, self.scene.gpu)?;
        self.scene.switch(mode, MigMode::Disabled).map(drop)
    }

    /// The largest first, which leaves the most places for the others.
    fn find_missing(&self, mode: &GpuMode) -> Result<Vec<Wanted>> {
        let mut there = self.scene.instances(mode)?;
        let mut missing = self.scene.profiles(mode, self.wanted)?;
        missing.retain(|wanted| {
            let is_it = |one: &GpuInstance| {
                let is_there = wanted.start.is_none_or(|start| start == one.start);
                one.profile == wanted.profile.id && is_there
            };
            let found = there.iter().position(is_it);
            found.map(|at| there.remove(at)).is_none()
        });
        missing.sort_by_key(|wanted| Reverse(wanted.profile.memory_mib));
        Ok(missing)
    }
}

/// Whether instances with these possible starts and sizes have room beside what is taken, as (start, size).
fn can_place(taken: &mut Vec<(u32, u32)>, wanted: &[(Vec<u32>, u32)]) -> bool {
    let Some(((starts, size), others)) = wanted.split_first() else {
        return true;
    };
    starts.iter().any(|start| {
        let is_clear = |(at, length): &(u32, u32)| at + length <= *start || start + size <= *at;
        if !taken.iter().all(is_clear) {
            return false;
        }
        taken.push((*start, *size));
        let fits = can_place(taken, others);
        taken.pop();
        fits
    })
}

/// Where a change takes place.
struct Scene<'c, 'h> {
    context: &'c Context<'h>,
    smi: Smi<'h>,
    gpu: &'c ParentId,
    dry_run: bool,
}

impl<'c, 'h> Scene<'c, 'h> {
    /// A change that is made.
    fn of(context: &'c Context<'h>, gpu: &'c ParentId) -> Result<Self> {
        let smi = Smi::of(context.host)?.ok_or_else(|| not_found_smi(context, Some(gpu)))?;
        Ok(Scene {
            context,
            smi,
            gpu,
            dry_run: false,
        })
    }
}

impl Scene<'_, '_> {
    /// The functions of the GPU; none for one that cannot have any.
    fn functions(&self) -> Result<SriovGpu> {
        let found = self.context.kernel.sriov_gpu(self.gpu)?;
        Ok(found.unwrap_or_else(|| SriovGpu {
            gpu: self.gpu.clone(),
            total: 0,
            functions: Vec::new(),
        }))
    }

    fn instances(&self, mode: &GpuMode) -> Result<Vec<GpuInstance>> {
        let mut all = self.smi.gpu_instances()?;
        all.retain(|one| one.index == mode.index);
        Ok(all)
    }

    /// Why `nvidia-smi` did not do it.
    fn failed(&self, what: &str, said: &Said) -> Error {
        complaint(what, said).at(self.context.host.nvidia_smi())
    }

    fn switch(&self, mode: &GpuMode, wanted: MigMode) -> Result<Vec<String>> {
        let gpu = self.gpu;
        if mode.current == wanted && mode.pending == wanted {
            return Ok(vec![format!("MIG mode of {gpu} is already {wanted}")]);
        }
        let functions = self.functions()?;
        refuse_used(self.context, &functions, MODE)?;
        let instances = self.instances(mode)?;
        if wanted == MigMode::Disabled && !instances.is_empty() {
            let ids = listed(instances.iter().map(|one| one.id), " ");
            let what = format!("{gpu} has GPU instances, which disabling MIG mode would destroy");
            return Err(Error::new(Kind::InUse, what).hint(format!(
                "destroy them first: vgpuctl mig destroy {ids} --gpu {gpu}"
            )));
        }
        let verb = match wanted {
            MigMode::Enabled => "enable",
            _ => "disable",
        };
        if self.dry_run {
            return Ok(vec![format!("would {verb} MIG mode of {gpu}")]);
        }
        let said = self.smi.set_mode(gpu, wanted == MigMode::Enabled)?;
        let modes = self.smi.modes()?;
        let now = named(&modes, gpu)?;
        if now.pending != wanted {
            let error = self.failed(&format!("cannot {verb} MIG mode of {gpu}"), &said);
            return Err(match functions.functions.is_empty() {
                true => error.hint(
                    "no program may be using the GPU: stop nvidia-persistenced, DCGM and monitoring, then repeat",
                ),
                false => error.hint(format!(
                    "its virtual functions are enabled; disable them, repeat, and enable them again: \
                     vgpuctl vfs disable {gpu}"
                )),
            });
        }
        let mut notes = Vec::new();
        if now.current == wanted {
            notes.push(format!("{verb}d MIG mode of {gpu}"));
        }
        if wanted == MigMode::Enabled {
            notes.push(
                "on Hopper and newer GPUs, MIG mode does not survive a reboot: enable it again then"
                    .to_owned(),
            );
        }
        Ok(notes)
    }

    fn create(&self, mode: &GpuMode, wanted: &[GpuInstanceSpec]) -> Result<Vec<String>> {
        let gpu = self.gpu;
        self.refuse_other_mode(mode)?;
        let wanted = self.profiles(mode, wanted)?;
        let functions = self.functions()?;
        let names = listed(&wanted, ", ");
        if self.dry_run {
            self.refuse_more_than_free(&wanted, &names)?;
            return Ok(vec![format!("would create on {gpu}: {names}")]);
        }
        let made = self.make(mode, &wanted)?;
        let mut notes: Vec<String> = made
            .iter()
            .map(|one| {
                format!(
                    "created GPU instance {} ({}) on {gpu}",
                    one.id, one.profile_name
                )
            })
            .collect();
        notes.push(
            "GPU instances do not survive a reboot, and are destroyed when virtual functions are enabled or \
             disabled"
                .to_owned(),
        );
        if functions.total > 0 && functions.functions.is_empty() {
            notes.push(format!(
                "the virtual functions of {gpu} are disabled, and enabling them destroys GPU instances: \
                 enable them first: vgpuctl vfs enable {gpu}"
            ));
        }
        Ok(notes)
    }

    /// Creates all of these or, where one fails, none.
    fn make(&self, mode: &GpuMode, wanted: &[Wanted]) -> Result<Vec<GpuInstance>> {
        let gpu = self.gpu;
        let names = listed(wanted, ", ");
        self.refuse_more_than_free(wanted, &names)?;
        let before = self.instances(mode)?;
        let is_new = |one: &GpuInstance| before.iter().all(|other| other.id != one.id);
        let arguments = wanted.iter().map(|one| match one.start {
            None => one.profile.id.to_string(),
            Some(start) => format!("{}:{start}", one.profile.id),
        });
        let said = self
            .smi
            .create_gpu_instances(gpu, &listed(arguments, ","))?;
        let mut made = self.instances(mode)?;
        made.retain(is_new);
        if made.len() < wanted.len() || !said.claims_success() {
            let what = format!("cannot create on {gpu}: {names}");
            let mut error = self.failed(&what, &said);
            if said.text.contains(NO_ROOM) {
                error = error.with_kind(Kind::NoCapacity).hint(format!(
                    "the position of the existing GPU instances matters; see: vgpuctl mig {gpu}"
                ));
            }
            let ids: Vec<u32> = made.iter().map(|one| one.id).collect();
            return Err(match ids.is_empty() {
                true => error,
                false => error.and_clean_up(self.take_away(mode, &ids)),
            });
        }
        Ok(made)
    }

    fn refuse_other_mode(&self, mode: &GpuMode) -> Result<()> {
        let gpu = self.gpu;
        match mode.current {
            MigMode::Enabled => Ok(()),
            _ => Err(
                Error::new(Kind::Usage, format!("GPU {gpu} is not in MIG mode"))
                    .hint(format!("enable it: vgpuctl mig enable {gpu}")),
            ),
        }
    }

    /// The profiles that are meant, in the order in which they were named.
    fn profiles(&self, mode: &GpuMode, wanted: &[GpuInstanceSpec]) -> Result<Vec<Wanted>> {
        let mut known = self.smi.profiles()?;
        known.retain(|one| one.index == mode.index);
        let placements = match wanted.iter().any(|one| one.start.is_some()) {
            true => self.smi.placements()?,
            false => Vec::new(),
        };
        let find = |wanted: &GpuInstanceSpec| {
            let which = wanted.profile.as_str();
            let found = known
                .iter()
                .find(|one| one.name == which || one.id.to_string() == which);
            let Some(profile) = found else {
                let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
                let what = format!("GPU {} has no profile {}", self.gpu, quoted(which));
                let error = Error::new(Kind::NotFound, what);
                return Err(match nearest(which, names.iter().copied()) {
                    Some(name) => error.hint(format!("did you mean {name}?")),
                    None => error,
                }
                .hint(format!("its profiles: {}", names.join(", "))));
            };
            let mut placements = placements.iter();
            let is_its = |one: &&crate::smi::Placements| {
                (one.index, one.profile) == (mode.index, profile.id)
            };
            if let (Some(start), Some(possible)) = (wanted.start, placements.find(is_its))
                && !possible.starts.contains(&start)
            {
                let what = format!("instances of {} cannot start at {start}", profile.name);
                let starts = listed(&possible.starts, ", ");
                return Err(Error::new(Kind::Usage, what).hint(format!("they can at: {starts}")));
            }
            Ok(Wanted {
                profile: profile.clone(),
                start: wanted.start,
            })
        };
        wanted.iter().map(find).collect()
    }

    /// Refuses more instances of a profile than the driver says are free: it then need not be asked.
    fn refuse_more_than_free(&self, wanted: &[Wanted], names: &str) -> Result<()> {
        for Wanted { profile, .. } in wanted {
            let same = wanted.iter().filter(|one| one.profile.id == profile.id);
            if same.count() > profile.free as usize {
                let (gpu, name) = (self.gpu, &profile.name);
                let what = format!("cannot create on {gpu}: {names}");
                let free = match profile.free {
                    0 => format!("no more instance of {name} fits now"),
                    free => format!("at most {free} more of {name} fit now"),
                };
                return Err(Error::new(Kind::NoCapacity, what).hint(format!(
                    "{free} ({} on an empty GPU); see: vgpuctl mig {gpu}",
                    profile.total
                )));
            }
        }
        Ok(())
    }

    /// Refuses instances that cannot all have a place beside those that are there, in any order.
    fn refuse_without_place(&self, mode: &GpuMode, wanted: &[Wanted], names: &str) -> Result<()> {
        let mut placements = self.smi.placements()?;
        placements.retain(|one| one.index == mode.index);
        let mut taken: Vec<(u32, u32)> = Vec::new();
        for one in self.instances(mode)? {
            taken.push((one.start, one.size));
        }
        let places = wanted.iter().map(|one| {
            let its = placements
                .iter()
                .find(|place| place.profile == one.profile.id)?;
            let starts = match one.start {
                Some(start) => vec![start],
                None => its.starts.clone(),
            };
            Some((starts, its.size))
        });
        // The driver does not say it of all: then it decides.
        let Some(places) = places.collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        if can_place(&mut taken, &places) {
            return Ok(());
        }
        let gpu = self.gpu;
        let what = format!("cannot create on {gpu}: {names}: they do not all fit at once");
        Err(Error::new(Kind::NoCapacity, what)
            .hint(format!("where instances can start: vgpuctl mig {gpu}")))
    }

    fn destroy(&self, mode: &GpuMode, ids: &[u32]) -> Result<Vec<String>> {
        let gpu = self.gpu;
        let ids: Vec<u32> = ids
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let before = self.instances(mode)?;
        let mut found = Vec::new();
        for id in &ids {
            let Some(instance) = before.iter().find(|one| one.id == *id) else {
                let error = Error::new(
                    Kind::NotFound,
                    format!("GPU {gpu} has no GPU instance {id}"),
                );
                return Err(match before.is_empty() {
                    true => error.hint("it has no GPU instances"),
                    false => error.hint(format!(
                        "its GPU instances: {}",
                        listed(before.iter().map(|one| one.id), ", ")
                    )),
                });
            };
            found.push(format!("{id} ({})", instance.profile_name));
        }
        self.refuse_used_instances(&ids)?;
        let all = found.join(", ");
        if self.dry_run {
            return Ok(vec![format!("would destroy GPU instances of {gpu}: {all}")]);
        }
        self.take_away(mode, &ids)?;
        Ok(vec![format!("destroyed GPU instances of {gpu}: {all}")])
    }

    /// Refuses while a vGPU is on one of these GPU instances, or may be.
    fn refuse_used_instances(&self, ids: &[u32]) -> Result<()> {
        let (gpu, mut doubts) = (self.gpu, Vec::new());
        let mut used = used_instances(self.context, &mut doubts)?;
        used.retain(|(device, _)| self.context.kernel.gpu_of(&device.parent) == *gpu);
        let is_meant = |id: Option<u32>| id.is_some_and(|id| ids.contains(&id));
        if let Some((device, Some(id))) = used.iter().find(|(_, id)| is_meant(*id)) {
            refuse_held(self.context, device)?;
            let (name, what) = (device.name(), "which destroying it would destroy");
            let what = format!("GPU instance {id} of {gpu} has the vGPU {name}, {what}");
            let error = Error::new(Kind::InUse, what);
            return Err(error.hint(format!("stop it first: vgpuctl stop {name}")));
        }
        let dirs = self.functions()?.functions.into_iter().chain([gpu.clone()]);
        let dirs: Vec<_> = dirs
            .map(|id| self.context.host.pci_devices().join(id.as_str()))
            .collect();
        let is_here = |doubt: &Error| {
            let path = doubt.path();
            path.is_none_or(|path| dirs.iter().any(|dir| path.starts_with(dir)))
        };
        if let Some(doubt) = doubts.into_iter().find(is_here) {
            return Err(doubt.hint(format!(
                "a vGPU may be on a GPU instance that was to be destroyed; see: vgpuctl mig {gpu}"
            )));
        }
        match used.iter().find(|(_, id)| id.is_none()) {
            None => Ok(()),
            Some((device, _)) => {
                let name = device.name();
                let what = format!("cannot tell which GPU instance of {gpu} the vGPU {name} is on");
                let error = Error::new(Kind::InUse, what);
                Err(error.hint(format!("stop it first: vgpuctl stop {name}")))
            }
        }
    }

    /// Destroys these GPU instances; the first step, which destroys their compute instances, fails where there
    /// are none.
    fn take_away(&self, mode: &GpuMode, ids: &[u32]) -> Result<()> {
        let gpu = self.gpu;
        let first = self.smi.destroy_compute_instances(gpu, ids)?;
        let second = self.smi.destroy_gpu_instances(gpu, ids)?;
        let mut left = self.instances(mode)?;
        left.retain(|one| ids.contains(&one.id));
        if left.is_empty() {
            return Ok(());
        }
        let left = listed(left.iter().map(|one| one.id), ", ");
        let what = format!("cannot destroy GPU instances of {gpu}: {left}");
        let error = self.failed(&what, &second);
        Err(match first.claims_success() || first.text.is_empty() {
            true => error,
            false => error.hint(format!(
                "of their compute instances it printed: {}",
                first.text
            )),
        })
    }
}

/// Why vGPUs prevent a change of the mode.
const MODE: &str = "which changing its MIG mode would destroy";

/// What `nvidia-smi` prints where no placement is free.
const NO_ROOM: &str = "Insufficient Resources";

fn listed(items: impl IntoIterator<Item = impl fmt::Display>, between: &str) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(between)
}
