//! `vgpuctl create`.

use std::str::FromStr;

use clap::Args;
use uuid::Uuid;

use super::complete::Live;
use super::for_clap;
use super::params::ParamArgs;
use super::type_choice::TypeChoice;
use crate::capacity::Placement;
use crate::error::{Error, Kind, Result};
use crate::model::{Attr, ParentId, StartMode, parse_uuid, proxmox_uuid};
use crate::ops::{self, Context, CreateRequest, Persistence};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    choice: TypeChoice,
    /// The parent to use
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
    /// Where to create it: pack (fullest GPU with free capacity), spread (emptiest), or a parent
    #[arg(long, value_name = "pack|spread|PARENT", add = Live::Placement)]
    placement: Option<PlacementGiven>,
    /// Use this UUID instead of a random one
    #[arg(short, long, value_parser = whole_uuid)]
    uuid: Option<Uuid>,
    /// Use the UUID that Proxmox VE derives for hostpci INDEX (default: 0) of VM N
    #[arg(long, value_name = "N[:INDEX]", value_parser = vmid_uuid, conflicts_with = "uuid")]
    vmid: Option<Uuid>,
    /// Create this many devices, or none if one of them fails
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 1,
        hide_default_value = true
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096), conflicts_with_all = ["uuid", "vmid"])]
    count: u32,
    /// Attribute to set after creation; may be repeated, order is kept
    #[arg(short, long = "attr", value_name = "NAME=VALUE")]
    attrs: Vec<Attr>,
    #[command(flatten)]
    params: ParamArgs,
    /// Do not write a definition: the device does not survive a reboot
    #[arg(long, conflicts_with = "manual")]
    transient: bool,
    /// Define it, but do not start it at boot
    #[arg(long)]
    manual: bool,
    /// Create the GPU instances that a MIG-backed type needs first, if none is free
    #[arg(long)]
    make_instance: bool,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

impl CreateArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let persistence = match (self.transient, self.manual) {
            (true, _) => Persistence::Transient,
            (_, true) => Persistence::Defined(StartMode::Manual),
            _ => Persistence::Defined(StartMode::Auto),
        };
        let (parent, placement) = place(self.parent, self.placement)?;
        let (attrs, doubts) = self.params.merged(self.attrs)?;
        let request = CreateRequest {
            type_name: self.choice.type_name(context, parent.as_ref())?,
            parent,
            placement,
            uuid: self.uuid.or(self.vmid),
            count: usize::try_from(self.count).unwrap_or(usize::MAX),
            attrs,
            persistence,
            make_instances: self.make_instance,
            dry_run: self.dry_run,
        };
        let report = ops::create(context, &request)?;
        Ok(Reply::Made(doubts.told_in(report)))
    }
}

/// What `--placement` was given.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PlacementGiven {
    How(Placement),
    On(ParentId),
}

impl FromStr for PlacementGiven {
    type Err = Error;

    fn from_str(text: &str) -> Result<PlacementGiven> {
        Ok(match text {
            "pack" => PlacementGiven::How(Placement::Pack),
            "spread" => PlacementGiven::How(Placement::Spread),
            parent => PlacementGiven::On(parent.parse()?),
        })
    }
}

/// `--parent` and `--placement` together.
///
/// # Errors
/// They contradict each other.
fn place(
    parent: Option<ParentId>,
    placement: Option<PlacementGiven>,
) -> Result<(Option<ParentId>, Placement)> {
    match (parent, placement) {
        (parent, None) => Ok((parent, Placement::default())),
        (None, Some(PlacementGiven::How(placement))) => Ok((None, placement)),
        (None, Some(PlacementGiven::On(parent))) => Ok((Some(parent), Placement::default())),
        (Some(parent), Some(PlacementGiven::On(same))) if same == parent => {
            Ok((Some(parent), Placement::default()))
        }
        (Some(parent), Some(_)) => Err(Error::new(
            Kind::Usage,
            format!("--parent {parent} and --placement contradict each other"),
        )
        .hint("specify only one of them")),
    }
}

/// For clap: a UUID in the kernel's form.
pub fn whole_uuid(text: &str) -> std::result::Result<Uuid, String> {
    parse_uuid(text).map_err(|error| for_clap(&error))
}

fn vmid_uuid(text: &str) -> std::result::Result<Uuid, String> {
    let (vmid, index) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            format!("{text:?} is not a number; expected a VM id, such as 100 or 100:1")
        })
    };
    proxmox_uuid(number(vmid)?, number(index)?).map_err(|error| for_clap(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vms_id_and_index_become_proxmoxs_uuid() {
        let text = |given| vmid_uuid(given).map(|uuid| uuid.to_string());
        assert_eq!(
            text("100").as_deref(),
            Ok("00000000-0000-0000-0000-000000000100")
        );
        assert_eq!(
            text("100:1").as_deref(),
            Ok("00000001-0000-0000-0000-000000000100")
        );
        for bad in ["", "x", "100:", "-1", "100:x", "1:2:3"] {
            assert!(text(bad).is_err(), "{bad:?}");
        }
    }
}
