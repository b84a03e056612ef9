//! Which of NVIDIA's daemons run, as far as the caller may look.

use super::{Look, Read};

/// A running daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The files it has in its memory, as far as the caller may look.
    pub maps: Read<String>,
}

/// The kernel keeps 15 bytes of a name, which is all of this one.
const MANAGER: &str = "nvidia-vgpu-mgr";

/// Those named `nvidia-vgpu-mgr`, which stays; `None` where the processes of others cannot be seen.
/// All are looked through only where that is `installed`.
pub fn managers(look: &Look<'_>, installed: bool) -> Option<Vec<Process>> {
    let top = look.host.processes();
    let dir = look.dir(&top).ok()??;
    let name = |pid: &str| dir.read_bytes(format!("{pid}/comm"));
    let running = |text: String| {
        let pid = text.parse().ok()?;
        let is_it = name(&text).is_ok_and(|name| name.trim_ascii_end() == MANAGER.as_bytes());
        let maps = || look.long_text(&top.join(&text).join("maps"));
        is_it.then(|| Process { pid, maps: maps() })
    };
    name("1").ok()?;
    let pids = match installed {
        true => look.names_or_none(&top),
        false => Vec::new(),
    };
    Some(pids.into_iter().filter_map(running).collect())
}
