//! Values that depend on the host.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::ArgExt;
use clap_complete::engine::CompletionCandidate;

use crate::cli::host;
use crate::host::Host;
use crate::model::{ParentId, VgpuType};
use crate::nvidia::{Series, size};
use crate::ops::{self, Context, ListRequest, Listed, TypesRequest, VfsRequest, Which};

/// What an argument is, for completion; put on it with `#[arg(add = ...)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// A device.
    Device,
    /// A device that exists in the kernel.
    ActiveDevice,
    /// A definition whose device does not exist.
    InactiveDevice,
    /// A device that has a definition.
    DefinedDevice,
    /// A parent, or a GPU in place of its functions.
    Parent,
    /// A way of placing devices, or a parent.
    Placement,
    /// A GPU that can have virtual functions.
    SriovGpu,
    /// A type, on the parent that is named before it or on any.
    Type,
    /// A framebuffer size that a type has.
    Framebuffer,
    /// A series of types.
    Series,
}

impl ArgExt for Live {}

/// What was typed before the word to complete.
#[derive(Debug, Clone)]
pub struct Line(Vec<OsString>);

impl Line {
    /// Those words, without the program's name.
    pub fn of(words: &[OsString]) -> Line {
        Line(words.to_vec())
    }

    /// The value of an option: of `--name VALUE`, `--name=VALUE` and, for its `letter`, `-l VALUE`.
    fn value(&self, name: &str, letter: Option<&str>) -> Option<&OsStr> {
        let long = format!("--{name}");
        let apart = |pair: &[OsString]| pair[0] == *long || letter.is_some_and(|l| pair[0] == l);
        let joined = |word: &'_ OsString| -> Option<usize> {
            let text = word.to_str()?;
            text.strip_prefix(&long)?
                .starts_with('=')
                .then_some(long.len() + 1)
        };
        let apart = self
            .0
            .windows(2)
            .find(|pair| apart(pair))
            .map(|pair| pair[1].as_os_str());
        apart.or_else(|| {
            self.0.iter().find_map(|word| {
                let at = joined(word)?;
                word.to_str()?.get(at..).map(OsStr::new)
            })
        })
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|given| given == word)
    }

    fn host(&self) -> Host {
        let root: Option<PathBuf> = self.value("root", None).map(Into::into);
        // A root that does not exist has nothing to offer.
        host(root.clone()).unwrap_or_else(|_| Host::new(root.unwrap_or_default()))
    }

    fn parent(&self) -> Option<ParentId> {
        let text = self.value("parent", Some("-p"))?.to_str()?;
        text.parse().ok()
    }
}

impl Live {
    /// The possible values of the argument on the host of this line. What cannot be read is omitted.
    pub fn candidates(self, line: &Line) -> Vec<CompletionCandidate> {
        let host = line.host();
        let context = &Context::of(&host);
        match self {
            Live::Device => devices(context, line, |_| true),
            Live::ActiveDevice => devices(context, line, |one| one.active != Some(false)),
            Live::InactiveDevice => devices(context, line, |one| one.active == Some(false)),
            Live::DefinedDevice => devices(context, line, |one| one.start.is_some()),
            Live::Parent => parents(context),
            Live::Placement => placements(context),
            Live::SriovGpu => sriov_gpus(context),
            Live::Type => types(context, line),
            Live::Framebuffer => framebuffers(context, line),
            Live::Series => Series::ALL.map(series).into(),
        }
    }
}

fn candidate(value: impl Into<OsString>, help: String) -> CompletionCandidate {
    let help = Some(help).filter(|help| !help.is_empty());
    CompletionCandidate::new(value).help(help.map(Into::into))
}

fn listed(context: &Context<'_>, parent: Option<ParentId>) -> Vec<Listed> {
    let request = ListRequest {
        which: Which::All,
        parent,
        type_name: None,
    };
    ops::list(context, &request).map_or_else(|_| Vec::new(), |answer| answer.value)
}

