//! The one error type: what was tried, where, what the kernel answered, what to do next.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

pub use crate::advice::{Advice, Hint};
use nvidia_vgpu::Invalid;

/// What went wrong, in the terms a caller can act on; each has one exit status and one JSON code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The operation was tried and failed.
    Failed,
    /// The request itself makes no sense, or does not say enough.
    Usage,
    /// No such parent, type, device or definition.
    NotFound,
    /// No instance of the type is free.
    NoCapacity,
    /// A process has the device open.
    InUse,
    /// The caller may not do this.
    NotPermitted,
    /// Some of what was asked for is done, some is not.
    Partial,
    /// A signal ended it.
    Interrupted,
}

impl Kind {
    /// The process's exit status for this kind.
    pub fn exit_status(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::NoCapacity => 4,
            Kind::InUse => 5,
            Kind::NotPermitted => 6,
            Kind::Partial => 7,
            // What a shell says of SIGINT; the program dies of the signal itself, if it can.
            Kind::Interrupted => 130,
        }
    }

    /// The kind that a word in JSON stands for.
    pub fn of_code(code: &str) -> Option<Kind> {
        let all = [
            Kind::Failed,
            Kind::Usage,
            Kind::NotFound,
            Kind::NoCapacity,
            Kind::InUse,
            Kind::NotPermitted,
            Kind::Partial,
            Kind::Interrupted,
        ];
        all.into_iter().find(|kind| kind.code() == code)
    }

    /// The word that stands for this kind in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::NotFound => "not-found",
            Kind::NoCapacity => "no-capacity",
            Kind::InUse => "in-use",
            Kind::NotPermitted => "not-permitted",
            Kind::Partial => "partial",
            Kind::Interrupted => "interrupted",
        }
    }
}

/// A failure with its address. Also used as a warning where it did not stop the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    message: String,
    path: Option<PathBuf>,
    errno: Option<Errno>,
    clean_up: Option<Error>,
    hints: Vec<Hint>,
    others: Vec<Error>,
}

/// Equal errors have equal messages and paths.
impl Hash for Error {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.message.hash(state);
        self.0.path.hash(state);
    }
}

/// A result whose failure is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Failures that did not stop the command: bad data found on the way.
pub type Warnings = Vec<Error>;

impl Error {
    /// A failure of `kind`; `message` says what was tried, or what is wrong.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            errno: None,
            clean_up: None,
            hints: Vec::new(),
            others: Vec::new(),
        }))
    }

    /// What the kernel refused at `path`. EACCES, EPERM and EROFS mean [`Kind::NotPermitted`].
    pub fn system(message: impl Into<String>, path: impl Into<PathBuf>, errno: Errno) -> Error {
        let kind = match errno {
            Errno::EACCES | Errno::EPERM | Errno::EROFS => Kind::NotPermitted,
            _ => Kind::Failed,
        };
        let mut error = Error::new(kind, message).at(path);
        error.0.errno = Some(errno);
        if matches!(errno, Errno::EACCES | Errno::EPERM) && !nix::unistd::geteuid().is_root() {
            error = error.hint("this needs root: run it again with sudo");
        }
        error
    }

    /// Names the file or directory that this is about.
    pub fn at(mut self, path: impl Into<PathBuf>) -> Error {
        self.0.path = Some(path.into());
        self
    }

    /// Adds what the kernel answered, where there is no path.
    pub fn answered(mut self, errno: Errno) -> Error {
        self.0.errno = Some(errno);
        self
    }

    /// Adds a next step for the user.
    pub fn hint(mut self, hint: impl Into<Hint>) -> Error {
        self.0.hints.push(hint.into());
        self
    }

    /// Adds several next steps.
    pub fn hints(mut self, hints: impl IntoIterator<Item: Into<Hint>>) -> Error {
        self.0.hints.extend(hints.into_iter().map(Into::into));
        self
    }

    /// Adds the next steps of another failure.
    pub fn hints_of(self, other: &Error) -> Error {
        self.hints(other.all_hints().into_iter().cloned())
    }

    /// Adds what could not be read on the way: what was not found may be in there.
    pub fn with_unread(self, unread: &[Error]) -> Error {
        self.hints(unread.iter().map(|one| format!("could not be read: {one}")))
    }

    /// The same failure, told by what it was for.
    pub fn retold(mut self, message: impl Into<String>) -> Error {
        self.0.message = message.into();
        self
    }

    /// The same failure, known to be of another kind.
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.0.kind = kind;
        self
    }

    /// Adds that taking back what was done failed too. The cause stays first.
    pub fn and_clean_up(mut self, clean_up: Result<()>) -> Error {
        if let Err(error) = clean_up {
            self.0.clean_up = Some(error);
        }
        self
    }

    /// Adds failures of the same kind that were found at once, such as a file's other faults.
    pub fn and_others(mut self, others: Vec<Error>) -> Error {
        self.0.others = others;
        self
    }

    /// The failures that were found at once with this one.
    pub fn others(&self) -> &[Error] {
        &self.0.others
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What was tried, without path or cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file or directory that this is about.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// What the kernel answered.
    pub fn errno(&self) -> Option<Errno> {
        self.0.errno
    }

    /// What went wrong while taking back what was done.
    pub fn clean_up(&self) -> Option<&Error> {
        self.0.clean_up.as_ref()
    }

    /// Next steps, those of a failed clean-up last.
    pub fn all_hints(&self) -> Vec<&Hint> {
        let later = self.clean_up().map(Error::all_hints).unwrap_or_default();
        self.0.hints.iter().chain(later).collect()
    }

    /// The thing is not there: ENOENT, or ENODEV of a device that left while it was being read.
    pub fn is_absent(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENOENT | Errno::ENODEV))
    }
}

