//! The GPU instances that MIG-backed types need: why none is free, and those that `--make-instance` creates first.

use super::begun::refuse_active;
use super::{CreateRequest, Persistence, create_plainly};
use crate::error::{Error, Kind, Result};
use crate::interrupt::{Patience, refuse_if_asked};
use crate::model::{Device, ParentId, StartMode, TypeId, VgpuType};
use crate::nvidia::{NVIDIA, TypeName, card, may_be_of, short_name};
use crate::ops::choose::offers;
use crate::ops::mig::{Count, MigGpu, destroy_again, make_for, with_profiles};
use crate::ops::tenant::refuse_uuid;
use crate::ops::{Action, Change, Context, Effect, Report};
use crate::sysfs::Controller;
use crate::text::quoted;

/// What is asked for, of a MIG-backed type.
struct Wanted {
    name: TypeName,
    /// The type itself, where it is listed.
    listed: Option<VgpuType>,
    /// "H100XM-1-10C".
    label: String,
    profile: String,
    count: u32,
}

/// A GPU that may have the GPU instances.
struct Candidate {
    gpu: ParentId,
    /// `None` while it is not in MIG mode.
    instances: Option<Count>,
    /// Whether its virtual functions are off, on which vGPUs would be.
    has_no_functions: bool,
}

impl Wanted {
    /// `None` for a type that is not MIG-backed, or of which that is not known.
    fn of(context: &Context<'_>, request: &CreateRequest) -> Option<Wanted> {
        let offers = offers(context, &request.type_name, request.parent.as_ref());
        let listed = offers.unwrap_or_default().into_iter().next();
        let listed = listed.map(|offer| offer.vgpu_type);
        let name = match &listed {
            Some(vgpu_type) => vgpu_type.name_parts(),
            None => TypeName::parse(&request.type_name),
        }?;
        let label = match &listed {
            Some(vgpu_type) => vgpu_type.short_name().to_owned(),
            None => short_name(&request.type_name).to_owned(),
        };
        Some(Wanted {
            profile: name.gpu_instance_profile()?,
            count: u32::try_from(request.count).unwrap_or(u32::MAX),
            label,
            listed,
            name,
        })
    }

    /// The GPUs on which it could be, once they have the GPU instances.
    fn candidates(&self, context: &Context<'_>, only: Option<&ParentId>) -> Result<Vec<Candidate>> {
        let only = only.map(|parent| context.kernel.gpu_of(parent));
        let mut gpus = with_profiles(context)?;
        gpus.retain(|gpu| only.as_ref().is_none_or(|only| gpu.gpu == *only));
        let controllers = context.kernel.display_controllers(&mut Vec::new())?;
        let is_its = |gpu: &MigGpu| {
            let mut controllers = controllers.iter();
            let controller = controllers.find(|one| one.id == gpu.gpu);
            controller.is_none_or(|controller| self.may_be_on(controller))
        };
        let candidate = |gpu: MigGpu| {
            let profile = gpu.profile_for(&self.name);
            let unplaced = gpu.unplaced.iter();
            let unplaced = unplaced.filter(|device| self.has_same_profile(context, device));
            let unplaced = u32::try_from(unplaced.count()).unwrap_or(u32::MAX);
            let count = |profile| {
                let count = gpu.count(profile);
                Count {
                    free: count.free.saturating_sub(unplaced),
                    ..count
                }
            };
            let instances = profile.map(count);
            // Older drivers list no profiles outside MIG mode.
            let is_listed = gpu.is_enabled() || !gpu.profiles.is_empty();
            if instances.is_none() && is_listed {
                return None;
            }
            let found = context.kernel.sriov_gpu(&gpu.gpu).ok().flatten();
            Some(Candidate {
                instances: instances.filter(|_| gpu.is_enabled()),
                has_no_functions: found.is_some_and(|one| one.functions.is_empty()),
                gpu: gpu.gpu,
            })
        };
        let gpus = gpus.into_iter().filter(|gpu| is_its(gpu));
        Ok(gpus.filter_map(candidate).collect())
    }

    /// Whether a vGPU is on a GPU instance of this profile, as its type's name tells.
    fn has_same_profile(&self, context: &Context<'_>, device: &Device) -> bool {
        let name = context
            .kernel
            .type_name(&device.parent, &device.type_id, &mut Vec::new());
        let name = name.and_then(|name| TypeName::parse(&name));
        name.and_then(|name| name.gpu_instance_profile()).as_ref() == Some(&self.profile)
    }

