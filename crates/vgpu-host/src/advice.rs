//! Next steps for the user. What is a command of this program is named here and put into words where
//! the program talks, which knows what it is called. Parents and functions are named as users know them.

use std::path::PathBuf;

use uuid::Uuid;

/// A next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// In words.
    Text(String),
    /// One that this program does, or knows more of.
    Advice(Advice),
}

/// A next step that this program does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// What the table of known failures says under this code.
    Known(&'static str),
    /// Somebody else has used a device since: see what there is.
    UsedSince,
    /// See what is active.
    SeeActive,
    /// See what a parent offers.
    SeeTypes(String),
    /// See what the virtual functions hold.
    SeeFunctions,
    /// A GPU's virtual functions are off.
    FunctionsOff(String),
    /// These GPUs can have virtual functions and have none.
    WithoutFunctions(Vec<String>),
    /// The kernel lists parents of mediated devices here, and there are none.
    NoParents(PathBuf),
    /// The kernel would list parents of mediated devices here, and does not.
    NoMediatedDevices(PathBuf),
    /// A definition's parent is there, but in another framework than this.
    OtherFramework(Uuid, &'static str),
    /// Two functions have one UUID: name the device by this one.
    NameByFunction(String),
    /// A definition's file can be mended or deleted.
    MendFile(Uuid),
    /// A definition is a link that leads nowhere.
    MendLink(Uuid),
    /// The next restore writes a file anew.
    RestoreAgain,
    /// There is no virsh: the device's XML can be pasted.
    PasteXml,
}

impl From<String> for Hint {
    fn from(text: String) -> Hint {
        Hint::Text(text)
    }
}

impl From<&str> for Hint {
    fn from(text: &str) -> Hint {
        Hint::Text(text.to_owned())
    }
}

impl From<Advice> for Hint {
    fn from(advice: Advice) -> Hint {
        Hint::Advice(advice)
    }
}
