//! The FUSE file systems: serve the kernel's requests from the two trees of the host.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BsdFileFlags, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::errno::Errno;

use crate::faults::Broken;
use crate::host::{Host, broken_content};
use crate::process;
use crate::shared::Shared;
use crate::state::{RemoveStep, Ticket, Wait};
use crate::tree::{Attr, Kind, Node, Tree};
use crate::vf::VfFile;

/// Names are mostly not cached: a write to one file creates and removes others.
const NO_CACHE: Duration = Duration::ZERO;

/// The exceptions are names of permanent directories, and attributes, which change only
/// through `setattr` by the kernel. This saves a request for each directory of a path.
const CACHE: Duration = Duration::from_secs(3600);

/// One of the two mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `ROOT/sys`.
    Sys,
    /// `ROOT/dev`.
    Dev,
}

/// One name in a directory.
type Entry = (String, u64, FileType);

/// One mount.
#[derive(Debug)]
pub struct SimFs {
    shared: Arc<Shared>,
    side: Side,
    next_handle: AtomicU64,
    /// The content returned to a descriptor: fixed when it is read from the start, as in sysfs.
    contents: Mutex<HashMap<u64, Vec<u8>>>,
    /// The entries of an open directory, once it is read.
    listings: Mutex<HashMap<u64, Vec<Entry>>>,
}

impl SimFs {
    /// The file system of one side.
    pub fn new(shared: Arc<Shared>, side: Side) -> Self {
        Self {
            shared,
            side,
            next_handle: AtomicU64::new(1),
            contents: Mutex::default(),
            listings: Mutex::default(),
        }
    }

    fn tree<'a>(&self, host: &'a Host) -> &'a Tree {
        match self.side {
            Side::Sys => &host.sys,
            Side::Dev => &host.dev,
        }
    }

    fn attr_of(&self, host: &Host, ino: u64) -> Result<FileAttr, Errno> {
        let node = self.tree(host).node(ino).ok_or(Errno::ENOENT)?;
        Ok(file_attr(ino, node))
    }

    fn file_of(&self, host: &Host, ino: u64) -> Result<(Attr, Node), Errno> {
        // Reading and writing a file of a removed device fails with "no such device".
        let node = self.tree(host).node(ino).ok_or(Errno::ENODEV)?;
        match &node.kind {
            Kind::File(attr) => Ok((attr.clone(), node.clone())),
            Kind::Dir(_) => Err(Errno::EISDIR),
            Kind::Link(_) => Err(Errno::ELOOP),
        }
    }

    fn open_file(&self, req: &Request, ino: u64, mode: OpenAccMode) -> Result<u64, Errno> {
        let mut host = self.shared.lock();
        let (attr, node) = self.file_of(&host, ino)?;
        let reads = mode != OpenAccMode::O_WRONLY;
        let writes = mode != OpenAccMode::O_RDONLY;
        // sysfs rejects access that no mode bit allows, even for root.
        if (reads && node.mode & 0o444 == 0) || (writes && node.mode & 0o222 == 0) {
            return Err(Errno::EACCES);
        }
        match self.side {
            Side::Sys => Ok(self.next_handle.fetch_add(1, Ordering::Relaxed)),
            Side::Dev => host.open_dev(&attr, process::process_of(req.pid())),
        }
    }

    fn content(&self, ino: u64) -> Result<Vec<u8>, Errno> {
        let host = self.shared.lock();
        let (attr, _) = self.file_of(&host, ino)?;
        match self.tree(&host).broken_at(ino) {
            Some(how) => broken_content(how).map(<[u8]>::to_vec),
            None => host.read(&attr),
        }
    }

    fn read_file(&self, ino: u64, handle: u64, from: usize, size: usize) -> Result<Vec<u8>, Errno> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        if from == 0 || !contents.contains_key(&handle) {
            contents.insert(handle, self.content(ino)?);
        }
        let content = contents.get(&handle).map_or(&[][..], Vec::as_slice);
        let rest = content.get(from..).unwrap_or(&[]);
        Ok(rest[..rest.len().min(size)].to_vec())
    }

    /// Answers a create or remove when it completes, from a separate thread if it has to wait.
    fn answer_later(
        &self,
        ticket: Ticket,
        size: u32,
        reply: ReplyWrite,
        finish: fn(&mut Host, &Ticket) -> Result<(), Errno>,
    ) {
        let mut host = self.shared.lock();
        if host.waits_for(&ticket, Instant::now()) == Wait::Nothing {
            let result = finish(&mut host, &ticket);
            drop(host);
            answer_write(reply, result, size);
            return;
        }
        drop(host);
        let shared = Arc::clone(&self.shared);
        // If the thread cannot be started, the reply is dropped, which returns EIO.
        let _ = thread::Builder::new().spawn(move || {
            let mut host = shared.wait(&ticket);
            let result = finish(&mut host, &ticket);
            drop(host);
            answer_write(reply, result, size);
        });
    }

    /// A directory, if it can be opened and listed.
    fn dir_of<'h>(&self, host: &'h Host, ino: u64) -> Result<&'h Node, Errno> {
        let tree = self.tree(host);
        match tree.broken_at(ino) {
            Some(Broken::Eio) => Err(Errno::EIO),
            _ => tree.node(ino).ok_or(Errno::ENOENT),
        }
    }

    fn list(&self, ino: u64) -> Result<Vec<Entry>, Errno> {
        let host = self.shared.lock();
        let tree = self.tree(&host);
        let node = self.dir_of(&host, ino)?;
        let mut names = vec![
            (".".to_owned(), ino, FileType::Directory),
            ("..".to_owned(), node.parent, FileType::Directory),
        ];
        for (name, child) in tree.children(ino) {
            let kind = tree.node(child).map_or(FileType::RegularFile, file_type);
            names.push((name, child, kind));
        }
        Ok(names)
    }

    fn readlink_of(&self, ino: u64) -> Result<Vec<u8>, Errno> {
        let host = self.shared.lock();
        let tree = self.tree(&host);
        let node = tree.node(ino).ok_or(Errno::ENOENT)?;
        match (&node.kind, tree.broken_at(ino)) {
            (Kind::Link(_), Some(how)) => broken_content(how).map(<[u8]>::to_vec),
            (Kind::Link(target), None) => Ok(target.clone().into_bytes()),
            _ => Err(Errno::EINVAL),
        }
    }
}