    /// Whether the host has a card that it may be a type of.
    fn has_card(&self, context: &Context<'_>) -> bool {
        let controllers = context.kernel.display_controllers(&mut Vec::new());
        let mut controllers = controllers.unwrap_or_default().into_iter();
        controllers.any(|one| {
            let vendor = one.pci.numbers().map(|(vendor, _)| vendor);
            vendor == Some(NVIDIA) && self.may_be_on(&one)
        })
    }

    /// A card that is not in the table may be any.
    fn may_be_on(&self, controller: &Controller) -> bool {
        let numbers = controller.pci.numbers();
        let card = numbers.and_then(|(vendor, device)| card(vendor, device));
        card.is_none_or(|card| card.has_mig() && may_be_of(&self.name, card))
    }

    fn no_room(&self, candidates: &[Candidate]) -> Error {
        let Wanted { profile, label, .. } = self;
        let gpus: Vec<&str> = candidates.iter().map(|one| one.gpu.as_str()).collect();
        let gpus = gpus.join(", ");
        let message = match self.count {
            1 => format!("no GPU instance of profile {profile} is free on {gpus} for {label}"),
            many => format!(
                "not enough GPU instances of profile {profile} are free on {gpus} for {many} x {label}"
            ),
        };
        let error = Error::new(Kind::NoCapacity, message);
        error.hints(candidates.iter().map(|one| self.way_out(one)))
    }

    /// What to do on a GPU to have the GPU instances.
    fn way_out(&self, candidate: &Candidate) -> String {
        let (gpu, profile) = (&candidate.gpu, &self.profile);
        let Some(count) = candidate.instances else {
            let disable = match candidate.has_no_functions {
                true => String::new(),
                false => format!("vgpuctl vfs disable {gpu}; "),
            };
            return format!(
                "{gpu} is not in MIG mode; to create one, in this order: {disable}vgpuctl mig enable {gpu}; vgpuctl \
                 vfs enable {gpu}; vgpuctl mig create {profile} --gpu {gpu}"
            );
        };
        let there = match (count.all, count.free) {
            (0, _) => format!("{gpu} has none"),
            (1, 0) => format!("the one on {gpu} is in use"),
            (all, 0) => format!("all {all} on {gpu} are in use"),
            (all, free) => format!("{free} of {all} on {gpu} are free"),
        };
        match (count.to_come, candidate.has_no_functions) {
            (0, _) => format!(
                "{there}, and no more can be created beside its other GPU instances; see: vgpuctl mig {gpu}"
            ),
            (more, _) if more < self.count.saturating_sub(count.free) => format!(
                "{there}, and only {more} more can be created beside its other GPU instances; see: vgpuctl mig {gpu}"
            ),
            (more, true) => format!(
                "{there}, and {more} more can be created; enable its virtual functions first: vgpuctl vfs enable \
                 {gpu}; then: vgpuctl mig create {profile} --gpu {gpu}"
            ),
            (more, false) => format!(
                "{there}, and {more} more can be created now: vgpuctl mig create {profile} --gpu {gpu}, or repeat \
                 the command with --make-instance"
            ),
        }
    }
}

/// The error of a `create` that found no room, told by the GPU instances that it needs where those are what is missing.
pub fn why(context: &Context<'_>, request: &CreateRequest, error: Error) -> Error {
    let is_about_room = matches!(error.kind(), Kind::NotFound | Kind::NoCapacity);
    // What GPU instances there are is not for users who ask root.
    if !is_about_room || context.tenant.is_some() {
        return error;
    }
    let context = &context.snapshot();
    let Some(wanted) = Wanted::of(context, request) else {
        return error;
    };
    let candidates = match wanted.candidates(context, request.parent.as_ref()) {
        Ok(candidates) => candidates,
        Err(cause) => {
            return match wanted.has_card(context) {
                false => error,
                true => error.hint(format!(
                    "it needs a GPU instance of profile {}; which there are could not be asked: {cause}",
                    wanted.profile
                )),
            };
        }
    };
    let has_enough = |one: &Candidate| {
        one.instances
            .is_some_and(|count| count.free >= wanted.count)
    };
    match candidates.is_empty() || candidates.iter().any(has_enough) {
        true => error,
        false => wanted.no_room(&candidates),
    }
}

