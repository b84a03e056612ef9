//! A VFIO group kept open, so that nobody else can open its device while it is being removed.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair,
};
use nix::sys::stat::Mode;

use crate::error::{Error, Result};
use crate::forks::unforked;
use crate::model::Nodes;

/// What came of trying to hold a device's VFIO group, which only one process can have open.
#[derive(Debug)]
pub enum Claim {
    /// Nobody can open the device while this is kept.
    Held(Kept),
    /// The device has no group node to hold.
    NoNode,
    /// Somebody has it open.
    Busy,
}

/// An open file that is in no process's table of descriptors: it is in a message that nobody has
/// received. So no child inherits it, and nobody who looks for holders takes us for one.
#[derive(Debug)]
pub struct Kept {
    receiver: OwnedFd,
}

impl Drop for Kept {
    /// A child may have the socket too, so closing it would not do. Received without room for its
    /// descriptor, the message takes the file with it, and that gets no number even for a moment.
    fn drop(&mut self) {
        let mut byte = [0];
        while let Err(Errno::EINTR) =
            recv(self.receiver.as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT)
        {}
    }
}

/// Opens the device's VFIO group so that nobody else can. Holding a group alone, without opening
/// the device in it, does not block the device's removal (observed on 6.1).
pub fn claim(nodes: &Nodes) -> Result<Claim> {
    let Some(group) = &nodes.group else {
        return Ok(Claim::NoNode);
    };
    let failed = |what: &str, errno| Err(Error::system(what, group, errno));
    let (sender, receiver) = match socketpair(
        AddressFamily::Unix,
        SockType::Datagram,
        None,
        SockFlag::SOCK_CLOEXEC,
    ) {
        Ok(pair) => pair,
        Err(errno) => {
            return failed(
                "cannot create a socket to hold the device's VFIO group",
                errno,
            );
        }
    };
    let opened = unforked(|| {
        let file = open(group, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
        file.map(|file| put_away(&sender, &file))
    });
    match opened {
        Ok(Ok(())) => Ok(Claim::Held(Kept { receiver })),
        Ok(Err(errno)) => failed("cannot hold the device's VFIO group", errno),
        Err(Errno::EBUSY) => Ok(Claim::Busy),
        Err(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV) => Ok(Claim::NoNode),
        Err(errno) => failed("cannot tell whether the device is in use", errno),
    }
}

/// Sends the open file, so that it stays open when its descriptor is closed.
fn put_away(sender: &OwnedFd, file: &OwnedFd) -> nix::Result<()> {
    let files = [file.as_raw_fd()];
    let with_it = [ControlMessage::ScmRights(&files)];
    let message = [std::io::IoSlice::new(b"x")];
    loop {
        match sendmsg::<()>(
            sender.as_raw_fd(),
            &message,
            &with_it,
            MsgFlags::empty(),
            None,
        ) {
            Err(Errno::EINTR) => {}
            sent => return sent.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;
    use std::path::{Path, PathBuf};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn nodes(group: &Path) -> Nodes {
        Nodes {
            sysfs: PathBuf::from("/unused"),
            iommu_group: Some("12".into()),
            group: Some(group.to_owned()),
            device: None,
        }
    }

    #[test]
    fn a_node_that_is_not_there_cannot_be_held() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("12");
        assert!(matches!(claim(&nodes(&group)), Ok(Claim::NoNode)));
        fs::write(&group, "").unwrap();
        assert!(matches!(claim(&nodes(&group)), Ok(Claim::Held(_))));
    }

    /// A pipe's reader sees whether its writer is open anywhere.
    #[test]
    fn a_claim_is_open_and_in_no_table_until_it_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("12");
        nix::unistd::mkfifo(&group, Mode::S_IRWXU).unwrap();
        let reader = open(&group, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty()).unwrap();
        let has_writer = || {
            let mut polled = [PollFd::new(reader.as_fd(), PollFlags::empty())];
            poll(&mut polled, PollTimeout::ZERO).unwrap() == 0
        };
        let claim = claim(&nodes(&group)).unwrap();
        assert!(matches!(claim, Claim::Held(_)));
        assert!(has_writer());
        // The reader is one of this process's own; nothing else is.
        let path = fs::canonicalize(&group).unwrap();
        let entries = fs::read_dir("/proc/self/fd").unwrap();
        let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        assert_eq!(targets.filter(|target| *target == path).count(), 1);

        // A copy of the socket, as a child has, keeps nothing.
        let Claim::Held(kept) = &claim else {
            unreachable!()
        };
        let _copy = kept.receiver.try_clone().unwrap();
        drop(claim);
        assert!(!has_writer());
    }
}
