//! Next steps in words, with the name that this program has.

use crate::error::{Advice, Error, Hint};

/// What this program is called.
pub const PROGRAM: &str = "vgpuctl";

/// An error's next steps, those of a failed clean-up last.
pub fn hints(error: &Error) -> Vec<String> {
    error.all_hints().into_iter().flat_map(in_words).collect()
}

/// A next step: one sentence, or none where nothing is known.
pub fn in_words(hint: &Hint) -> Vec<String> {
    let advice = match hint {
        Hint::Text(text) => return vec![text.clone()],
        Hint::Advice(advice) => advice,
    };
    vec![match advice {
        Advice::Known(code) => return vgpu_explain::hints(code, PROGRAM).collect(),
        Advice::UsedSince => format!("somebody else has used it since; see: {PROGRAM} list"),
        Advice::SeeActive => format!("see: {PROGRAM} list --active"),
        Advice::SeeTypes(parent) => format!("see: {PROGRAM} types --parent {parent}"),
        Advice::SeeFunctions => format!("see what the virtual functions hold: {PROGRAM} vfs"),
        Advice::FunctionsOff(gpu) => {
            format!("its virtual functions are off; to switch them on: {PROGRAM} vfs enable {gpu}")
        }
        Advice::WithoutFunctions(gpus) => {
            format!(
                "{} can have virtual functions and has none: if its vGPUs are to live on them: \
                 {PROGRAM} vfs enable {}",
                gpus.join(", "),
                gpus.first().map_or("GPU", String::as_str)
            )
        }
        Advice::NoParents(path) => format!(
            "{} is empty: the kernel has mediated devices, but no driver offers any (is the \
             vendor's vGPU host driver loaded, and for NVIDIA, has nvidia-vgpud run?); see what is \
             wrong: {PROGRAM} doctor",
            path.display()
        ),
        Advice::NoMediatedDevices(path) => format!(
            "{} is absent: no driver that offers mediated devices is loaded (for NVIDIA, the vGPU \
             host driver; for Intel GVT-g, kvmgt); see what is wrong: {PROGRAM} doctor",
            path.display()
        ),
        Advice::OtherFramework(uuid, framework) => format!(
            "it is there, but not in the framework {} that the definition is for, as after an \
             upgrade of the kernel or the driver: {PROGRAM} undefine {uuid}, then define it anew",
            framework
        ),
        Advice::NameByFunction(vf) => {
            format!("name one by its virtual function, such as: {PROGRAM} stop {vf}")
        }
        Advice::MendFile(uuid) => {
            format!("mend the file, or delete it with: {PROGRAM} undefine {uuid}")
        }
        Advice::MendLink(uuid) => format!(
            "mend the link, which leads nowhere, or delete it with: {PROGRAM} undefine {uuid}"
        ),
        Advice::RestoreAgain => format!("the next restore writes it anew: {PROGRAM} restore"),
        Advice::PasteXml => format!(
            "install it (Debian: libvirt-clients), or paste the XML with what your libvirt has: \
             {PROGRAM} attach UUID --format libvirt"
        ),
    }]
}