/// Each device that is `wanted` and not named yet.
fn devices(
    context: &Context<'_>,
    line: &Line,
    wanted: impl Fn(&Listed) -> bool,
) -> Vec<CompletionCandidate> {
    let listed = listed(context, line.parent());
    let wanted = listed.iter().filter(|one| wanted(one));
    let told = wanted.filter_map(|one| {
        let uuid = one.known_uuid()?.to_string();
        (!line.has(&uuid)).then(|| candidate(uuid, what_it_is(one)))
    });
    told.collect()
}

fn what_it_is(one: &Listed) -> String {
    let type_name = one.type_name.as_deref().map(crate::nvidia::short_name);
    let type_name = type_name.map(|name| format!(" ({name})"));
    let state = match one.active {
        Some(true) => "",
        Some(false) => ", inactive",
        None => ", unreadable",
    };
    format!(
        "{}{} on {}{state}",
        one.type_id,
        type_name.unwrap_or_default(),
        one.parent
    )
}

/// The kernel's parents and those that occur only in definitions. Functions are hidden behind their GPU until typed.
fn parents(context: &Context<'_>) -> Vec<CompletionCandidate> {
    let parents = context.kernel.parents(&mut Vec::new()).unwrap_or_default();
    let defined = listed(context, None).into_iter().map(|one| one.parent);
    let mut whole: Vec<ParentId> = parents.iter().map(|parent| parent.gpu().clone()).collect();
    whole.extend(defined.filter(|id| parents.iter().all(|parent| parent.id != *id)));
    whole.sort();
    whole.dedup();
    let functions = parents.into_iter().filter(|parent| parent.gpu.is_some());
    let functions =
        functions.map(|function| candidate(function.id.as_str(), String::new()).hide(true));
    let whole = whole.iter().map(|id| candidate(id.as_str(), String::new()));
    whole.chain(functions).collect()
}

fn placements(context: &Context<'_>) -> Vec<CompletionCandidate> {
    let mut all = vec![
        candidate("pack", "the fullest GPU with free capacity".to_owned()),
        candidate("spread", "the emptiest GPU".to_owned()),
    ];
    all.extend(parents(context));
    all
}

fn sriov_gpus(context: &Context<'_>) -> Vec<CompletionCandidate> {
    let gpus = ops::vfs(context, &VfsRequest::default());
    let gpus = gpus.map_or_else(|_| Vec::new(), |answer| answer.value);
    let told = gpus.into_iter().map(|one| {
        let help = format!("{} of {} functions", one.functions.len(), one.total);
        candidate(one.gpu.as_str(), help)
    });
    told.collect()
}

/// Each type once, in the order of the parents that have it.
fn offered(context: &Context<'_>, line: &Line) -> Vec<VgpuType> {
    let request = TypesRequest {
        parent: line.parent(),
        filter: ops::TypeFilter::default(),
    };
    let parents = ops::types(context, &request);
    let parents = parents.map_or_else(|_| Vec::new(), |answer| answer.value);
    let mut all: Vec<VgpuType> = Vec::new();
    for vgpu_type in parents.into_iter().flat_map(|parent| parent.types) {
        if !all.iter().any(|known| known.id == vgpu_type.id) {
            all.push(vgpu_type);
        }
    }
    all
}

/// Types by id; their short names are hidden until typed.
fn types(context: &Context<'_>, line: &Line) -> Vec<CompletionCandidate> {
    let all = offered(context, line);
    let by_id = all.iter().map(|one| {
        let name = one.name.as_deref().unwrap_or_default();
        candidate(one.id.as_str(), name.to_owned())
    });
    let by_name = all.iter().filter(|one| one.name.is_some());
    let by_name = by_name.map(|one| candidate(one.short_name(), one.id.to_string()).hide(true));
    by_id.chain(by_name).collect()
}

fn framebuffers(context: &Context<'_>, line: &Line) -> Vec<CompletionCandidate> {
    let all = offered(context, line);
    let mut sizes: Vec<u64> = all.iter().filter_map(VgpuType::framebuffer_mib).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let told = sizes.into_iter().map(|mib| {
        let text = match mib % 1024 {
            0 => format!("{}G", mib / 1024),
            _ => format!("{mib}M"),
        };
        candidate(text, size(mib).to_string())
    });
    told.collect()
}

fn series(one: Series) -> CompletionCandidate {
    candidate(one.name(), one.purpose().to_owned())
}
