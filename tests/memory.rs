//! What other programs' files may cost in memory: at most 32 MiB, whatever a file of 1 MiB holds; and
//! a log in one line no more than the same log in many.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vgpu_explain::{Listener, all_known};
use vgpuctl::declare::{Format, Source, import};

/// What a file of [`LARGEST`] bytes may cost, the file itself not counted.
const MOST: usize = 32 << 20;
const LARGEST: usize = 1 << 20;

/// Counts what each thread holds, the most that it held, and all that it ever took.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST_HELD: Cell<usize> = const { Cell::new(0) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// Counts it; whether that is still bearable, so that a failure does not take the whole machine.
fn took(size: usize) -> bool {
    let held = HELD.get() + size;
    HELD.set(held);
    TAKEN.set(TAKEN.get() + size);
    MOST_HELD.set(MOST_HELD.get().max(held));
    held < 16 * MOST
}

fn gave(size: usize) {
    // What another thread made may be given back here.
    HELD.set(HELD.get().saturating_sub(size));
}

// It only counts; the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match took(layout.size()) {
            true => unsafe { System.alloc(layout) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        gave(layout.size());
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old one is there until the new one is full.
        let is_bearable = took(size);
        gave(layout.size());
        match is_bearable {
            true => unsafe { System.realloc(at, layout, size) },
            false => std::ptr::null_mut(),
        }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that is held at once while the text is read, beyond what was held before.
fn cost(format: Format, text: String) -> usize {
    let source = Source {
        name: "f".to_owned(),
        text,
    };
    let before = HELD.get();
    MOST_HELD.set(before);
    let reading = import(format, std::slice::from_ref(&source), Some("a=b"), &[]);
    drop(reading);
    MOST_HELD.get() - before
}

/// As often as it fits into the largest file, numbered where it says `#`.
fn filled(begin: &str, part: &str, end: &str) -> String {
    filled_to(LARGEST, begin, part, end)
}

fn filled_to(size: usize, begin: &str, part: &str, end: &str) -> String {
    let mut text = begin.to_owned();
    for number in 0_u32.. {
        let next = part.replace('#', &format!("{number:x}"));
        if text.len() + next.len() + end.len() > size {
            break;
        }
        text += &next;
    }
    text + end
}

fn holds(name: &str, text: String) {
    assert!(text.len() <= LARGEST);
    let formats = match text.starts_with("version") {
        true => &[Format::VgpuDeviceManager][..],
        false if text.starts_with("mediated") => &[Format::KubeVirt],
        false => &[Format::KubeVirt, Format::VgpuDeviceManager],
    };
    for format in formats {
        let cost = cost(*format, text.clone());
        println!("{name}, {format:?}: {} KiB", cost >> 10);
        assert!(
            cost < MOST,
            "{name}, {format:?}: {} KiB for {} KiB",
            cost >> 10,
            text.len() >> 10
        );
    }
}

#[test]
fn aliases_that_multiply() {
    let long = "x".repeat(LARGEST / 2);
    holds(
        "a long text often",
        filled(&format!("a: &a {long}\nb:\n"), "- *a\n", ""),
    );
    let nine = |of: &str| format!("[{}]", vec![format!("*{of}"); 9].join(","));
    let mut laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for pair in ["ab", "bc", "cd", "de", "ef", "fg", "gh"] {
        let (from, to) = pair.split_at(1);
        laughs += &format!("{to}: &{to} {}\n", nine(from));
    }
    holds("lists of lists", laughs);
    let wide = filled("a: &a {", "k#: v,", "}\n");
    holds(
        "one mapping merged often",
        filled(&wide[..LARGEST / 8], ",z: v}\nb#:\n  <<: *a\n", ""),
    );
    let list = filled("a: &a [", "x,", "x]\n");
    let half = format!("{}x]\n", &list[..LARGEST / 2]);
    holds("a wide list often", filled(&(half + "b:\n"), "- *a\n", ""));
    let nested = filled("", "&a# [", "");
    holds("anchors in anchors", nested);
    holds("anchors in a row", filled("a:\n", "- &a# x\n", ""));
    holds("a long anchored text in anchors", {
        let open: String = (0..60).map(|n| format!("&a{n} [")).collect();
        format!("{open}{}", filled("", "x,", &"]".repeat(60)).split_off(400))
    });
}

#[test]
fn many_tiny_nodes() {
    for (name, begin, part, end) in [
        ("a list in brackets", "a: [", "x,", "]\n"),
        ("numbers in brackets", "a: [", "1,", "]\n"),
        ("empty lists in brackets", "a: [", "[],", "]\n"),
        ("empty mappings in brackets", "a: [", "{},", "]\n"),
        ("empty keys in brackets", "a: {", ":,", "}\n"),
        ("questions in brackets", "a: {", "? ,", "}\n"),
        ("keys in brackets", "a: {", "k#: v,", "}\n"),
        ("pairs in brackets", "a: [", "k: v,", "]\n"),
        ("quotes in brackets", "a: [", "'',", "]\n"),
        ("quotes without commas", "a: [", "''", "]\n"),
        ("anchors without commas", "a: [", "&a ", "]\n"),
        ("tags without commas", "a: [", "!a ", "]\n"),
        ("aliases without commas", "a: [", "*a ", "]\n"),
        ("a bracket that never ends", "", "[a,", ""),
        ("a list", "a:\n", "- x\n", ""),
        ("nothing in a list", "a:\n", "-\n", ""),
        ("keys", "", "k#:\n", ""),
        ("the same key", "", "k:\n", ""),
        ("small mappings", "a:\n", "- k: v\n", ""),
        ("small lists", "a:\n", "- [x]\n", ""),
        ("documents", "", "---\nx\n", ""),
        ("empty documents", "", "---\n", ""),
        ("directives", "", "%TAG !a# tag:x\n", "---\nx\n"),
        ("comments", "", "#\n", "a: b\n"),
        ("blank lines in a text", "a: |\n", "\n", "  x\n"),
        ("one signs", "", "-", ""),
        ("colons", "", ": ", ""),
        ("questions", "", "? ", ""),
        (
            "node selectors",
            "mediatedDevicesConfiguration:\n  nodeMediatedDeviceTypes:\n",
            "  - nodeSelector: {a: b}\n    mediatedDeviceTypes: [nvidia-#]\n",
            "",
        ),
        (
            "short types",
            "mediatedDevicesConfiguration:\n  mediatedDeviceTypes: [",
            "#,",
            "]\n",
        ),
        (
            "types",
            "mediatedDevicesConfiguration:\n  mediatedDeviceTypes:\n",
            "  - nvidia-#\n",
            "",
        ),
        (
            "faults",
            "mediatedDevicesConfiguration:\n  mediatedDeviceTypes:\n",
            "  - {}\n",
            "",
        ),
        (
            "unknown keys",
            "mediatedDevicesConfiguration:\n",
            "  k#:\n",
            "",
        ),
        (
            "configurations",
            "version: v1\nvgpu-configs:\n",
            "  c#:\n  - devices: all\n    vgpu-devices: {A#: 1}\n",
            "",
        ),
        (
            "types of a configuration",
            "version: v1\nvgpu-configs:\n  a=b:\n  - devices: all\n    vgpu-devices:\n",
            "      T4-#Q: 1\n",
            "",
        ),
        (
            "filters",
            "version: v1\nvgpu-configs:\n  a=b:\n  - devices: all\n    vgpu-devices: {T4-1Q: 1}\n    device-filter:\n",
            "    - '0x#'\n",
            "",
        ),
        (
            "entries of a configuration",
            "version: v1\nvgpu-configs:\n  a=b:\n",
            "  - devices: [#]\n    vgpu-devices: {T4-1Q: 1}\n",
            "",
        ),
        (
            "faults in entries",
            "version: v1\nvgpu-configs:\n  a=b:\n",
            "  - x\n",
            "",
        ),
    ] {
        // Files that are refused as a whole cost less than those that are just not.
        for eighths in [8, 3] {
            let size = LARGEST / 8 * eighths;
            holds(name, filled_to(size, begin, part, end));
        }
    }
}

#[test]
fn deep_nesting() {
    for part in ["[", "{", "- ", "? ", "{a: ", "[{", "a:\n "] {
        holds(&format!("{part:?} again and again"), filled("", part, ""));
    }
}

#[test]
fn long_texts() {
    let long = |length| "k".repeat(length);
    for (name, text) in [
        ("a key", format!("{}: v", long(LARGEST - 4))),
        ("a key in quotes", format!("\"{}\": v", long(LARGEST - 6))),
        ("a key in question", format!("? {}\n: v", long(LARGEST - 8))),
        ("a text", format!("a: {}", long(LARGEST - 4))),
        ("a tag", format!("a: !{} x", long(LARGEST - 8))),
        ("an anchor", format!("a: &{} x", long(LARGEST - 8))),
        ("an alias", format!("a: *{}", long(LARGEST - 8))),
        (
            "a directive",
            format!("%TAG !a! {}\n---\nx", long(LARGEST - 16)),
        ),
        ("escapes", filled("a: \"", "\\x41", "\"")),
        ("a folded text", filled("a: >\n", "  x\n", "")),
        (
            "a fault",
            format!("mediatedDevicesConfiguration: {}", long(LARGEST - 40)),
        ),
    ] {
        holds(name, text);
    }
    holds(
        "long keys",
        filled("", &format!("{}#: v\n", long(1000)), ""),
    );
    holds(
        "prefixes of tags",
        filled(
            &format!("%TAG !a! {}\n---\n", long(LARGEST / 2)),
            "- !a!x x\n",
            "",
        ),
    );
}

/// The most that is held at once while a log is heard, and all that is taken for it.
fn hearing(log: &[u8]) -> (usize, usize) {
    let (before, taken) = (HELD.get(), TAKEN.get());
    MOST_HELD.set(before);
    let mut listener = Listener::new();
    for portion in log.chunks(1 << 16) {
        listener.hear(portion);
    }
    drop(listener.findings());
    (MOST_HELD.get() - before, TAKEN.get() - taken)
}

#[test]
fn a_log_in_one_line_costs_no_more_than_in_many() {
    // What all logs share is made once.
    hearing(b"x");
    let examples = all_known().flat_map(|known| &known.examples);
    let messages: Vec<&str> = examples.flat_map(|text| text.lines()).collect();
    for (name, lines) in [
        ("failures", messages),
        (
            "one failure",
            vec!["vmiop_env_log: Failed to get VM UUID from QEMU command-line 0x57"],
        ),
        (
            "half of one",
            vec!["vmiop_env_log: Failed to get VM UUID from"],
        ),
        ("mark-up", vec!["<a &lt; \\u0041 <pre \"a\":"]),
    ] {
        let of = |separator: &str, size: usize| {
            let part = lines.join(separator) + separator;
            part.repeat((size / part.len()).max(2))
        };
        let many = hearing(of("\n", LARGEST).as_bytes());
        let one = hearing(of(" ", LARGEST).as_bytes());
        let longer = hearing(of(" ", 2 * LARGEST).as_bytes());
        println!("{name}: many lines {many:?}, one line {one:?}, a longer one {longer:?}");
        // What is kept of each pattern, and the pieces that are remembered.
        assert!(
            one.0.max(longer.0) < MOST / 2,
            "{name}: {one:?}, {longer:?}"
        );
        assert!(longer.1 < one.1 + LARGEST, "{name}: {one:?}, {longer:?}");
    }
}
