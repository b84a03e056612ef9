//! What the user wants: definitions on disk, in mdevctl's place and form.

mod atomic;
#[doc(hidden)]
pub mod format;
mod location;
mod lock;
mod mark;
mod names;
mod owner;
mod places;
mod policy;
mod publish;
mod results;
#[doc(hidden)]
pub mod settings;
mod unfinished;

use std::cell::OnceCell;
use std::path::PathBuf;

use crate::dir::{Dir, LARGEST_FILE};
use crate::error::{Advice, Error, Kind, Result, Warnings, if_present};
use crate::host::Host;
use crate::memo::{Memo, Read};
use crate::model::{Definition, FrameworkKind, ParentId, uuid_text};
use names::{parents_in, uuids_in};
use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

pub use format::{as_read, essence, parse as understand};
pub use location::Location;
pub use lock::Lock;
pub use mark::Mark;
pub use owner::Owner;
pub use places::{Kept, ParentDir};
pub use publish::{publish, publish_own};
pub use results::{RestoreResult, RestoreResults};
pub use settings::{FunctionsAtBoot, GpuInstanceSpec, GpuSettings, Policy, Scheduler, Sizes};

/// A GPU's own settings, beside the definitions of its vGPUs.
pub const GPU_SETTINGS: &str = "gpu.conf";

/// The definitions of one host.
#[derive(Debug)]
pub struct Store<'h> {
    host: &'h Host,
    frameworks: &'static [FrameworkKind],
    places: Memo<Option<ParentId>, Read<Result<Vec<Location>>>>,
    definitions: Memo<Location, Result<Definition>>,
    settings: Memo<ParentId, Result<GpuSettings>>,
}

impl<'h> Store<'h> {
    /// The store of `host`. Nothing is read yet.
    pub fn of(host: &'h Host) -> Store<'h> {
        Store::with(host, &[FrameworkKind::Mdev, FrameworkKind::Vfio], false)
    }

    /// Only the definitions of mediated devices, which are all that mdevctl knows.
    pub fn of_mediated_devices(host: &'h Host) -> Store<'h> {
        Store::with(host, &[FrameworkKind::Mdev], false)
    }

    fn with(host: &'h Host, frameworks: &'static [FrameworkKind], is_snapshot: bool) -> Store<'h> {
        Store {
            host,
            frameworks,
            places: Memo::new(is_snapshot),
            definitions: Memo::new(is_snapshot),
            settings: Memo::new(is_snapshot),
        }
    }

    /// One reading of these definitions, which begins now: each is read once.
    pub fn snapshot(&self) -> Store<'h> {
        Store::with(self.host, self.frameworks, true)
    }

    /// The directory of all definitions for a framework, there or not.
    pub fn root(&self, framework: FrameworkKind) -> PathBuf {
        match framework {
            FrameworkKind::Mdev => self.host.definitions(),
            FrameworkKind::Vfio => self.host.own_definitions(),
        }
    }

    /// Keeps other programs of ours from changing this parent's definitions and devices.
    ///
    /// # Errors
    /// [`NotPermitted`](crate::error::Kind::NotPermitted) without root; somebody else has held it too long.
    pub fn lock(&self, parent: &ParentId) -> Result<Lock> {
        Lock::take(&self.host.locks(), &self.host.parent_lock(parent))
    }

