//! `vgpuctl vfs`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::complete::Live;
use crate::error::Result;
use crate::model::ParentId;
use crate::ops::{self, Context, FunctionsAtBoot, Switch, SwitchRequest, VfsRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct VfsArgs {
    #[command(subcommand)]
    word: Option<Word>,
    /// Only this GPU
    #[arg(value_name = "GPU", add = Live::SriovGpu)]
    gpu: Option<ParentId>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Enable all virtual functions of a GPU, with NVIDIA's sriov-manage if it is installed
    Enable(EnableArgs),
    /// Disable the virtual functions of a GPU, now and at boot
    Disable(DisableArgs),
}

#[derive(Debug, Args)]
struct EnableArgs {
    /// The GPU
    #[arg(add = Live::SriovGpu)]
    gpu: ParentId,
    /// Also enable them at each boot, before devices are restored
    #[arg(long)]
    at_boot: bool,
    #[command(flatten)]
    patience: Patience,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct DisableArgs {
    /// The GPU
    #[arg(add = Live::SriovGpu)]
    gpu: ParentId,
    #[command(flatten)]
    patience: Patience,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Patience {
    /// Retry failures for at most this many seconds
    #[arg(long, value_name = "SECS", default_value_t = 10)]
    wait: u32,
}

impl Patience {
    fn of(&self) -> Duration {
        Duration::from_secs(self.wait.into())
    }
}

impl VfsArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = match self.word {
            None => return ops::vfs(context, &VfsRequest { gpu: self.gpu }).map(Reply::Vfs),
            Some(Word::Enable(args)) => SwitchRequest {
                gpu: args.gpu,
                switch: Switch::On,
                at_boot: args.at_boot.then_some(FunctionsAtBoot::Enable),
                wait: args.patience.of(),
                dry_run: args.dry_run,
            },
            Some(Word::Disable(args)) => SwitchRequest {
                gpu: args.gpu,
                switch: Switch::Off,
                at_boot: Some(FunctionsAtBoot::Leave),
                wait: args.patience.of(),
                dry_run: args.dry_run,
            },
        };
        ops::switch_vfs(context, &request).map(Reply::Vfs)
    }
}
