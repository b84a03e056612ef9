//! Reading what may be long, or have no end: as far as it is needed, and no further.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::fcntl::OFlag;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::{Dir, refused, retried, whole_of};
use crate::error::{Error, Result, errno_of};

/// The first bytes of something, and whether there are more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Not more than was asked for.
    pub bytes: Vec<u8>,
    /// Whether that is all.
    pub is_whole: bool,
}

/// At most the first `most` bytes.
///
/// # Errors
/// What the kernel answered.
pub fn beginning(from: impl Read, most: usize) -> io::Result<Beginning> {
    let one_more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    from.take(one_more).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() <= most;
    bytes.truncate(most);
    Ok(Beginning { bytes, is_whole })
}

/// The whole of a file of the host, which is as short as those that [`Dir::read_bytes`] reads.
///
/// # Errors
/// As there.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    retried(|| openat(CWD, path, flags, Mode::empty()))
        .and_then(|file| whole_of(&file, <[u8]>::to_vec))
        .map_err(|error| refused("cannot read", path, error))
}

impl Dir {
    /// At most the first `most` bytes of a file below this directory. The kernel may hand out a file
    /// of /proc in any pieces: only an empty one is its end.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read_beginning(&self, name: impl AsRef<Path>, most: usize) -> Result<Beginning> {
        let name = name.as_ref();
        let file = File::from(self.open_file(name, OFlag::O_RDONLY)?);
        let read = beginning(file, most);
        read.map_err(|error| Error::system("cannot read", self.join(name), errno_of(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::LARGEST_FILE;
    use std::fs;

    #[test]
    fn what_has_no_end_is_read_as_far_as_asked() {
        let zeros = Dir::open("/dev").unwrap().read_beginning("zero", 5000);
        let zeros = zeros.unwrap();
        assert_eq!((zeros.bytes, zeros.is_whole), (vec![0; 5000], false));
        let whole = beginning(&b"abc"[..], 3).unwrap();
        assert_eq!((&whole.bytes[..], whole.is_whole), (&b"abc"[..], true));
    }

    #[test]
    fn a_file_of_the_host_is_refused_beyond_the_limit_which_is_told() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f");
        fs::write(&path, vec![b'x'; LARGEST_FILE]).unwrap();
        assert_eq!(read_file(&path).unwrap().len(), LARGEST_FILE);
        fs::write(&path, vec![b'x'; LARGEST_FILE + 1]).unwrap();
        for error in [read_file(&path), read_file(Path::new("/dev/zero"))] {
            let error = error.unwrap_err();
            assert!(error.to_string().contains("(EFBIG)"), "{error}");
            assert!(
                format!("{:?}", error.all_hints()).contains("1 MiB"),
                "{error:?}"
            );
        }
    }
}
