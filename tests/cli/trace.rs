//! What a run of the program asks the kernel, by strace.
//!
//! strace counts each name for itself, so a point is a name and a number: the third `openat`. The
//! calls before the first one that names the host's root are the dynamic loader's and the runtime's,
//! and are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::harness::{SimHost, finished};

/// Whether a thread waits for another depends on which is faster; nothing changes by waiting.
const WAITS: [&str; 2] = ["restart_syscall", "futex"];

/// How often the allocator calls these depends on where the kernel happens to put a thread's memory:
/// it gives back what is before and after an aligned part, where there is any (since Linux 6.7 one
/// address in 32 is aligned already). Nobody outside sees it.
const MEMORY: [&str; 6] = ["brk", "madvise", "mmap", "mprotect", "mremap", "munmap"];

/// Which call of which name.
pub type Point = (String, usize);

/// Whose calls count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Those of children and threads too; each counts for itself.
    Children,
    /// The program's first thread's only: what it runs is another program.
    Nobody,
}

impl Follow {
    /// strace's option for it.
    pub fn option(self) -> &'static str {
        match self {
            Follow::Children => "-f",
            // It follows nobody unasked.
            Follow::Nobody => "-q",
        }
    }
}

/// The calls of an undisturbed run.
pub fn calls(host: &SimHost, line: &str, follow: Follow) -> BTreeSet<Point> {
    traced(host, line, follow).into_keys().collect()
}

/// Calls that leave everything outside the program as it was, unless a file is opened to be written: a kill
/// before any of a row of them comes to the same as before the next call that changes something.
const LOOKS: [&str; 27] = [
    "access",
    "close",
    "dup",
    "dup2",
    "faccessat",
    "faccessat2",
    "fcntl",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getpid",
    "getrandom",
    "getuid",
    "ioctl",
    "lseek",
    "lstat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "poll",
    "read",
    "readlinkat",
    "statx",
];

fn changes_something(name: &str, arguments: &str) -> bool {
    let opens = ["O_CREAT", "O_TRUNC", "O_WRONLY", "O_RDWR", "O_TMPFILE"];
    !LOOKS.contains(&name)
        || name.starts_with("open") && opens.iter().any(|flag| arguments.contains(flag))
}

/// The calls of an undisturbed run, and whether each may change something outside.
pub fn traced(host: &SimHost, line: &str, follow: Follow) -> BTreeMap<Point, bool> {
    let trace = host.path("usr/trace");
    let options = [follow.option(), "-qq", "-o", trace.to_str().unwrap()];
    let run = finished(
        host.strace(&options, line.split_whitespace())
            .output()
            .expect("strace is installed by: make"),
    );
    assert_eq!(
        run.status, 0,
        "an undisturbed run under strace fails; may this user trace (ptrace) at all? {run:#?}"
    );
    let root = host.root().to_str().unwrap();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    // A child's end may or may not interrupt its parent's waiting, which then counts once more.
    let mut again: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut points = BTreeMap::new();
    let mut started = false;
    // A later thread's call of such a number would be the loader's in the first.
    let mut loaded: BTreeMap<&str, usize> = BTreeMap::new();
    let text = fs::read_to_string(&trace).unwrap();
    for line in text.lines() {
        // "4711  openat(AT_FDCWD, ..."; the second half of a call is "4711  <... openat resumed>".
        let (pid, call) = match follow {
            Follow::Children => line.split_once(' ').unwrap(),
            Follow::Nobody => ("", line),
        };
        let Some((name, arguments)) = call.trim_start().split_once('(') else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let count = counts.entry((pid, name)).or_default();
        *count += 1;
        let count = *count;
        if !started && name != "execve" && arguments.contains(root) {
            started = true;
            let of_loader = counts.iter().map(|((_, name), count)| (*name, *count));
            loaded = of_loader.collect();
            loaded.entry(name).and_modify(|count| *count -= 1);
        }
        if line.contains("ERESTART") {
            *again.entry((pid, name)).or_default() += 1;
        }
        if started && !WAITS.contains(&name) && !MEMORY.contains(&name) {
            points.insert((pid, name, count), changes_something(name, arguments));
        }
    }
    let mut all: BTreeMap<Point, bool> = BTreeMap::new();
    let kept = points.into_iter().filter(|((pid, name, count), _)| {
        let more = again.get(&(*pid, *name)).copied().unwrap_or_default();
        let loader = loaded.get(name).copied().unwrap_or_default();
        *count > loader && *count <= counts[&(*pid, *name)] - more
    });
    for ((_, name, count), changes) in kept {
        *all.entry((name.to_owned(), count)).or_default() |= changes;
    }
    all
}

/// `remove` looks through all processes: a machine's real ones come and go, and so would the calls.
pub fn few_processes(host: &SimHost) {
    fs::remove_file(host.path("proc")).unwrap();
    for pid in ["1", "4711"] {
        fs::create_dir_all(host.path("proc").join(pid).join("fd")).unwrap();
    }
}
