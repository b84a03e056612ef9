//! The arguments that specify what a host should have.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::declare::{self, LONGEST_FILE, Reading, Source};
use crate::error::{Error, Kind, Result};
use crate::host::{Named, read_bounded, read_named};
use crate::ops::{self, Answer, Context, Plan, PlanRequest, gpu_facts, node_name};

// One declaration, of a file or several.
#[derive(Debug, Args)]
pub struct DeclarationArgs {
    /// What the host should have (vgpuctl.toml(5)); `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The file belongs to another program. nova: nova.conf; cyborg: cyborg.conf; proxmox: VM
    /// configurations, such as 100.conf, and mapping/pci.cfg if they use mappings
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// The part of such a file to use: the configuration's label; KubeVirt's node labels,
    /// as KEY=VALUE,...; the Proxmox VE node whose mappings apply, instead of this host
    #[arg(long, value_name = "LABEL", requires = "from")]
    select: Option<String>,
}

/// The program that the file belongs to.
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
    /// Whether it is read from standard input, which then cannot be used for questions.
    pub fn is_stdin(&self) -> bool {
        self.files.iter().any(|path| path == Path::new("-"))
    }

    /// Reads and parses it, for this host.
    ///
    /// # Errors
    /// A file cannot be read; all errors in the first invalid one.
    pub fn read(&self, context: &Context<'_>) -> Result<Reading> {
        let read: Result<Vec<(Source, Option<String>)>> =
            self.files.iter().map(|path| source(path)).collect();
        let (files, unshown): (Vec<Source>, Vec<Option<String>>) = read?.into_iter().unzip();
        let reading = self.understand(context, &files);
        let Some(why) = unshown.into_iter().flatten().next() else {
            return reading;
        };
        let mut reading = reading.map_err(|error| without_text(&error, &files, &why))?;
        if !reading.notes.is_empty() {
            reading.notes = vec![format!("notes about the file are not shown: {why}")];
        }
        Ok(reading)
    }

    fn understand(&self, context: &Context<'_>, files: &[Source]) -> Result<Reading> {
        match (self.from, files) {
            (Some(format), files) => {
                // What could not be read is reported when the host is compared with it.
                let gpus = gpu_facts(context)?.value;
                // A cluster's mappings list all of its nodes; this one is meant.
                let node = || match format {
                    Format::Proxmox => node_name(context.host),
                    _ => None,
                };
                let select = self.select.clone().or_else(node);
                declare::import(format.into(), files, select.as_deref(), &gpus)
            }
            (None, [file]) => declare::parse(file),
            (None, _) => Err(Error::new(Kind::Usage, "a declaration is a single file")
                .hint("only --from proxmox accepts several files")),
        }
    }

    /// What there is to do to make this host match it, with the notes on the file.
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

/// A file's text, and why it must not be shown, if so.
fn source(path: &Path) -> Result<(Source, Option<String>)> {
    const MOST: usize = LONGEST_FILE >> 20;
    let what = "the declaration";
    let (name, named) = match path == Path::new("-") {
        true => {
            let name = Path::new("standard input");
            let bytes = read_bounded(io::stdin().lock(), name, what, MOST)?;
            let unshown = None;
            (name, Named { bytes, unshown })
        }
        false => (path, read_named(path, what, MOST)?),
    };
    let name = name.display().to_string();
    let text = String::from_utf8(named.bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = before
            .unwrap_or_default()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        Error::new(
            Kind::Failed,
            format!("{name}:{line}: the file is not valid UTF-8"),
        )
    })?;
    Ok((Source { name, text }, named.unshown))
}

/// The same errors without any of the files' text: only their locations.
fn without_text(error: &Error, files: &[Source], why: &str) -> Error {
    let mut places: Vec<String> = Vec::new();
    for one in std::iter::once(error).chain(error.others()) {
        let place = place(one.message(), files);
        if places.last() != Some(&place) {
            places.push(place);
        }
    }
    let mut faults = places.into_iter().map(|place| {
        Error::new(
            error.kind(),
            format!("{place}: invalid content, not shown: {why}"),
        )
    });
    match faults.next() {
        Some(first) => first.and_others(faults.collect()),
        None => Error::new(error.kind(), why),
    }
}

/// "FILE:LINE" of a message that begins with it; otherwise the first file.
fn place(message: &str, files: &[Source]) -> String {
    let with_line = files.iter().find_map(|file| {
        let rest = message.strip_prefix(&file.name)?.strip_prefix(':')?;
        let (line, _) = rest.split_once(':')?;
        let line: usize = line.parse().ok()?;
        Some(format!("{}:{line}", file.name))
    });
    with_line.unwrap_or_else(|| {
        files
            .first()
            .map(|file| file.name.clone())
            .unwrap_or_default()
    })
}
