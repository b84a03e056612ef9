//! `vgpuctl attach`.

use clap::{Args, ValueEnum};

use super::complete::Live;
use super::for_clap;
use super::selector::SelectorArgs;
use crate::attach::{Display, Format, Identity, LicenceServer, LookingGlass};
use crate::error::Result;
use crate::ops::{self, ApplyRequest, AttachRequest, Context, When};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(mut_arg("uuid", |argument| argument.add(Live::Device)))]
pub struct AttachArgs {
    #[command(flatten)]
    which: SelectorArgs,
    /// For which program [default: libvirt]
    #[arg(short, long, value_enum)]
    format: Option<FormatArg>,
    /// Whether to show the device's screen over VNC or SPICE
    #[arg(long, value_enum)]
    display: Option<Switch>,
    /// Also show it before the guest's driver runs: firmware and boot loader (needs the display)
    #[arg(long)]
    ramfb: bool,
    /// Add shared memory for Looking Glass: nvfbc, or a resolution for DXGI
    #[arg(long, value_name = "nvfbc|WxH", value_parser = parsed::<LookingGlass>)]
    looking_glass: Option<LookingGlass>,
    /// Present these PCI ids (hexadecimal) to the guest: 10de:1bb1 is a Quadro P4000
    #[arg(long, value_name = "VENDOR:DEVICE[:SUB:SUB]", value_parser = parsed::<Identity>)]
    present_as: Option<Identity>,
    /// Also print the guest's licence settings for this server (default port: 7070)
    #[arg(long, alias = "license-server", value_name = "HOST[:PORT]", value_parser = parsed::<LicenceServer>)]
    licence_server: Option<LicenceServer>,
    /// The id of the Proxmox VE VM
    #[arg(long, value_name = "N")]
    vmid: Option<u64>,
    /// The index of its hostpci
    #[arg(long, value_name = "N")]
    index: Option<u64>,
    /// Instead of printing, add the device to this libvirt domain (name or UUID) with virsh
    #[arg(long, value_name = "DOMAIN")]
    #[arg(conflicts_with_all = ["format", "licence_server", "vmid", "index"])]
    apply: Option<String>,
    /// With --apply: immediately, in the running domain too
    #[arg(long, requires = "apply")]
    live: bool,
    /// With --apply: the libvirt connection [default: virsh's own choice, else qemu:///system]
    #[arg(long, value_name = "URI", requires = "apply")]
    connect: Option<String>,
    /// With --apply: only show what would be done
    #[arg(long, requires = "apply")]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    /// XML for a domain
    Libvirt,
    /// Arguments, quoted for a shell
    Qemu,
    /// Lines for a VM's configuration
    Proxmox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl AttachArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let display = self.screen()?;
        let attach = AttachRequest {
            selector: self.which.selector(),
            format: match self.format {
                None | Some(FormatArg::Libvirt) => Format::Libvirt,
                Some(FormatArg::Qemu) => Format::Qemu,
                Some(FormatArg::Proxmox) => Format::Proxmox,
            },
            display,
            identity: self.present_as,
            looking_glass: self.looking_glass,
            licences: self.licence_server,
            vmid: self.vmid,
            index: self.index,
        };
        let Some(domain) = self.apply else {
            return ops::attach(context, &attach).map(|answer| Reply::Attach(Box::new(answer)));
        };
        let request = ApplyRequest {
            attach,
            domain,
            connect: self.connect,
            when: match self.live {
                true => When::Now,
                false => When::NextStart,
            },
            dry_run: self.dry_run,
        };
        ops::attach_to_domain(context, &request).map(|answer| Reply::Applied(Box::new(answer)))
    }

    fn screen(&self) -> Result<Display> {
        Ok(match (self.display, self.ramfb) {
            (None, false) => Display::Unsaid,
            (Some(Switch::Off), false) => Display::Off,
            (Some(Switch::On), false) => Display::On,
            (Some(Switch::On) | None, true) => Display::WithRamFb,
            (Some(Switch::Off), true) => {
                return Err(crate::error::Error::new(
                    crate::error::Kind::Usage,
                    "--ramfb needs the display: omit --display off",
                ));
            }
        })
    }
}

/// For clap: a value whose parser explains what is wrong.
fn parsed<T>(text: &str) -> std::result::Result<T, String>
where
    T: std::str::FromStr<Err = crate::error::Error>,
{
    text.parse().map_err(|error| for_clap(&error))
}
