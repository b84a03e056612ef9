//! vgpu_unlock in the kernel module's source.

use std::path::Path;

use super::facts::driver::Source;
use super::{Facts, Finding};

/// The two edits of the kernel module's source.
pub fn kernel_side(facts: &Facts<'_>) -> Vec<Finding> {
    let cards = facts.unlocked();
    if cards.is_empty() || !facts.has_manager() {
        return Vec::new();
    }
    let Some(source) = facts.driver.source() else {
        let found = match facts.driver.sources.len() {
            0 => "no nvidia-<version> there",
            _ => "none of the version that is loaded",
        };
        return vec![
            Finding::unchecked("whether the kernel module is unlocked: its source is not here")
                .seen(facts.look.host.sources(), found),
        ];
    };
    let dir = source.dir.join("nvidia");
    let interface = edit(facts, &dir.join("os-interface.c"), is_hooks_include);
    let link = edit(facts, &dir.join("nvidia.Kbuild"), is_link_flag);
    let (interface, link) = match (interface, link) {
        (Ok(interface), Ok(link)) => (interface, link),
        (Err(finding), _) | (_, Err(finding)) => return vec![finding],
    };
    let missing: Vec<(&str, &str, &str)> = [
        (
            &interface,
            "os-interface.c",
            "no #include of vgpu_unlock_hooks.c",
            HOOKS_LINE,
        ),
        (
            &link,
            "nvidia.Kbuild",
            "no ldflags-y with kern.ld",
            LINK_LINE,
        ),
    ]
    .into_iter()
    .filter(|(edit, ..)| edit.is_none())
    .map(|(_, file, found, line)| (file, found, line))
    .collect();
    if missing.is_empty() {
        let seen = |file: &str, line: Option<String>| (dir.join(file), line.unwrap_or_default());
        let (hooks, kbuild) = (
            seen("os-interface.c", interface),
            seen("nvidia.Kbuild", link),
        );
        return vec![
            Finding::ok(format!("the source of {} has both edits", source.version))
                .seen(hooks.0, hooks.1)
                .seen(kbuild.0, kbuild.1),
        ];
    }
    vec![unedited(facts, source, &dir, &missing)]
}

const HOOKS_LINE: &str = "#include \"PATH/vgpu_unlock_hooks.c\"";
const LINK_LINE: &str = "ldflags-y += -T PATH/kern.ld";

fn unedited(
    facts: &Facts<'_>,
    source: &Source,
    dir: &Path,
    missing: &[(&str, &str, &str)],
) -> Finding {
    let files: Vec<&str> = missing.iter().map(|(file, ..)| *file).collect();
    let mut finding = Finding::problem(format!(
        "the kernel module's source is not unlocked ({}), so no VM starts: \"vGPU validation of \
         the GPU failed\"",
        files.join(", ")
    ));
    for (file, found, _) in missing {
        finding = finding.seen(dir.join(file), *found);
    }
    let own = facts.look.host.own_name(dir);
    for (file, _, line) in missing {
        let step = format!("add to {}: {line}", own.join(file).display());
        finding = finding.advise(step);
    }
    let version = &source.version;
    finding
        .run(format!(
            "dkms remove nvidia/{version} --all; dkms install nvidia/{version}"
        ))
        .run("reboot")
}

fn is_hooks_include(line: &str) -> bool {
    line.starts_with('#') && line.contains("include") && line.contains("vgpu_unlock_hooks.c")
}

fn is_link_flag(line: &str) -> bool {
    line.starts_with("ldflags-y") && line.contains("kern.ld")
}

/// The edited line of a file, where it is there.
fn edit(
    facts: &Facts<'_>,
    path: &Path,
    is_edit: fn(&str) -> bool,
) -> Result<Option<String>, Finding> {
    match facts.look.text(path) {
        Ok(Some(text)) => Ok(text
            .lines()
            .map(str::trim)
            .find(|line| is_edit(line))
            .map(str::to_owned)),
        Ok(None) => Err(Finding::unchecked(
            "whether the kernel module is unlocked: its source is not whole",
        )
        .seen(path, "absent")),
        Err(error) => Err(Finding::unreadable(&error)),
    }
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