/// The kernel's words for `errno`, with its symbol: "Input/output error (EIO)".
pub fn describe(errno: Errno) -> String {
    // The C library's words, which are the ones that users find when they search.
    let words = std::io::Error::from_raw_os_error(errno as i32).to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    format!("{words} ({errno:?})")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(path) = &self.0.path {
            write!(f, ": {}", path.display())?;
        }
        if let Some(errno) = self.0.errno {
            write!(f, ": {}", describe(errno))?;
        }
        if let Some(clean_up) = &self.0.clean_up {
            write!(f, "; rollback failed: {clean_up}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Error {
        Error::new(Kind::Usage, invalid.to_string()).hints(invalid.hint())
    }
}

/// The kernel's answer behind a standard library's error.
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// Turns "it is not there" into `None`.
pub fn if_present<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is there; what cannot be read becomes a warning, what is not there does not.
pub fn or_warn<T>(result: Result<T>, warnings: &mut Warnings) -> Option<T> {
    if_present(result).unwrap_or_else(|error| {
        warnings.push(error);
        None
    })
}

/// The same file is read for several questions; one warning of it will do.
pub fn warn_once(warnings: &mut Warnings, error: Error) {
    if !warnings.contains(&error) {
        warnings.push(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_what_where_and_the_kernels_answer_in_this_order() {
        let error = Error::system("cannot create nvidia-63", "/sys/x/create", Errno::EIO);
        assert_eq!(
            error.to_string(),
            "cannot create nvidia-63: /sys/x/create: Input/output error (EIO)"
        );
    }

    #[test]
    fn a_text_that_is_not_understood_is_a_wrong_use_with_what_is_taken() {
        for (invalid, hints) in [
            (nvidia_vgpu::parse_size("2GB").unwrap_err(), 1),
            (Invalid::ParamTwice("a".to_owned()), 0),
        ] {
            let message = invalid.to_string();
            let error = Error::from(invalid);
            assert_eq!((error.kind(), error.message()), (Kind::Usage, &*message));
            assert_eq!(error.all_hints().len(), hints);
        }
    }

    #[test]
    fn a_failed_clean_up_comes_after_the_cause_and_keeps_both_hints() {
        let error = Error::new(Kind::NoCapacity, "cannot write a=1")
            .hint("first")
            .and_clean_up(Err(
                Error::new(Kind::Failed, "cannot remove it").hint("second")
            ));
        assert_eq!(
            error.to_string(),
            "cannot write a=1; rollback failed: cannot remove it"
        );
        assert_eq!(
            error.all_hints(),
            [&Hint::from("first"), &Hint::from("second")]
        );
        assert_eq!(error.kind(), Kind::NoCapacity);
    }

    #[test]
    fn only_absence_becomes_none() {
        let absent: Result<u8> = Err(Error::system("cannot read", "/x", Errno::ENOENT));
        assert_eq!(if_present(absent), Ok(None));
        let refused: Result<u8> = Err(Error::system("cannot read", "/x", Errno::EACCES));
        assert_eq!(
            if_present(refused).map_err(|e| e.kind()),
            Err(Kind::NotPermitted)
        );
    }
}
