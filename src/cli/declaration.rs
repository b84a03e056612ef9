//! The arguments that name what a host is to have.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::declare::{self, LONGEST_FILE, Reading, Source};
use crate::error::{Error, Kind, Result, errno_of};
use crate::ops::{self, Answer, Context, Plan, PlanRequest, gpu_facts, node_name};

// One declaration, of a file or several.
#[derive(Debug, Args)]
pub struct DeclarationArgs {
    /// What the host is to have (vgpuctl.toml(5)); `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The file is another program's. nova: nova.conf; cyborg: cyborg.conf; proxmox: machines'
    /// files, named as 100.conf, and mapping/pci.cfg where they name mappings
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// What such a file leaves open: the configuration's label; KubeVirt's node labels, as
    /// KEY=VALUE,...; the node whose mappings count, instead of this host
    #[arg(long, value_name = "LABEL", requires = "from")]
    select: Option<String>,
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    NvidiaVgpuDeviceManager,
    Kubevirt,
    Nova,
    Cyborg,
    Proxmox,
}

impl From<Format> for declare::Format {
    fn from(format: Format) -> declare::Format {
        match format {
            Format::NvidiaVgpuDeviceManager => declare::Format::VgpuDeviceManager,
            Format::Kubevirt => declare::Format::KubeVirt,
            Format::Nova => declare::Format::Nova,
            Format::Cyborg => declare::Format::Cyborg,
            Format::Proxmox => declare::Format::Proxmox,
        }
    }
}

impl DeclarationArgs {
    /// Whether it comes from standard input, which then cannot answer questions.
    pub fn is_stdin(&self) -> bool {
        self.files.iter().any(|path| path == Path::new("-"))
    }

    /// Reads and understands it, for this host.
    ///
    /// # Errors
    /// A file cannot be read; all that is wrong with the first one that makes no sense.
    pub fn read(&self, context: &Context<'_>) -> Result<Reading> {
        let files: Vec<Source> = self
            .files
            .iter()
            .map(|path| source(path))
            .collect::<Result<_>>()?;
        match (self.from, files.as_slice()) {
            (Some(format), files) => {
                // What could not be read is told by what compares the host with it.
                let gpus = gpu_facts(context)?.value;
                // A cluster's mappings speak of all its nodes, and mean this one.
                let node = || match format {
                    Format::Proxmox => node_name(context.host),
                    _ => None,
                };
                let select = self.select.clone().or_else(node);
                declare::import(format.into(), files, select.as_deref(), &gpus)
            }
            (None, [file]) => declare::parse(file),
            (None, _) => Err(Error::new(Kind::Usage, "a declaration is one file")
                .hint("several files are those of a host of Proxmox VE: --from proxmox")),
        }
    }

    /// What there is to do to have this host as it says, with what the reading had to tell.
    ///
    /// # Errors
    /// As [`DeclarationArgs::read`]; the host cannot be compared with it.
    pub fn plan(&self, context: &Context<'_>) -> Result<Answer<Plan>> {
        let reading = self.read(context)?;
        let request = PlanRequest {
            declaration: reading.declaration,
        };
        let mut answer = ops::plan(context, &request)?;
        answer.notes.extend(reading.notes);
        Ok(answer)
    }
}

fn source(path: &Path) -> Result<Source> {
    let (name, read) = match path == Path::new("-") {
        true => (Path::new("standard input"), bounded(io::stdin().lock())),
        false => (path, File::open(path).and_then(bounded)),
    };
    let bytes =
        read.map_err(|error| Error::system("cannot read the declaration", name, errno_of(&error)))?;
    let name = name.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = before
            .unwrap_or_default()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        Error::new(
            Kind::Failed,
            format!("{name}:{line}: the file is no text in UTF-8"),
        )
    })?;
    Ok(Source { name, text })
}

/// Reads enough to see that a file is too long.
fn bounded(file: impl Read) -> io::Result<Vec<u8>> {
    let most = u64::try_from(LONGEST_FILE).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
