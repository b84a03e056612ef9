//! What can be asked for, and what each is for.

use std::process::ExitCode;

use clap::Subcommand;

use super::{
    apply, assert, attach, create, define, doctor, explain, export, gpus, list, metrics, modify,
    plan, print, remove, request, restore, show, start, stop, types, undefine, vfs, watch,
};
use crate::error::Result;
use crate::host::Host;
use crate::ops::Context;
use crate::output::Reply;

// The options of a verb are put together when it is the one that is asked for: all of them took as
// long as the answer. A doc comment on arguments would then take the place of what stands here, so
// they have none.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// List the types that each parent offers
    ///
    /// The series is the letter that ends a type's name: A for virtual applications, B for basic PC
    /// work, C for compute servers, Q for professional workstations.
    Types(types::TypesArgs),
    /// List GPUs and other parents: card, driver, and what each holds
    Gpus(gpus::GpusArgs),
    /// List active and defined devices
    List(list::ListArgs),
    /// Show everything about one device, including who holds it
    Show(show::ShowArgs),
    /// Create devices now, and define them so that they come back at boot
    ///
    /// Prints the UUID of each device. Without --parent or --placement, picks the fullest parent that has
    /// room; among equals, the first by address.
    Create(create::CreateArgs),
    /// Remove devices and their definitions
    ///
    /// A device that a process holds open is left alone: the kernel would block until it lets go.
    Remove(remove::RemoveArgs),
    /// Define a device to be started at boot, without creating it now
    ///
    /// Prints the UUID. The parent need not be present.
    Define(define::DefineArgs),
    /// Delete definitions; active devices stay until the next reboot
    Undefine(undefine::UndefineArgs),
    /// Change a definition; a running device is not changed, except for its parameters
    Modify(modify::ModifyArgs),
    /// Start devices from their definitions
    Start(start::StartArgs),
    /// Stop devices but keep their definitions
    ///
    /// A device that a process holds open is left alone: the kernel would block until it lets go.
    Stop(stop::StopArgs),
    /// Start every device that is defined to start at boot and is not active
    ///
    /// Runs at boot, and can be repeated at any time: what is active already is left alone. Prints one
    /// line per device; the exit status is 0 only if all are as wanted.
    Restore(restore::RestoreArgs),
    /// Show, enable or disable the virtual functions of SR-IOV GPUs
    ///
    /// Without a subcommand it only shows them. Enabling and disabling is refused while the GPU has a
    /// vGPU, and is done at boot only where `--at-boot` has asked for it.
    Vfs(vfs::VfsArgs),
    /// Show the changes needed to match a declaration
    ///
    /// One line for each vGPU to be created (+), changed (~) or removed (-), or that is blocked (!), with
    /// the reason. Nothing is changed. The exit status is 0 where there is nothing to do,
    /// 2 where there is, and 1 for any error.
    Plan(plan::PlanArgs),
    /// Make this host match a declaration
    ///
    /// Does what plan shows, after asking for confirmation. Steps that free room come before steps that
    /// take it; if one fails, those done are undone. A device that a process holds is left as it is.
    Apply(apply::ApplyArgs),
    /// Check whether this host matches a declaration, by exit status
    ///
    /// As for plan: 0 if it does, 2 if it does not, 1 for any error. Prints only the differences.
    Assert(assert::AssertArgs),
    /// Write this host as a declaration for plan and apply
    ///
    /// Each vGPU that is defined, by its UUID, on its GPU, with its attributes; comments tell what is
    /// active without a definition. A plan of the file has nothing to do.
    Export(export::ExportArgs),
    /// Print metrics of this host for Prometheus
    ///
    /// Free and most instances by type, framebuffer, devices by state, devices in use, and what the last
    /// restore came to. What cannot be told is left out; what cannot be read is counted.
    Metrics(metrics::MetricsArgs),
    /// Stream events: parents, free instances, devices, definitions, holders
    Watch(watch::WatchArgs),
    /// Find what keeps vGPUs from working, and how to fix it
    Doctor(doctor::DoctorArgs),
    /// Print how to give a device to a virtual machine, or add it to a libvirt domain
    ///
    /// Prints exactly what to paste: XML for libvirt, arguments for QEMU, or lines for Proxmox VE.
    /// The device may be active or only defined.
    Attach(attach::AttachArgs),
    /// Explain the vGPU failures in a log, and what to do about them
    ///
    /// Recognises failures of vGPUs in what QEMU, libvirt, Proxmox VE, the journal, the kernel, driver
    /// builds, Kubernetes and guests print, however it was pasted. For each: the cause, the line that
    /// tells it, the next step; what others follow from comes first. Exit status 3 where nothing is
    /// recognised.
    Explain(explain::ExplainArgs),
    /// Ask the host's delegation service for vGPUs of your own, without being root
    ///
    /// Root says in /etc/vgpuctl/policy.toml who may have which types, where, and how many. You can
    /// create, start, stop and remove what is yours, and nothing else.
    Request(request::RequestArgs),
    /// Serve one request of a user's, as systemd starts it for each connection
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

    /// Does it and says how it ended.
    pub fn run(self, host: &Host, form: print::Form) -> ExitCode {
        let scale = self.scale();
        let context = &Context::of(host);
        let asked_for = self.asked_for();
        let result: Result<Reply> = match self {
            // The one whose answer has no end.
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
