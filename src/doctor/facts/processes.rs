//! Which of NVIDIA's daemons run, as far as the caller may look.

use super::Look;

/// A running daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The files it has in its memory; `None` where the caller may not look.
    pub maps: Option<String>,
}

/// The daemons that run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processes {
    /// Whether there is a list of processes at all, of other users too.
    pub is_known: bool,
    /// `nvidia-vgpu-mgr`, which stays.
    pub manager: Vec<Process>,
}

/// The kernel keeps 15 bytes of a name, which is all of this one.
const MANAGER: &str = "nvidia-vgpu-mgr";

impl Processes {
    /// Looks through all processes.
    pub fn read(look: Look<'_>) -> Processes {
        let top = look.host.processes();
        let name = |pid: &str| look.text(&top.join(pid).join("comm")).ok().flatten();
        let pids = look.names_or_none(&top).into_iter();
        let manager = pids.filter_map(|text| {
            let pid = text.parse().ok()?;
            (name(&text)?.trim_end() == MANAGER).then(|| Process {
                pid,
                maps: look.long_text(&top.join(&text).join("maps")).ok().flatten(),
            })
        });
        Processes {
            manager: manager.collect(),
            is_known: name("1").is_some(),
        }
    }
}
