//! The verbs and their summaries.

use std::process::ExitCode;

use clap::Subcommand;

use super::{
    apply, assert, attach, create, define, doctor, explain, export, gpus, list, metrics, mig,
    modify, plan, print, remove, request, restore, show, start, stop, types, undefine, vfs, watch,
};
use crate::error::Result;
use crate::host::Host;
use crate::ops::Context;
use crate::output::Reply;

// The options of a verb are built only if that verb is used: building all of them takes as long as
// the answer. A doc comment on the arguments would then replace the summary here, so they have
// none.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// List the types that each parent offers
    ///
    /// The series is the last letter of a type's name: A for virtual applications, B for basic PC
    /// work, C for compute servers, Q for professional workstations.
    Types(types::TypesArgs),
    /// List GPUs and other parents: card, driver, and active devices
    Gpus(gpus::GpusArgs),
    /// List active and defined devices
    List(list::ListArgs),
    /// Show details of one device, including the processes that hold it
    Show(show::ShowArgs),
    /// Create devices, and define them so that they are restored at boot
    ///
    /// Prints the UUID of each device. Without --parent or --placement, uses the fullest parent with free
    /// capacity; ties are resolved by the lowest address.
    Create(create::CreateArgs),
    /// Remove devices and their definitions
    ///
    /// A device that a process holds open is not changed: the kernel would block until it is closed.
    Remove(remove::RemoveArgs),
    /// Define a device to be started at boot, without creating it now
    ///
    /// Prints the UUID. The parent need not exist.
    Define(define::DefineArgs),
    /// Delete definitions; active devices stay until the next reboot
    Undefine(undefine::UndefineArgs),
    /// Change a definition; a running device is not changed, except for its parameters
    Modify(modify::ModifyArgs),
    /// Start devices from their definitions
    Start(start::StartArgs),
    /// Stop devices but keep their definitions
    ///
    /// A device that a process holds open is not changed: the kernel would block until it is closed.
    Stop(stop::StopArgs),
    /// Start every device that is defined to start at boot and is not active
    ///
    /// Runs at boot, and can be run again at any time: active devices are not changed. Prints one line
    /// per device; the exit status is 0 only if there is no failure.
    Restore(restore::RestoreArgs),
    /// Show, enable or disable the virtual functions of SR-IOV GPUs
    ///
    /// Without a subcommand it only shows them. Enabling and disabling is refused while the GPU has a
    /// vGPU. Functions are only enabled at boot if `--at-boot` was specified.
    Vfs(vfs::VfsArgs),
    /// Show or change the MIG mode and the GPU instances of GPUs
    ///
    /// Without a subcommand it lists each GPU that supports MIG: whether MIG mode is enabled, how many instances of each GPU instance
    /// profile can still be created and where, and its GPU instances with the vGPUs that use them. Requires
    /// nvidia-smi of NVIDIA's driver, and usually root privileges. Changes are
    /// refused while the GPU has a vGPU.
    Mig(mig::MigArgs),
    /// Show the changes needed to match a declaration
    ///
    /// One line for each vGPU to be created (+), changed (~) or removed (-), or that is blocked (!), with
    /// the reason. Nothing is changed. The exit status is 0 if there is nothing to do, 2
    /// if there is, and 1 on any error.
    Plan(plan::PlanArgs),
    /// Make this host match a declaration
    ///
    /// Makes the changes that plan shows, after asking for confirmation. Steps that free capacity come
    /// before steps that use it; if one fails, the completed steps are rolled back. A device that a
    /// process holds open is not changed.
    Apply(apply::ApplyArgs),
    /// Check whether this host matches a declaration, by exit status
    ///
    /// The exit status is 0 if it does, 2 if it does not, and 1 on any error. Prints only the differences.
    Assert(assert::AssertArgs),
    /// Print a declaration of this host for plan and apply
    ///
    /// Lists each defined vGPU by UUID, with its GPU and attributes; comments list active devices
    /// without a definition. A plan of the output contains no changes.
    Export(export::ExportArgs),
    /// Print metrics of this host for Prometheus
    ///
    /// Available and maximum instances by type, framebuffer, devices by state, devices in use, and the
    /// result of the last restore. Unknown values are omitted; items that cannot be read are counted.
    Metrics(metrics::MetricsArgs),
    /// Stream events: parents, free instances, devices, definitions, holders
    Watch(watch::WatchArgs),
    /// Diagnose problems that prevent vGPUs from working
    Doctor(doctor::DoctorArgs),
    /// Print how to assign a device to a virtual machine, or add it to a libvirt domain
    ///
    /// Prints the configuration to paste: XML for libvirt, arguments for QEMU, or lines for Proxmox VE.
    /// The device may be active or only defined.
    Attach(attach::AttachArgs),
    /// Explain the vGPU errors in a log, and how to fix them
    ///
    /// Recognizes vGPU errors in the output of QEMU, libvirt, Proxmox VE, the journal, the kernel, driver
    /// builds, Kubernetes and guests, pasted in any form. For each error, prints the cause, the
    /// matching line and the next step, root causes first. The exit status is 3 if no error is
    /// recognized.
    Explain(explain::ExplainArgs),
    /// Manage your own vGPUs through the delegation service, without root privileges
    ///
    /// Root configures in /etc/vgpuctl/policy.toml who may have which types, where, and how many.
    /// You can only create, start, stop and remove your own vGPUs.
    Request(request::RequestArgs),
    /// Serve one request of a user; started by systemd for each connection
    #[command(hide = true)]
    ServeRequest,
}

impl Verb {
    /// What its exit status means.
    pub fn scale(&self) -> print::Scale {
        match self {
            Verb::Plan(_) | Verb::Assert(_) => print::Scale::Differences,
            Verb::Apply(args) if args.is_dry_run() => print::Scale::Differences,
            _ => print::Scale::Kinds,
        }
    }

    /// Runs it and returns its exit status.
    pub fn run(self, host: &Host, form: print::Form) -> ExitCode {
        let scale = self.scale();
        let context = &Context::of(host);
        let asked_for = self.asked_for();
        let result: Result<Reply> = match self {
            // The only one whose output has no end.
            Verb::Watch(args) => return print::end_of_answer(args.run(context, form), form, scale),
            Verb::Doctor(args) => args.run(host),
            Verb::Types(args) => args.run(context),
            Verb::Gpus(args) => args.run(context),
            Verb::List(args) => args.run(context),
            Verb::Show(args) => args.run(context),
            Verb::Create(args) => args.run(context),
            Verb::Remove(args) => args.run(context),
            Verb::Define(args) => args.run(context),
            Verb::Undefine(args) => args.run(context),
            Verb::Modify(args) => args.run(context),
            Verb::Start(args) => args.run(context),
            Verb::Stop(args) => args.run(context),
            Verb::Restore(args) => args.run(context),
            Verb::Vfs(args) => args.run(context),
            Verb::Mig(args) => args.run(context),
            Verb::Plan(args) => args.run(context),
            Verb::Apply(args) => args.run(context, form),
            Verb::Assert(args) => args.run(context),
            Verb::Export(args) => args.run(context),
            Verb::Metrics(args) => args.run(context),
            Verb::Attach(args) => args.run(context),
            Verb::Explain(args) => args.run(context),
            Verb::Request(args) => args.run(host),
            Verb::ServeRequest => return request::serve(host),
        };
        let result = match asked_for {
            Some(verb) => request::with_way_in(context, verb, result),
            None => result,
        };
        print::end(result, form, scale)
    }
}
