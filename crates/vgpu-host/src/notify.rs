//! inotify: what other programs do in directories, without looking again and again.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use log::debug;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::error::{Error, Result};

/// What is to be heard of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Names in it that come and go, and files that are written to their end.
    Names,
    /// Files in it that are opened and closed; also names that come and go.
    Openings,
    /// Files in it that are written to, at each write.
    Writes,
}

impl Interest {
    fn mask(self) -> AddWatchFlags {
        let names = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        let wanted = match self {
            Interest::Names => names | AddWatchFlags::IN_CLOSE_WRITE,
            Interest::Openings => names | AddWatchFlags::IN_OPEN | AddWatchFlags::IN_CLOSE,
            Interest::Writes => AddWatchFlags::IN_MODIFY,
        };
        wanted | AddWatchFlags::IN_ONLYDIR
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A name was made; what it stands for may be half written.
    Begun,
    /// A file was written (and closed, unless each write is heard), or something whole was moved here.
    Written,
    /// A name is gone.
    Gone,
    /// A file was opened.
    Opened,
    /// A file that was open for reading only was closed by the last who had it open.
    Closed,
    /// The directory itself is gone, or elsewhere.
    Lost,
}

/// One thing that happened in a directory.
#[derive(Debug, Clone)]
pub struct FileEvent<M> {
    /// What the directory means to who watches it.
    pub meaning: M,
    /// The directory.
    pub dir: PathBuf,
    /// Which name in it; empty where it is about the directory itself.
    pub name: OsString,
    /// Whether the name is a directory's.
    pub is_dir: bool,
    /// What happened.
    pub kind: EventKind,
}

/// All that happened since it was last asked for.
#[derive(Debug)]
pub struct FileEvents<M> {
    /// In this order.
    pub all: Vec<FileEvent<M>>,
    /// Whether there was more than the kernel could keep: everything may have changed.
    pub is_overflow: bool,
}

/// Directories that are listened to, each with what it means to the listener.
#[derive(Debug)]
pub struct Notify<M> {
    inotify: Inotify,
    watched: HashMap<WatchDescriptor, (PathBuf, M)>,
    by_path: HashMap<PathBuf, WatchDescriptor>,
}

impl<M: Clone> Notify<M> {
    /// Listens to nothing yet.
    ///
    /// # Errors
    /// The user has too many listeners already.
    pub fn new() -> Result<Notify<M>> {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let inotify = Inotify::init(flags).map_err(|errno| {
            let error = Error::system("cannot watch files for changes", "inotify", errno);
            match errno {
                Errno::EMFILE => error
                    .hint("too many programs watch files: raise fs.inotify.max_user_instances with sysctl"),
                _ => error,
            }
        })?;
        Ok(Notify {
            inotify,
            watched: HashMap::new(),
            by_path: HashMap::new(),
        })
    }

    /// Listens to a directory, following links, from now on. Says whether it is there and was not
    /// listened to before; one that stands where another stood counts as new.
    ///
    /// # Errors
    /// It is there and cannot be listened to.
    pub fn listen(&mut self, dir: &Path, interest: Interest, meaning: M) -> Result<bool> {
        let watch = match self.inotify.add_watch(dir, interest.mask()) {
            Ok(watch) => watch,
            Err(Errno::ENOENT | Errno::ENODEV | Errno::ENOTDIR) => {
                self.forget(dir);
                return Ok(false);
            }
            Err(errno) => {
                let error = Error::system("cannot watch the directory for changes", dir, errno);
                return Err(match errno {
                    Errno::ENOSPC => error.hint(
                        "too many files and directories are watched: raise fs.inotify.max_user_watches with sysctl",
                    ),
                    _ => error,
                });
            }
        };
        if self.by_path.get(dir) == Some(&watch) {
            return Ok(false);
        }
        self.forget(dir);
        debug!("listen to {}", dir.display());
        self.by_path.insert(dir.to_owned(), watch);
        // The same directory under another name: moved, or reached by a link.
        if let Some((old, _)) = self.watched.insert(watch, (dir.to_owned(), meaning)) {
            self.by_path.remove(&old);
        }
        Ok(true)
    }

    /// Stops listening to a directory.
    pub fn forget(&mut self, dir: &Path) {
        if let Some(watch) = self.by_path.remove(dir) {
            self.watched.remove(&watch);
            // It may be gone, and the watch with it.
            let _ = self.inotify.rm_watch(watch);
        }
    }

