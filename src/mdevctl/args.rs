//! mdevctl's command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use uuid::Uuid;

use crate::model::{ParentId, TypeId};

/// Programs that ask want to know which mdevctl's ways are followed.
const VERSION: &str = concat!("1.4.0 (vgpuctl ", env!("CARGO_PKG_VERSION"), ")");

/// Manages mediated devices
#[derive(Debug, Parser)]
#[command(name = "mdevctl", version = VERSION, arg_required_else_help = true)]
pub struct Mdevctl {
    #[command(subcommand)]
    pub command: Command,
}

/// Lists mediated devices
#[derive(Debug, Parser)]
#[command(name = "lsmdev", version = VERSION)]
pub struct Lsmdev {
    #[command(flatten)]
    pub list: ListArgs,
}

// As in cli/verb.rs, only the options of the verb that is asked for are put together.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Define a device, from options, a file, or an active device
    Define(DefineArgs),
    /// Delete definitions; active devices stay
    Undefine(UndefineArgs),
    /// Change a definition, or with a script's help an active device
    Modify(ModifyArgs),
    /// Start a device, defined or described here
    Start(StartArgs),
    /// Stop an active device
    Stop(StopArgs),
    /// List devices
    #[command(version = VERSION)]
    List(ListArgs),
    /// List the types that parents offer
    Types(TypesArgs),
    /// Start all devices of a parent that are defined to start with it
    #[command(hide = true)]
    StartParentMdevs(StartParentArgs),
}

impl Command {
    /// Whether a callout script's refusal is to be overruled.
    pub fn is_forced(&self) -> bool {
        match self {
            Command::Define(args) => args.force,
            Command::Undefine(args) => args.force,
            Command::Modify(args) => args.force,
            Command::Start(args) => args.force,
            Command::Stop(args) => args.force,
            Command::List(_) | Command::Types(_) | Command::StartParentMdevs(_) => false,
        }
    }
}

#[derive(Debug, Args)]
pub struct DefineArgs {
    /// UUID; a random one if left out
    #[arg(short, long, required_unless_present = "parent", value_parser = uuid)]
    pub uuid: Option<Uuid>,
    /// Parent device
    #[arg(short, long, required_unless_present = "uuid")]
    pub parent: Option<ParentId>,
    /// Type of the device
    #[arg(short = 't', long = "type")]
    pub type_id: Option<TypeId>,
    /// Start the device whenever its parent appears
    #[arg(short, long)]
    pub auto: bool,
    /// Take type, start mode and attributes from a JSON file
    #[arg(long, conflicts_with_all = ["type_id", "auto"])]
    pub jsonfile: Option<PathBuf>,
    /// Go on even where a callout script refuses
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct UndefineArgs {
    /// UUID
    #[arg(short, long, value_parser = uuid)]
    pub uuid: Uuid,
    /// Only the definition under this parent
    #[arg(short, long)]
    pub parent: Option<ParentId>,
    /// Go on even where a callout script refuses
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).args(["auto", "manual", "addattr", "delattr", "jsonfile"]))]
pub struct ModifyArgs {
    /// UUID
    #[arg(short, long, value_parser = uuid)]
    pub uuid: Uuid,
    /// The definition under this parent
    #[arg(short, long)]
    pub parent: Option<ParentId>,
    /// Another type
    #[arg(short = 't', long = "type", conflicts_with = "live")]
    pub type_id: Option<TypeId>,
    /// Add this attribute, with --value, at --index or at the end
    #[arg(long, requires = "value", value_name = "NAME")]
    pub addattr: Option<String>,
    /// Delete the attribute at --index or at the end
    #[arg(long)]
    pub delattr: bool,
    /// Which attribute, counted from 0
    #[arg(short, long, conflicts_with_all = ["auto", "manual", "jsonfile", "live"])]
    pub index: Option<u32>,
    /// The value of the attribute to add
    #[arg(long, requires = "addattr", conflicts_with_all = ["live", "delattr"])]
    pub value: Option<String>,
    /// Start it whenever its parent appears
    #[arg(short, long)]
    pub auto: bool,
    /// Start it only when asked to
    #[arg(short, long)]
    pub manual: bool,
    /// Change the active device
    #[arg(short, long)]
    pub live: bool,
    /// Change the definition, beside --live
    #[arg(short, long)]
    pub defined: bool,
    /// Take type, start mode and attributes from a JSON file
    #[arg(long, conflicts_with = "type_id")]
    pub jsonfile: Option<PathBuf>,
    /// Go on even where a callout script refuses
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct StartArgs {
    /// UUID; a random one if left out
    #[arg(short, long, required_unless_present = "parent", value_parser = uuid)]
    pub uuid: Option<Uuid>,
    /// Parent device
    #[arg(short, long, required_unless_present = "uuid")]
    pub parent: Option<ParentId>,
    /// Type of the device
    #[arg(short = 't', long = "type")]
    pub type_id: Option<TypeId>,
    /// Take type and attributes from a JSON file
    #[arg(long, conflicts_with = "type_id")]
    pub jsonfile: Option<PathBuf>,
    /// Go on even where a callout script refuses
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct StopArgs {
    /// UUID
    #[arg(short, long, value_parser = uuid)]
    pub uuid: Uuid,
    /// Go on even where a callout script refuses
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Defined devices instead of active ones
    #[arg(short, long)]
    pub defined: bool,
    /// As JSON
    #[arg(long)]
    pub dumpjson: bool,
    /// With attributes
    #[arg(short, long)]
    pub verbose: bool,
    /// Only this UUID
    #[arg(short, long, value_parser = uuid)]
    pub uuid: Option<Uuid>,
    /// Only this parent
    #[arg(short, long)]
    pub parent: Option<ParentId>,
}

#[derive(Debug, Args)]
pub struct TypesArgs {
    /// Only this parent
    #[arg(short, long)]
    pub parent: Option<ParentId>,
    /// As JSON
    #[arg(long)]
    pub dumpjson: bool,
}

#[derive(Debug, Args)]
pub struct StartParentArgs {
    /// Parent device
    pub parent: ParentId,
}

/// Programs that call mdevctl may write a UUID in every form that it takes.
fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|error| error.to_string())
}