    /// Keeps other requests of this user's from being done at the same time.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub fn lock_user(&self, user: u32) -> Result<Lock> {
        Lock::take(&self.host.user_locks(), &self.host.user_lock(user))
    }

    /// The directory of a parent's definitions, there or not.
    pub fn dir(&self, framework: FrameworkKind, parent: &ParentId) -> PathBuf {
        self.root(framework).join(parent.as_str())
    }

    /// Whether anything is kept for a framework under this name.
    pub fn keeps(&self, framework: FrameworkKind, parent: &ParentId) -> bool {
        self.root(framework).join(parent.as_str()).is_dir()
    }

    /// The path of a definition, there or not.
    pub fn path(&self, at: &Location) -> PathBuf {
        let dir = self.root(at.framework).join(at.parent.as_str());
        dir.join(at.uuid.to_string())
    }

    /// Every definition's place, sorted by parent, then UUID, without reading any.
    ///
    /// # Errors
    /// The directory is there and cannot be listed.
    pub fn index(&self, warnings: &mut Warnings) -> Result<Vec<Location>> {
        self.places(None, warnings)
    }

    /// As [`Store::index`], of one parent where one is named.
    fn places(&self, only: Option<&ParentId>, warnings: &mut Warnings) -> Result<Vec<Location>> {
        self.places.read(&only.cloned(), warnings, |unread| {
            let mut places = Vec::new();
            self.walk(only, unread, |_, at, _| places.push(at))?;
            Ok(places)
        })
    }

    /// Every definition that can be read, sorted by parent, then UUID; each other is a warning.
    ///
    /// # Errors
    /// The directory is there and cannot be listed.
    pub fn all(&self, warnings: &mut Warnings) -> Result<Vec<Definition>> {
        self.of_parents(None, warnings)
    }

    /// As [`Store::all`], of one parent.
    ///
    /// # Errors
    /// As [`Store::all`].
    pub fn of_parent(&self, parent: &ParentId, warnings: &mut Warnings) -> Result<Vec<Definition>> {
        self.of_parents(Some(parent), warnings)
    }

    fn of_parents(
        &self,
        only: Option<&ParentId>,
        warnings: &mut Warnings,
    ) -> Result<Vec<Definition>> {
        let mut definitions = Vec::new();
        self.walk(only, warnings, |dir, at, warnings| {
            let name = uuid_text(at.uuid);
            match self.definitions.get(&at, || read_one(dir, at.clone())) {
                Ok(definition) => definitions.push(definition),
                // Somebody has just removed it, unless it is a link that leads nowhere.
                Err(error) if error.is_absent() && !is_link(dir, &name) => {}
                Err(error) => warnings.push(error),
            }
        })?;
        Ok(definitions)
    }

    fn walk(
        &self,
        only: Option<&ParentId>,
        warnings: &mut Warnings,
        mut visit: impl FnMut(&Dir, Location, &mut Warnings),
    ) -> Result<()> {
        for framework in self.frameworks {
            self.walk_shelf(*framework, only, warnings, &mut visit)?;
        }
        Ok(())
    }

    fn walk_shelf(
        &self,
        framework: FrameworkKind,
        only: Option<&ParentId>,
        warnings: &mut Warnings,
        visit: &mut impl FnMut(&Dir, Location, &mut Warnings),
    ) -> Result<()> {
        let Some(mut top) = if_present(Dir::open(self.root(framework)))? else {
            return Ok(());
        };
        let parents = match only {
            Some(parent) => vec![parent.clone()],
            None => parents_in(&mut top, warnings)?,
        };
        for parent in parents {
            let mut dir = match top.open_real_dir(parent.as_str()) {
                Ok(dir) => dir,
                Err(error) if error.is_absent() => continue,
                Err(error) => {
                    warnings.push(told_of_link(error));
                    continue;
                }
            };
            for uuid in uuids_in(&mut dir, warnings)? {
                let at = Location {
                    framework,
                    parent: parent.clone(),
                    uuid,
                };
                visit(&dir, at, warnings);
            }
        }
        Ok(())
    }

    /// Reads one definition anew.
    ///
    /// # Errors
    /// It is absent ([`Error::is_absent`]), or cannot be understood; the path is named.
    pub fn read(&self, at: &Location) -> Result<Definition> {
        let read = || read_one(&self.open_parent(at)?, at.clone());
        self.definitions.get(at, read)
    }

    /// As [`Store::read`], of each of these, in their order. The directory of a parent is opened once
    /// for those of it that stand together.
    pub fn read_each(&self, places: &[Location]) -> Vec<Result<Definition>> {
        let are_neighbours =
            |a: &Location, b: &Location| (a.framework, &a.parent) == (b.framework, &b.parent);
        let mut all = Vec::with_capacity(places.len());
        for of_parent in places.chunk_by(are_neighbours) {
            let dir = OnceCell::new();
            all.extend(of_parent.iter().map(|at| {
                self.definitions.get(at, || {
                    let dir = dir.get_or_init(|| self.open_parent(at));
                    match dir {
                        Ok(dir) => read_one(dir, at.clone()),
                        Err(error) => Err(error.clone()),
                    }
                })
            }));
        }
        all
    }

    fn open_parent(&self, at: &Location) -> Result<Dir> {
        Dir::open(self.root(at.framework))?
            .open_real_dir(at.parent.as_str())
            .map_err(told_of_link)
    }

    /// Writes a definition, replacing the old one whole. Call it with the parent's lock held.
    ///
    /// # Errors
    /// What the kernel answered; the old definition is then still there.
    pub fn write(&self, _held: &Lock, definition: &Definition) -> Result<()> {
        let text = self.text_of(definition)?;
        let root = self.root(definition.framework);
        let dir = atomic::make_dir(&root, definition.parent.as_str()).map_err(told_of_link)?;
        atomic::replace(&dir, &definition.uuid.to_string(), text.as_bytes())
    }

    /// Refuses a definition that would not be read again: its file would be too long.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the file that it would be.
    pub fn refuse_long(&self, definition: &Definition) -> Result<()> {
        self.text_of(definition).map(|_| ())
    }

    fn text_of(&self, definition: &Definition) -> Result<String> {
        let text = format::print(definition);
        if text.len() <= LARGEST_FILE {
            return Ok(text);
        }
        let message = format!(
            "the definition of {} is too large: {} bytes, and the limit is {LARGEST_FILE}",
            definition.uuid,
            text.len()
        );
        Err(Error::new(Kind::Usage, message)
            .at(self.path(&Location::of(definition)))
            .hint("nothing was changed: use fewer or shorter attributes"))
    }

    /// Deletes a definition, and its parent's directory when nothing is left in it. One that is
    /// not there is no error. Call it with the parent's lock held.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn delete(&self, _held: &Lock, at: &Location) -> Result<()> {
        let Some(top) = if_present(Dir::open(self.root(at.framework)))? else {
            return Ok(());
        };
        let Some(dir) = if_present(top.open_real_dir(at.parent.as_str())).map_err(told_of_link)?
        else {
            return Ok(());
        };
        match unlinkat(
            &dir,
            at.uuid.to_string().as_str(),
            UnlinkatFlags::NoRemoveDir,
        ) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => {
                let what = "cannot delete the definition";
                return Err(told_of_dir(Error::system(what, self.path(at), errno)));
            }
        }
        atomic::sweep(&dir);
        let synced = fsync(&dir);
        // What is still in use keeps its directory; nothing is lost when this fails.
        let _ = unlinkat(&top, at.parent.as_str(), UnlinkatFlags::RemoveDir);
        synced.map_err(|errno| Error::system("cannot sync the directory", dir.path(), errno))
    }
}