    /// What happened since the last call; does not wait.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn heard(&mut self) -> Result<FileEvents<M>> {
        let mut events = FileEvents {
            all: Vec::new(),
            is_overflow: false,
        };
        loop {
            match self.inotify.read_events() {
                Ok(read) => read
                    .into_iter()
                    .for_each(|event| self.take(event, &mut events)),
                Err(Errno::EAGAIN) => return Ok(events),
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(Error::system(
                        "cannot read file change events",
                        "inotify",
                        errno,
                    ));
                }
            }
        }
    }

    fn take(&mut self, event: InotifyEvent, events: &mut FileEvents<M>) {
        events.is_overflow |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
        let Some((dir, meaning)) = self.watched.get(&event.wd).cloned() else {
            return;
        };
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.watched.remove(&event.wd);
            self.by_path.remove(&dir);
        }
        events.all.extend(kind(event.mask).map(|kind| FileEvent {
            meaning,
            dir,
            name: event.name.unwrap_or_default(),
            is_dir: event.mask.contains(AddWatchFlags::IN_ISDIR),
            kind,
        }));
    }
}

impl<M> AsFd for Notify<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn kind(mask: AddWatchFlags) -> Option<EventKind> {
    let written =
        AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO;
    let gone = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM;
    let lost =
        AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED;
    let kinds = [
        (AddWatchFlags::IN_CREATE, EventKind::Begun),
        (written, EventKind::Written),
        (gone, EventKind::Gone),
        (AddWatchFlags::IN_OPEN, EventKind::Opened),
        (AddWatchFlags::IN_CLOSE_NOWRITE, EventKind::Closed),
        (lost, EventKind::Lost),
    ];
    let found = kinds.into_iter().find(|(flags, _)| mask.intersects(*flags));
    found.map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn kinds(notify: &mut Notify<&'static str>) -> Vec<(&'static str, String, EventKind)> {
        let events = notify.heard().unwrap();
        assert!(!events.is_overflow);
        let told = |one: FileEvent<&'static str>| {
            let name = one.name.into_string().unwrap();
            (one.meaning, name, one.kind)
        };
        events.all.into_iter().map(told).collect()
    }

    #[test]
    fn names_come_are_written_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut notify = Notify::new().unwrap();
        assert_eq!(notify.listen(dir.path(), Interest::Names, "x"), Ok(true));
        assert_eq!(notify.listen(dir.path(), Interest::Names, "x"), Ok(false));
        fs::write(dir.path().join("a"), "1").unwrap();
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        fs::remove_file(dir.path().join("b")).unwrap();
        let wanted = [
            ("a", EventKind::Begun),
            ("a", EventKind::Written),
            ("a", EventKind::Gone),
            ("b", EventKind::Written),
            ("b", EventKind::Gone),
        ];
        assert_eq!(
            kinds(&mut notify),
            wanted.map(|(name, kind)| ("x", name.to_owned(), kind))
        );
        assert_eq!(kinds(&mut notify), []);
    }

    #[test]
    fn a_directory_in_the_place_of_another_is_listened_to_anew() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("d");
        let mut notify = Notify::new().unwrap();
        assert_eq!(notify.listen(&dir, Interest::Names, "x"), Ok(false));
        fs::create_dir(&dir).unwrap();
        assert_eq!(notify.listen(&dir, Interest::Names, "x"), Ok(true));
        fs::rename(&dir, top.path().join("old")).unwrap();
        fs::create_dir(&dir).unwrap();
        assert_eq!(notify.listen(&dir, Interest::Names, "y"), Ok(true));
        notify.heard().unwrap();
        fs::write(top.path().join("old/a"), "").unwrap();
        assert_eq!(
            kinds(&mut notify),
            [],
            "what is elsewhere now is no business of ours"
        );
        fs::remove_dir(&dir).unwrap();
        let told = kinds(&mut notify);
        assert!(
            told.iter()
                .all(|(at, _, kind)| *at == "y" && *kind == EventKind::Lost),
            "{told:?}"
        );
        assert!(!told.is_empty());
        assert_eq!(notify.listen(&dir, Interest::Names, "x"), Ok(false));
    }

    #[test]
    fn openings_are_heard_only_where_they_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, "").unwrap();
        let mut notify = Notify::new().unwrap();
        notify.listen(dir.path(), Interest::Writes, "x").unwrap();
        drop(fs::File::open(&file).unwrap());
        assert_eq!(kinds(&mut notify), []);
        notify.forget(dir.path());
        notify.listen(dir.path(), Interest::Openings, "x").unwrap();
        drop(fs::File::open(&file).unwrap());
        let wanted = [EventKind::Opened, EventKind::Closed].map(|kind| ("x", "a".to_owned(), kind));
        assert_eq!(kinds(&mut notify), wanted);
    }
}
