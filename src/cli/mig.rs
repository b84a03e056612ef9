//! `vgpuctl mig`.

use clap::{Args, Subcommand};

use super::complete::Live;
use crate::error::Result;
use crate::model::ParentId;
use crate::ops::{self, Context, MigChange, MigRequest, MigStep};
use crate::output::Reply;
use crate::store::GpuInstanceSpec;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct MigArgs {
    #[command(subcommand)]
    word: Option<Word>,
    /// Only this GPU
    #[arg(value_name = "GPU", add = Live::SriovGpu)]
    gpu: Option<ParentId>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Enable MIG mode of a GPU, before its virtual functions are enabled
    Enable(ModeArgs),
    /// Disable MIG mode of a GPU
    Disable(ModeArgs),
    /// Create GPU instances, all or none
    Create(CreateArgs),
    /// Destroy GPU instances
    Destroy(DestroyArgs),
}

#[derive(Debug, Args)]
struct ModeArgs {
    /// The GPU
    #[arg(add = Live::SriovGpu)]
    gpu: ParentId,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// GPU instance profiles by name or ID, each with an optional start: 3g.40gb, 9 or 3g.40gb:4
    #[arg(value_name = "PROFILE", required = true, value_parser = profile)]
    profiles: Vec<GpuInstanceSpec>,
    /// The GPU
    #[arg(long, add = Live::SriovGpu)]
    gpu: ParentId,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct DestroyArgs {
    /// IDs of GPU instances
    #[arg(value_name = "ID", required = true)]
    ids: Vec<u32>,
    /// The GPU
    #[arg(long, add = Live::SriovGpu)]
    gpu: ParentId,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

fn profile(text: &str) -> std::result::Result<GpuInstanceSpec, String> {
    text.parse().map_err(|error| super::for_clap(&error))
}

impl MigArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let (gpu, dry_run, step) = match self.word {
            None => return ops::mig(context, &MigRequest { gpu: self.gpu }).map(Reply::Mig),
            Some(Word::Enable(args)) => (args.gpu, args.dry_run, MigStep::Enable),
            Some(Word::Disable(args)) => (args.gpu, args.dry_run, MigStep::Disable),
            Some(Word::Create(args)) => (args.gpu, args.dry_run, MigStep::Create(args.profiles)),
            Some(Word::Destroy(args)) => (args.gpu, args.dry_run, MigStep::Destroy(args.ids)),
        };
        let change = MigChange { gpu, step, dry_run };
        ops::change_mig(context, &change).map(Reply::Mig)
    }
}