/// Nobody but its maker knows what a directory in a definition's place is for.
fn told_of_dir(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EISDIR) => error.hint("expected a file, found a directory; remove it"),
        _ => error,
    }
}

fn is_link(dir: &Dir, name: &str) -> bool {
    dir.read_link(name).is_ok()
}

/// What is below a link in the definitions' directory lies outside it, so it is left alone.
fn told_of_link(error: Error) -> Error {
    match error.errno() {
        Some(Errno::ENOTDIR | Errno::ELOOP) => {
            error.hint("symbolic links are not followed here: replace it with a directory")
        }
        _ => error,
    }
}

fn read_one(dir: &Dir, at: Location) -> Result<Definition> {
    let name = uuid_text(at.uuid);
    let bytes = dir.read_bytes(&name).map_err(|error| {
        let error = told_of_dir(error.retold("cannot read the definition"));
        match error.is_absent() && is_link(dir, &name) {
            true => error.hint(Advice::MendLink(at.uuid)),
            false => error,
        }
    })?;
    log::debug!("read {}: {} bytes", dir.join(&name).display(), bytes.len());
    let uuid = at.uuid;
    format::parse_at(at, &bytes)
        .map_err(|error| error.at(dir.join(&name)).hint(Advice::MendFile(uuid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StartMode, parse_uuid};
    use std::fs;

    const UUID: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

    fn definition(parent: &str) -> Definition {
        Definition::new(
            parse_uuid(UUID).unwrap(),
            parent.parse().unwrap(),
            "nvidia-63".parse().unwrap(),
            StartMode::Auto,
        )
    }

    #[test]
    fn what_is_written_is_read_again_and_deletion_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let store = Store::of(&host);
        let wanted = definition("0000:81:00.0");
        let lock = store.lock(&wanted.parent).unwrap();
        store.write(&lock, &wanted).unwrap();

        let mut warnings = Vec::new();
        let all = store.all(&mut warnings).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].type_id, wanted.type_id);
        let at = Location::of(&wanted);
        assert_eq!(store.read(&at).unwrap(), all[0]);
        let elsewhere = Location {
            parent: "0000:82:00.0".parse().unwrap(),
            ..at.clone()
        };
        let both = store.read_each(&[at.clone(), elsewhere]);
        assert_eq!(both[0].as_ref(), Ok(&all[0]));
        assert!(both[1].as_ref().unwrap_err().is_absent());

        store.delete(&lock, &at).unwrap();
        store.delete(&lock, &at).unwrap();
        assert!(store.read(&at).unwrap_err().is_absent());
        assert_eq!(fs::read_dir(host.definitions()).unwrap().count(), 0);
        assert!(warnings.is_empty());
    }

    #[test]
    fn one_bad_definition_is_named_and_hides_no_other() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let store = Store::of(&host);
        let good = definition("mtty");
        let lock = store.lock(&good.parent).unwrap();
        store.write(&lock, &good).unwrap();
        let dir = host.definitions().join("mtty");
        let bad = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        bad("00000000-0000-0000-0000-000000000001", "");
        bad("00000000-0000-0000-0000-000000000002", "{");
        fs::create_dir(dir.join("00000000-0000-0000-0000-000000000003")).unwrap();
        bad("83B8F4F2-509F-382F-3C1E-E6BFE0FA1002", "{}");
        bad("83b8f4f2-509f-382f-3c1e-e6bfe0fa100", "{}");
        bad(&format!("{UUID}.bak"), "not looked at");
        bad(".hidden", "not looked at");
        bad(&format!("{UUID}~"), "not looked at");
        fs::create_dir_all(host.definitions().join("scripts.d/callouts")).unwrap();
        fs::write(host.definitions().join("README"), "stray").unwrap();

        let mut warnings = Vec::new();
        let all = store.all(&mut warnings).unwrap();
        assert_eq!(all.iter().map(|d| d.uuid).collect::<Vec<_>>(), [good.uuid]);
        let named: Vec<String> = warnings
            .iter()
            .map(|w| {
                w.path()
                    .unwrap()
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(
            named,
            [
                "83B8F4F2-509F-382F-3C1E-E6BFE0FA1002",
                "83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
                "00000000-0000-0000-0000-000000000001",
                "00000000-0000-0000-0000-000000000002",
                "00000000-0000-0000-0000-000000000003",
            ]
        );
        assert_eq!(store.index(&mut warnings).unwrap().len(), 4);
    }

    #[test]
    fn a_host_without_definitions_has_none() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let mut warnings = Vec::new();
        assert_eq!(Store::of(&host).all(&mut warnings), Ok(Vec::new()));
        assert!(warnings.is_empty());
    }
}
