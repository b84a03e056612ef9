//! Parents of processes, from `/proc`.

use std::fs;

fn status_field(pid: u32, field: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    line.trim_start_matches(':').trim().parse().ok()
}

/// The process of a thread; FUSE names the thread that made a request.
pub fn process_of(thread: u32) -> u32 {
    status_field(thread, "Tgid").unwrap_or(thread)
}

/// Whether the processes are the same, or one is a parent of the other.
pub fn are_kin(a: u32, b: u32) -> bool {
    let is_child_of = |child, parent| status_field(child, "PPid") == Some(parent);
    // vgpuctl writes from a child process, and its caller may have the group open, as libvirt does.
    let grandparent = status_field(a, "PPid").and_then(|parent| status_field(parent, "PPid"));
    a == b || is_child_of(a, b) || is_child_of(b, a) || grandparent == Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_its_process_and_its_parent_are_kin() {
        let me = std::process::id();
        let thread = std::thread::spawn(|| nix::unistd::gettid().as_raw() as u32);
        let thread = thread.join().unwrap();
        assert_ne!(thread, me);
        assert_eq!(process_of(me), me);
        assert!(are_kin(me, me));
        assert!(are_kin(me, nix::unistd::getppid().as_raw() as u32));
        assert!(!are_kin(me, u32::MAX));
    }
}
