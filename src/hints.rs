//! Next steps as text, with the name of this program.

use crate::error::{Advice, Error, Hint};

/// The name of this program.
pub const PROGRAM: &str = "vgpuctl";

/// An error's next steps, those of a failed clean-up last.
pub fn hints(error: &Error) -> Vec<String> {
    error.all_hints().into_iter().flat_map(in_words).collect()
}

/// A next step: one sentence, or none if nothing is known.
pub fn in_words(hint: &Hint) -> Vec<String> {
    let advice = match hint {
        Hint::Text(text) => return vec![text.clone()],
        Hint::Advice(advice) => advice,
    };
    vec![match advice {
        Advice::Known(code) => return vgpu_explain::hints(code, PROGRAM).collect(),
        Advice::UsedSince => format!("it has been used by someone else since; see: {PROGRAM} list"),
        Advice::SeeActive => format!("see: {PROGRAM} list --active"),
        Advice::SeeTypes(parent) => format!("see: {PROGRAM} types --parent {parent}"),
        Advice::SeeFunctions => {
            format!("see which vGPUs the virtual functions hold: {PROGRAM} vfs")
        }
        Advice::FunctionsOff(gpu) => {
            format!("its virtual functions are off; to enable them: {PROGRAM} vfs enable {gpu}")
        }
        Advice::WithoutFunctions(gpus) => {
            format!(
                "{} has no virtual functions enabled; if its vGPUs should use them: \
                 {PROGRAM} vfs enable {}",
                gpus.join(", "),
                gpus.first().map_or("GPU", String::as_str)
            )
        }
        Advice::NoParents(path) => format!(
            "{} is empty: the kernel supports mediated devices, but no driver offers any (is the \
             vendor's vGPU host driver loaded, and for NVIDIA, has nvidia-vgpud run?); to diagnose \
             this: {PROGRAM} doctor",
            path.display()
        ),
        Advice::NoMediatedDevices(path) => format!(
            "{} does not exist: no driver that offers mediated devices is loaded (for NVIDIA, the vGPU \
             host driver; for Intel GVT-g, kvmgt); to diagnose this: {PROGRAM} doctor",
            path.display()
        ),
        Advice::OtherFramework(uuid, framework) => format!(
            "the parent exists, but not with the framework {} of the definition, as after an \
             upgrade of the kernel or the driver: {PROGRAM} undefine {uuid}, then define it again",
            framework
        ),
        Advice::NameByFunction(vf) => {
            format!("specify one by its virtual function, such as: {PROGRAM} stop {vf}")
        }
        Advice::MendFile(uuid) => {
            format!("fix the file, or delete it with: {PROGRAM} undefine {uuid}")
        }
        Advice::MendLink(uuid) => {
            format!("fix the dangling symbolic link, or delete it with: {PROGRAM} undefine {uuid}")
        }
        Advice::RestoreAgain => format!("the next restore writes it again: {PROGRAM} restore"),
        Advice::PasteXml => format!(
            "install it (Debian: libvirt-clients), or paste the XML with another libvirt tool: \
             {PROGRAM} attach UUID --format libvirt"
        ),
    }]
}
