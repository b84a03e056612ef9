//! vgpu_unlock in the kernel module's source.

use super::facts::driver::EDITED;
use super::{Evidence, Facts, Finding};

/// What an edited file must have.
struct Edit {
    is_line: fn(&str) -> bool,
    absent: &'static str,
    wanted: &'static str,
}

/// The edits of [`EDITED`].
const EDITS: [Edit; 2] = [
    Edit {
        is_line: is_hooks_include,
        absent: "no #include of vgpu_unlock_hooks.c",
        wanted: "#include \"PATH/vgpu_unlock_hooks.c\"",
    },
    Edit {
        is_line: is_link_flag,
        absent: "no ldflags-y with kern.ld",
        wanted: "ldflags-y += -T PATH/kern.ld",
    },
];

/// The two edits of the kernel module's source.
pub fn kernel_side(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.unlocked().is_empty() || !facts.has_manager() {
        return Vec::new();
    }
    let Some(source) = facts.driver.source() else {
        let found = match facts.driver.sources.len() {
            0 => "no nvidia-<version>",
            _ => "no source of the loaded version",
        };
        let message = "cannot tell whether the kernel module is unlocked: its source is missing";
        return Finding::unchecked(message)
            .seen(facts.host.sources(), found)
            .into();
    };
    let (dir, version) = (source.dir.join("nvidia"), &source.version);
    let (mut edited, mut missing, mut files, mut steps) = (vec![], vec![], vec![], vec![]);
    for ((name, text), edit) in EDITED.iter().zip(&facts.driver.edited).zip(&EDITS) {
        let path = dir.join(name);
        let text = match text {
            Ok(Some(text)) => text,
            Ok(None) => {
                let message =
                    "cannot tell whether the kernel module is unlocked: its source is incomplete";
                return Finding::unchecked(message).seen(path, "absent").into();
            }
            Err(error) => return Finding::unreadable(error).into(),
        };
        if let Some(line) = text
            .lines()
            .map(str::trim)
            .find(|line| (edit.is_line)(line))
        {
            edited.push(Evidence::new(path, line));
            continue;
        }
        let own = facts.host.own_name(&path);
        steps.push(format!("add to {}: {}", own.display(), edit.wanted));
        missing.push(Evidence::new(path, edit.absent));
        files.push(*name);
    }
    if missing.is_empty() {
        let message = format!("the source of {version} has both edits");
        return Finding::ok(message).seen_all(edited).into();
    }
    let message = format!(
        "the kernel module's source is not unlocked ({}), so no VM starts: \"vGPU validation of \
         the GPU failed\"",
        files.join(", ")
    );
    let finding = Finding::problem(message).seen_all(missing);
    steps
        .into_iter()
        .fold(finding, Finding::advise)
        .run(format!(
            "dkms remove nvidia/{version} --all; dkms install nvidia/{version}"
        ))
        .run("reboot")
        .into()
}

fn is_hooks_include(line: &str) -> bool {
    line.starts_with('#') && line.contains("include") && line.contains("vgpu_unlock_hooks.c")
}

fn is_link_flag(line: &str) -> bool {
    line.starts_with("ldflags-y") && line.contains("kern.ld")
}

#[cfg(test)]
mod tests {
    use super::{is_hooks_include, is_link_flag};

    #[test]
    fn both_edits_are_known_wherever_the_unlock_lies() {
        for line in [
            "#include \"/opt/vgpu_unlock/vgpu_unlock_hooks.c\"",
            "#include \"../unlock/vgpu_unlock_hooks.c\"",
            "# include <vgpu_unlock_hooks.c>",
        ] {
            assert!(is_hooks_include(line), "{line}");
        }
        for line in [
            "ldflags-y += -T /opt/vgpu_unlock/kern.ld",
            "ldflags-y += -T $(src)/nvidia/kern.ld",
        ] {
            assert!(is_link_flag(line), "{line}");
        }
        assert!(!is_hooks_include("// #include \"vgpu_unlock_hooks.c\""));
        assert!(!is_link_flag("# ldflags-y += -T kern.ld"));
    }
}
