//! Everything that is listened to, and what follows from what is heard.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::heard::Heard;
use crate::error::{Error, Result, Warnings};
use crate::host::Host;
use crate::model::{Nodes, Parent, ParentId};
use crate::notify::{EventKind, FileEvent, Interest, Notify};
use crate::ops::Context;
use crate::store::{Kept, ParentDir, Store};
use crate::sysfs::Uevents;

/// The node beside the groups that is none, and which every user of a group opens too.
const CONTAINER: &str = "vfio";
/// Beneath a mediated device: who writes to it takes the device away.
const REMOVE: &str = "remove";

/// What a directory is to us.
#[derive(Debug, Clone)]
enum Place {
    /// It leads to where definitions are.
    Above,
    /// It has a directory for each parent.
    Root,
    /// It has the definitions of one parent.
    ParentDir(ParentDir),
    /// It has the nodes that are opened to use a device.
    Nodes,
    /// Whoever makes something of this parent writes there.
    Requests(ParentId),
    /// Whoever removes a device writes there.
    Device,
}

/// Why waiting is over.
#[derive(Debug)]
pub enum Woken {
    /// Something was heard, or the time is up.
    Heard(Heard),
    /// It is time to end.
    Stop,
}

/// What ends a watch.
#[derive(Debug, Clone, Copy)]
pub struct Stop<'a> {
    /// Ends it when it can be read.
    pub asked: BorrowedFd<'a>,
    /// Ends it when it hangs up.
    pub reader: BorrowedFd<'a>,
}

/// All that is listened to.
pub struct Watcher<'c> {
    host: &'c Host,
    store: &'c Store<'c>,
    notify: Notify<Place>,
    uevents: Option<Uevents>,
    /// What cannot be listened to; taken by who tells it.
    pub warnings: Warnings,
}

