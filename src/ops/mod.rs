//! What users ask for: each a request in, an outcome out. Nothing here prints or exits.

mod attach;
mod attach_domain;
mod capacity;
mod cautions;
mod choose;
mod create;
mod define;
mod execute;
mod explain;
mod functions;
mod gpu_facts;
mod gpus;
mod group;
mod home;
mod inventory;
mod list;
mod live;
mod metrics;
mod mig;
mod modify;
mod moved;
mod next_boot;
mod params;
mod pick_type;
mod place;
mod plan;
mod prepare;
mod report;
mod restore;
mod results;
mod rivals;
mod scope;
mod show;
mod standing;
mod start;
mod stop;
mod sweep;
mod switch;
mod target;
mod tenant;
mod together;
mod types;
mod vfs;
pub mod watch;

use crate::error::Warnings;
use crate::host::Host;
use crate::scripts::{self, Refusals, Scripts};
use crate::store::Store;
use crate::sysfs::Kernel;

pub use crate::scripts::Switch;
pub use crate::store::{FunctionsAtBoot, RestoreResult};
pub use attach::{AttachRequest, Attached, attach};
pub use attach_domain::{Applied, ApplyRequest, When, attach_to_domain};
pub use cautions::{Ahead, boot_cautions, set_cautions};
pub use create::{CreateRequest, Persistence, create};
pub use define::{DefineRequest, UndefineRequest, define, record, record_running, undefine};
pub use execute::subject;
pub use explain::{ExplainRequest, Explanation, explain};
pub use gpu_facts::{gpu_facts, node_name};
pub use gpus::{Framebuffer, Gpu, GpusRequest, Lack, gpus};
pub use inventory::active_on;
pub use list::{ListRequest, Listed, Which, list};
pub use live::modify_live;
pub use metrics::{
    Area, DeviceCount, DeviceState, GpuNumbers, Metrics, MetricsRequest, TypeNumbers, metrics,
};
pub use mig::{
    MigAtBoot, MigChange, MigGpu, MigInstance, MigProfile, MigRequest, MigStep, change_mig, mig,
};
pub use modify::{AttrEdit, FunctionChoice, ModifyRequest, TypeChoice, modify};
pub use moved::{Moves, moved_settings_hint};
pub use next_boot::is_switched_by_another;
pub use params::{holds_params, other_params, with_params};
pub use pick_type::{TypeWants, pick_type};
pub use plan::{
    ApplyDeclared, Carried, GpuItem, Item, LATER, Outcome, Plan, PlanRequest, Progress, SetUp,
    Summary, Verdict, apply, export, plan, plan_patiently, set_up,
};
pub use report::{Action, Change, Effect, Report};
pub use restore::{RestoreRequest, left_out_at_boot, restore};
pub use rivals::{Rivals, rivals};
pub use show::{ShowRequest, Shown, show};
pub use start::{StartRequest, start, start_as_described};
pub use stop::{RemoveRequest, StopRequest, remove, stop};
pub use target::{Selector, UuidGiven};
pub use tenant::{Grant, Tenant, grants, own};
pub use types::{
    ParentTypes, TypeFilter, TypesRequest, types, types_of_parents, types_with_instances,
};
pub use vfs::{GpuVfs, SwitchRequest, VfState, VfsRequest, switch_vfs, vfs};

/// A host as the operations see it: what the kernel has, and what the user wants.
pub struct Context<'h> {
    /// The host itself, for its paths.
    pub host: &'h Host,
    /// The kernel's side.
    pub kernel: Kernel<'h>,
    /// The definitions.
    pub store: Store<'h>,
    /// The host's callout scripts and notifiers.
    pub scripts: Scripts<'h>,
    /// Whether a script's refusal counts.
    pub refusals: Refusals,
    /// For whom root does it, where that is another user; for him there is only what is his own.
    pub tenant: Option<Tenant>,
}

impl<'h> Context<'h> {
    /// The operations' view of `host`. Nothing is read yet.
    pub fn of(host: &'h Host) -> Context<'h> {
        Context {
            host,
            kernel: Kernel::of(host),
            store: Store::of(host),
            scripts: Scripts::of(host).with_limit(scripts::limit()),
            refusals: Refusals::Heeded,
            tenant: None,
        }
    }

    /// One reading of this host, which begins now: what is asked of it is read once. Deciding
    /// reads this; what changes the host looks again, under the lock.
    pub fn snapshot(&self) -> Context<'h> {
        Context {
            kernel: self.kernel.snapshot(),
            store: self.store.snapshot(),
            scripts: Scripts::of(self.host).with_limit(scripts::limit()),
            tenant: self.tenant.clone(),
            ..*self
        }
    }

    /// As [`Context::of`], without what mdevctl knows nothing of.
    pub fn of_mediated_devices(host: &'h Host) -> Context<'h> {
        Context {
            kernel: Kernel::of_mediated_devices(host),
            store: Store::of_mediated_devices(host),
            ..Context::of(host)
        }
    }
}

/// What was found, beside what could not be read on the way.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// Bad data found on the way; the caller asked for all of it, so this is a partial answer.
    pub warnings: Warnings,
    /// Sentences for people, such as why a list is empty.
    pub notes: Vec<String>,
}