/// As [`super::create`], after the GPU instances that are missing for it were created. They are destroyed again where
/// it fails.
pub fn create_with_instances(context: &Context<'_>, request: &CreateRequest) -> Result<Report> {
    let seen = &context.snapshot();
    let wanted = wanted(seen, request)?;
    if let Some(uuid) = request.uuid {
        refuse_uuid(seen, uuid)?;
        refuse_active(seen, uuid)?;
    }
    let candidates = wanted.candidates(seen, request.parent.as_ref())?;
    if candidates.is_empty() {
        let what = format!(
            "no GPU{} can have GPU instances of profile {}, which {} needs",
            request
                .parent
                .as_ref()
                .map(|parent| format!(" {parent}"))
                .unwrap_or_default(),
            wanted.profile,
            wanted.label
        );
        let hint = "see the GPUs with MIG and their profiles: vgpuctl mig";
        return Err(Error::new(Kind::NotFound, what).hint(hint));
    }
    let missing_on = |one: &Candidate| {
        let count = one.instances.filter(|_| !one.has_no_functions)?;
        let missing = wanted.count.saturating_sub(count.free);
        (missing <= count.to_come).then_some(missing)
    };
    let all = candidates.iter();
    let fitting = all.filter_map(|one| missing_on(one).map(|missing| (missing, &one.gpu)));
    // Of those that are alike, the first.
    let Some((missing, gpu)) = fitting.min_by_key(|(missing, _)| *missing) else {
        return Err(wanted.no_room(&candidates));
    };
    if missing == 0 {
        return create_plainly(context, request).map_err(|error| why(context, request, error));
    }
    let missing = usize::try_from(missing).unwrap_or(usize::MAX);
    let profiles = vec![wanted.profile.clone(); missing];
    if request.dry_run {
        let effect = Effect::WouldCreateInstances(profiles);
        return Ok(planned(request, &wanted, gpu, of_gpu(gpu, effect)));
    }
    let patience = Patience::begin();
    let made = make_for(context, gpu, &wanted.profile, missing)?;
    let on_gpu = CreateRequest {
        parent: request.parent.clone().or_else(|| Some(gpu.clone())),
        ..request.clone()
    };
    let result = refuse_if_asked("create").and_then(|()| create_plainly(context, &on_gpu));
    let mut report = result.map_err(|error| {
        patience.go_on();
        match destroy_again(context, gpu, &made) {
            Ok(()) => error.hint(format!(
                "rolled back the GPU instances created for it on {gpu}"
            )),
            Err(left) if error.clean_up().is_some() => {
                error.hint(format!("not rolled back: {left}"))
            }
            Err(left) => error.and_clean_up(Err(left)),
        }
    })?;
    let effect = Effect::InstancesCreated(profiles);
    report.changes.insert(0, of_gpu(gpu, effect));
    report
        .notes
        .extend(not_for_ever(context, request, gpu, &wanted.profile));
    Ok(report)
}

/// What is asked for.
fn wanted(context: &Context<'_>, request: &CreateRequest) -> Result<Wanted> {
    let text = &request.type_name;
    if let Some(wanted) = Wanted::of(context, request) {
        return Ok(wanted);
    }
    match offers(context, text, request.parent.as_ref()) {
        Err(error) if TypeName::parse(text).is_none() => match text.parse::<TypeId>() {
            Ok(_) => Err(error.hint(
                "a type without a free GPU instance is not listed: for --make-instance, specify its name, such as \
                 H100XM-1-10C",
            )),
            Err(_) => Err(error),
        },
        _ => Err(Error::new(
            Kind::Usage,
            format!("{} is not a MIG-backed type: it needs no GPU instance", quoted(text)),
        )
        .hint("leave out --make-instance")),
    }
}

/// A vGPU that starts at boot needs its GPU instance then, too.
fn not_for_ever(
    context: &Context<'_>,
    request: &CreateRequest,
    gpu: &ParentId,
    profile: &str,
) -> Option<String> {
    let settings = context.store.settings_of(gpu).unwrap_or_default();
    let is_listed = settings.mig.iter().any(|one| one.profile == profile);
    let starts_at_boot = request.persistence == Persistence::Defined(StartMode::Auto);
    (starts_at_boot && !is_listed).then(|| {
        format!(
            "GPU instances do not survive a reboot; to have {profile} created at boot, add it to \"mig =\" in the \
             settings of {gpu} (gpu.conf)"
        )
    })
}

fn of_gpu(gpu: &ParentId, effect: Effect) -> Change {
    Change {
        parent: Some(gpu.clone()),
        ..Change::of(effect)
    }
}

/// What would be done; on which functions is known only once the types are listed.
fn planned(request: &CreateRequest, wanted: &Wanted, gpu: &ParentId, first: Change) -> Report {
    let listed = wanted.listed.as_ref();
    let one = Change {
        uuid: request.uuid,
        type_id: listed.map(|listed| listed.id.clone()),
        type_name: Some(match listed.and_then(|listed| listed.name.clone()) {
            Some(name) => name,
            None => wanted.label.as_str().into(),
        }),
        ..of_gpu(gpu, Effect::Planned(Action::Create))
    };
    let devices = std::iter::repeat_n(one, request.count);
    Report::of(std::iter::once(first).chain(devices).collect())
}