fn answer_write(reply: ReplyWrite, result: Result<(), Errno>, size: u32) {
    match result {
        Ok(()) => reply.written(size),
        Err(errno) => reply.error(to_fuse(errno)),
    }
}

fn to_fuse(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno as i32)
}

fn file_type(node: &Node) -> FileType {
    match node.kind {
        Kind::Dir(_) => FileType::Directory,
        Kind::Link(_) => FileType::Symlink,
        // Also below /dev: opening a device node would bypass this program and invoke a driver.
        Kind::File(_) => FileType::RegularFile,
    }
}

fn file_attr(ino: u64, node: &Node) -> FileAttr {
    let kind = file_type(node);
    let size = match &node.kind {
        Kind::Dir(_) => 0,
        Kind::Link(target) => target.len() as u64,
        Kind::File(Attr::Container | Attr::Group(_) | Attr::Cdev(_)) => 0,
        // sysfs reports 4096 regardless of the content.
        Kind::File(_) => 4096,
    };
    FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: 0,
        atime: node.made,
        mtime: node.made,
        ctime: node.made,
        crtime: node.made,
        kind,
        perm: node.mode,
        nlink: if kind == FileType::Directory { 2 } else { 1 },
        uid: node.uid,
        gid: node.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for SimFs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // O_TRUNC is then part of open, not a request that waits behind a slow write.
        let _ = config.add_capabilities(InitFlags::FUSE_ATOMIC_O_TRUNC);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let host = self.shared.lock();
        let found = name
            .to_str()
            .and_then(|name| self.tree(&host).child(parent.0, name));
        match found.map_or(Err(Errno::ENOENT), |ino| self.attr_of(&host, ino)) {
            Ok(attr) => {
                let name = match self.tree(&host).lasts(attr.ino.0) {
                    true => &CACHE,
                    false => &NO_CACHE,
                };
                reply.entry_with_ttls(&CACHE, name, &attr, Generation(0));
            }
            Err(errno) => reply.error(to_fuse(errno)),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr_of(&self.shared.lock(), ino.0) {
            Ok(attr) => reply.attr(&CACHE, &attr),
            Err(errno) => reply.error(to_fuse(errno)),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut host = self.shared.lock();
        let tree = match self.side {
            Side::Sys => &mut host.sys,
            Side::Dev => &mut host.dev,
        };
        let Some(node) = tree.node_mut(ino.0) else {
            return reply.error(to_fuse(Errno::ENOENT));
        };
        // A size or time is accepted and ignored, as in sysfs.
        node.mode = mode.map_or(node.mode, |m| (m & 0o7777) as u16);
        node.uid = uid.unwrap_or(node.uid);
        node.gid = gid.unwrap_or(node.gid);
        reply.attr(&CACHE, &file_attr(ino.0, node));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.readlink_of(ino.0) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(to_fuse(errno)),
        }
    }

    fn create(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(to_fuse(Errno::EACCES));
    }

    fn mknod(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(to_fuse(Errno::EPERM));
    }

    fn mkdir(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(to_fuse(Errno::EPERM));
    }

    fn unlink(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(to_fuse(Errno::EPERM));
    }

    fn rmdir(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(to_fuse(Errno::EPERM));
    }

    fn rename(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _newparent: INodeNo,
        _newname: &OsStr,
        _flags: fuser::RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(to_fuse(Errno::EPERM));
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_file(req, ino.0, flags.acc_mode()) {
            Ok(handle) => reply.opened(
                FileHandle(handle),
                FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES,
            ),
            Err(errno) => reply.error(to_fuse(errno)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.read_file(ino.0, fh.0, from, size as usize) {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(to_fuse(errno)),
        }
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let size = data.len() as u32;
        let mut host = self.shared.lock();
        let (attr, node) = match self.file_of(&host, ino.0) {
            Ok(found) => found,
            Err(errno) => return reply.error(to_fuse(errno)),
        };
        // The offset is ignored: each write is a separate value.
        match &attr {
            Attr::Create(parent, type_id) => {
                let begun = host.begin_create(parent, type_id, data);
                drop(host);
                match begun {
                    Ok(ticket) => self.answer_later(ticket, size, reply, Host::finish_create),
                    Err(errno) => reply.error(to_fuse(errno)),
                }
            }
            Attr::Vf(vf, VfFile::Current) => {
                let begun = host.begin_set(vf, data);
                drop(host);
                match begun {
                    Ok(Some(ticket)) => self.answer_later(ticket, size, reply, Host::finish_set),
                    Ok(None) => reply.written(size),
                    Err(errno) => reply.error(to_fuse(errno)),
                }
            }
            Attr::Remove(uuid) => {
                let writer = process::process_of(req.pid());
                let begun = host.begin_remove(uuid, data, |pid| process::are_kin(writer, pid));
                drop(host);
                match begun {
                    Ok(RemoveStep::Done) => reply.written(size),
                    Ok(RemoveStep::Begun(ticket)) => {
                        self.answer_later(ticket, size, reply, Host::finish_remove);
                    }
                    Err(errno) => reply.error(to_fuse(errno)),
                }
            }
            _ => answer_write(reply, host.write(&attr, &node.name, data), size),
        }
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        match self.side {
            Side::Sys => {
                let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
                contents.remove(&fh.0);
            }
            Side::Dev => {
                self.shared.lock().close_dev(fh.0);
                self.shared.announce();
            }
        }
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(to_fuse(Errno::EINVAL));
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.dir_of(&self.shared.lock(), ino.0) {
            Ok(_) => {
                let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(errno) => reply.error(to_fuse(errno)),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        // After a rewind, list the current entries.
        if offset == 0 {
            match self.list(ino.0) {
                Ok(names) => listings.insert(fh.0, names),
                Err(errno) => return reply.error(to_fuse(errno)),
            };
        }
        let names = listings.get(&fh.0).map_or(&[][..], Vec::as_slice);
        for (i, (name, child, kind)) in names.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*child), i as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        listings.remove(&fh.0);
        reply.ok();
    }
}