impl<'c> Watcher<'c> {
    /// Listens to the kernel; to the rest where it is told to.
    ///
    /// # Errors
    /// The system does not let us listen at all.
    pub fn open(context: &'c Context<'_>) -> Result<Watcher<'c>> {
        Ok(Watcher {
            host: context.host,
            store: &context.store,
            notify: Notify::new()?,
            uevents: Uevents::of(context.host)?,
            warnings: Vec::new(),
        })
    }

    /// Whether the kernel's events are heard.
    pub fn hears_the_kernel(&self) -> bool {
        self.uevents.is_some()
    }

    /// Listens to all places of definitions, as they are now.
    pub fn attend_store(&mut self) {
        for root in self.store.roots() {
            let above = root.ancestors().skip(1);
            if let Some(above) = above.into_iter().find(|dir| dir.is_dir()) {
                self.attend(above, Interest::Names, Place::Above);
            }
            self.attend(&root, Interest::Names, Place::Root);
        }
        for parent_dir in self.store.parent_dirs() {
            let path = parent_dir.path.clone();
            self.attend(&path, Interest::Names, Place::ParentDir(parent_dir));
        }
    }

    /// Listens to who opens devices; says whether that could not be heard until now.
    pub fn attend_nodes(&mut self) -> bool {
        let (groups, devices) = (self.host.vfio_groups(), self.host.vfio_devices());
        let groups = self.attend(&groups, Interest::Openings, Place::Nodes);
        let devices = self.attend(&devices, Interest::Openings, Place::Nodes);
        groups || devices
    }

    /// Listens to what is asked of a parent.
    pub fn attend_parent(&mut self, context: &Context<'_>, parent: &Parent) {
        for dir in context.kernel.serving(parent).request_dirs(parent) {
            self.attend(&dir, Interest::Writes, Place::Requests(parent.id.clone()));
        }
    }

    /// Listens to whether a device is removed.
    pub fn attend_device(&mut self, nodes: &Nodes) {
        self.attend(&nodes.sysfs, Interest::Writes, Place::Device);
    }

    /// No longer does. Until then the kernel keeps what is left of its directory.
    pub fn leave_device(&mut self, nodes: &Nodes) {
        self.notify.forget(&nodes.sysfs);
    }

    fn attend(&mut self, dir: &Path, interest: Interest, place: Place) -> bool {
        match self.notify.listen(dir, interest, place) {
            Ok(is_new) => is_new,
            Err(error) => {
                self.warnings.push(error);
                false
            }
        }
    }

    /// Sleeps until something is heard, it is time to end, or the time is up.
    ///
    /// # Errors
    /// The kernel does not tell what there is to hear.
    pub fn wait(&mut self, stop: Stop<'_>, time: Option<Duration>) -> Result<Woken> {
        let none = PollFlags::empty();
        let mut sources = vec![
            PollFd::new(stop.asked, PollFlags::POLLIN),
            PollFd::new(stop.reader, none),
            PollFd::new(self.notify.as_fd(), PollFlags::POLLIN),
        ];
        let kernel = self.uevents.as_ref().map(AsFd::as_fd);
        sources.extend(kernel.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // A fraction of a millisecond more, so that the time is up when it returns.
        let time = time.map(|time| match time.is_zero() {
            true => time,
            false => time + Duration::from_millis(1),
        });
        let time = time.and_then(|time| PollTimeout::try_from(time).ok());
        match poll(&mut sources, time.unwrap_or(PollTimeout::NONE)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::system("cannot wait for events", "poll", errno)),
        }
        let has = |at: usize| sources.get(at).is_some_and(|fd| fd.any() == Some(true));
        if has(0) || has(1) {
            return Ok(Woken::Stop);
        }
        self.drain().map(Woken::Heard)
    }

    /// Everything that waits to be heard, put together.
    fn drain(&mut self) -> Result<Heard> {
        let mut heard = Heard::default();
        let events = self.uevents.as_ref().map(Uevents::heard);
        for event in events.unwrap_or_default() {
            heard.take(event);
        }
        let events = self.notify.heard()?;
        if events.is_overflow {
            return Ok(Heard::everything());
        }
        for event in events.all {
            self.understand(event, &mut heard);
        }
        Ok(heard)
    }

    fn understand(&self, event: FileEvent<Place>, heard: &mut Heard) {
        match (&event.meaning, event.kind) {
            (Place::Root | Place::ParentDir(_), EventKind::Lost) => heard.store = true,
            (Place::Above, EventKind::Lost) => heard.store = true,
            (_, EventKind::Lost) => heard.kernel = true,
            (Place::Above, _) => {
                let path = event.dir.join(&event.name);
                let roots = self.store.roots();
                heard.store |= roots.iter().any(|root| root.starts_with(&path));
            }
            (Place::Root, _) => heard.store = true,
            (Place::ParentDir(parent_dir), kind) => in_parent_dir(parent_dir, &event, kind, heard),
            (Place::Nodes, EventKind::Begun | EventKind::Gone) => heard.kernel |= event.is_dir,
            (Place::Nodes, _) => heard.holders |= !event.is_dir && event.name != CONTAINER,
            (Place::Requests(parent), _) => heard.touch(parent.clone()),
            (Place::Device, _) => heard.kernel |= event.name == REMOVE,
        }
    }
}

fn in_parent_dir(
    parent_dir: &ParentDir,
    event: &FileEvent<Place>,
    kind: EventKind,
    heard: &mut Heard,
) {
    if kind == EventKind::Begun && !is_whole(&event.dir.join(&event.name)) {
        return;
    }
    match parent_dir.holds(&event.name) {
        Kept::Definition(at) => {
            heard.definitions.insert(at);
        }
        Kept::Misnamed => heard.store = true,
        Kept::Beside => {}
    }
}

/// Whether a name that was just made stands for something whole: a link. The end of the writing of
/// a new file is heard later.
fn is_whole(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() || found.nlink() > 1)
}
