//! A tree of directories, links and attributes, like sysfs: with inode numbers that are never
//! reused, relative links, and nodes that can be broken deliberately.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::SystemTime;

use crate::ap::Assignment;
use crate::faults::Broken;
use crate::vf::VfFile;

/// The inode number of the top directory (1 in FUSE).
pub const ROOT: u64 = 1;

/// The meaning of an attribute file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attr {
    /// A constant; writes, if permitted by the mode, have no effect.
    Text(String),
    /// `available_instances` of a parent's type.
    Available(String, String),
    /// `create` of a parent's type.
    Create(String, String),
    /// `remove` of a device.
    Remove(String),
    /// `nvidia/vgpu_params` of a device.
    Params(String),
    /// `assign_adapter` and the five similar files.
    Assign(String, Assignment),
    /// `matrix` of a device.
    Matrix(String),
    /// `control_domains` of a device.
    ControlDomains(String),
    /// `sriov_numvfs` of a PF.
    NumVfs(String),
    /// `bind` of a driver.
    Bind(String),
    /// `unbind` of a driver.
    Unbind(String),
    /// A file of a VF's `nvidia/`.
    Vf(String, VfFile),
    /// `/dev/vfio/vfio`.
    Container,
    /// `/dev/vfio/<group>` of a device or VF.
    Group(String),
    /// `/dev/vfio/devices/vfioN` of a device or VF.
    Cdev(String),
}

/// The three kinds of node.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory: names and inode numbers.
    Dir(BTreeMap<String, u64>),
    /// A link: the relative target.
    Link(String),
    /// A file.
    File(Attr),
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    /// The parent directory.
    pub parent: u64,
    /// The name in it.
    pub name: String,
    /// The kind of node.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    /// Owner; root until changed.
    pub uid: u32,
    /// Group; root until changed.
    pub gid: u32,
    /// Creation time.
    pub made: SystemTime,
}

/// A whole tree.
#[derive(Debug)]
pub struct Tree {
    nodes: HashMap<u64, Node>,
    next: u64,
    broken: BTreeMap<String, Broken>,
    lasting: HashSet<u64>,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self {
            nodes: HashMap::new(),
            next: ROOT,
            broken: BTreeMap::new(),
            lasting: HashSet::new(),
        };
        tree.insert(ROOT, "", Kind::Dir(BTreeMap::new()), 0o755);
        tree
    }
}

impl Tree {
    fn insert(&mut self, parent: u64, name: &str, kind: Kind, mode: u16) -> u64 {
        let ino = self.next;
        self.next += 1;
        let node = Node {
            parent,
            name: name.to_owned(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            made: SystemTime::now(),
        };
        self.nodes.insert(ino, node);
        if ino != ROOT
            && let Some(Kind::Dir(children)) = self.nodes.get_mut(&parent).map(|n| &mut n.kind)
            && let Some(old) = children.insert(name.to_owned(), ino)
        {
            self.forget(old);
        }
        ino
    }

    /// Creates a directory and its parents, unless it exists.
    pub fn dir(&mut self, path: &str) -> u64 {
        let mut at = ROOT;
        for name in path.split('/') {
            at = match self.raw_child(at, name) {
                Some(ino) => ino,
                None => self.insert(at, name, Kind::Dir(BTreeMap::new()), 0o755),
            };
        }
        at
    }

    /// Creates a directory that, like its parents, is never removed or broken, so that the
    /// kernel can cache the names.
    pub fn lasting_dir(&mut self, path: &str) {
        let mut at = self.dir(path);
        while let Some(node) = self.nodes.get(&at).filter(|_| at != ROOT) {
            self.lasting.insert(at);
            at = node.parent;
        }
    }

    /// Whether a node is permanent in this way.
    pub fn lasts(&self, ino: u64) -> bool {
        self.lasting.contains(&ino)
    }

    /// Creates an attribute file.
    pub fn file(&mut self, path: &str, mode: u16, attr: Attr) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if dir.is_empty() { ROOT } else { self.dir(dir) };
        self.insert(parent, name, Kind::File(attr), mode);
    }

    /// Creates a world-readable constant.
    pub fn text(&mut self, path: &str, value: &str) {
        self.file(path, 0o444, Attr::Text(format!("{value}\n")));
    }

    /// Creates a relative link at `path` to `target`, both relative to the top.
    pub fn link(&mut self, path: &str, target: &str) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if dir.is_empty() { ROOT } else { self.dir(dir) };
        self.insert(parent, name, Kind::Link(relative(dir, target)), 0o777);
    }

    /// Removes a node and everything below it, if it exists.
    pub fn remove(&mut self, path: &str) {
        let Some(ino) = self.raw_find(path) else {
            return;
        };
        let Some((parent, name)) = self.nodes.get(&ino).map(|n| (n.parent, n.name.clone())) else {
            return;
        };
        if let Some(Kind::Dir(children)) = self.nodes.get_mut(&parent).map(|n| &mut n.kind) {
            children.remove(&name);
        }
        self.forget(ino);
    }

    fn forget(&mut self, ino: u64) {
        if let Some(Kind::Dir(children)) = self.nodes.remove(&ino).map(|n| n.kind) {
            for child in children.into_values() {
                self.forget(child);
            }
        }
    }

    fn raw_child(&self, parent: u64, name: &str) -> Option<u64> {
        match &self.nodes.get(&parent)?.kind {
            Kind::Dir(children) => children.get(name).copied(),
            _ => None,
        }
    }

    fn raw_find(&self, path: &str) -> Option<u64> {
        path.split('/')
            .try_fold(ROOT, |at, name| self.raw_child(at, name))
    }

    /// The target of the link at `path`.
    pub fn target(&self, path: &str) -> Option<String> {
        match &self.node(self.raw_find(path)?)?.kind {
            Kind::Link(target) => Some(target.clone()),
            _ => None,
        }
    }

    /// Whether a node exists at `path`, broken or not.
    pub fn holds(&self, path: &str) -> bool {
        self.raw_find(path).is_some()
    }

    /// The node with that number.
    pub fn node(&self, ino: u64) -> Option<&Node> {
        self.nodes.get(&ino)
    }

    /// The node with that number, to change its mode or owner.
    pub fn node_mut(&mut self, ino: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&ino)
    }

    /// A name in a directory, as visible to users: missing if broken that way.
    pub fn child(&self, parent: u64, name: &str) -> Option<u64> {
        self.raw_child(parent, name)
            .filter(|ino| self.broken_at(*ino) != Some(Broken::Missing))
    }

    /// The names in a directory, as visible to users.
    pub fn children(&self, dir: u64) -> Vec<(String, u64)> {
        match self.nodes.get(&dir).map(|n| &n.kind) {
            Some(Kind::Dir(children)) => children
                .iter()
                .filter(|(_, ino)| self.broken_at(**ino) != Some(Broken::Missing))
                .map(|(name, ino)| (name.clone(), *ino))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Breaks the node at `path`, now and whenever it is recreated; `None` restores it.
    pub fn set_broken(&mut self, path: &str, how: Option<Broken>) {
        match how {
            Some(how) => self.broken.insert(path.to_owned(), how),
            None => self.broken.remove(path),
        };
    }

    /// Restores all broken nodes.
    pub fn mend(&mut self) {
        self.broken.clear();
    }

    /// How a node is broken, if it is.
    pub fn broken_at(&self, ino: u64) -> Option<Broken> {
        if self.broken.is_empty() {
            return None;
        }
        self.broken.get(&self.path(ino)).copied()
    }

    fn path(&self, ino: u64) -> String {
        let mut names = Vec::new();
        let mut at = ino;
        while let Some(node) = self.nodes.get(&at).filter(|_| at != ROOT) {
            names.push(node.name.as_str());
            at = node.parent;
        }
        names.reverse();
        names.join("/")
    }
}

/// The relative path from directory `from` to `target`.
fn relative(from: &str, target: &str) -> String {
    let from: Vec<&str> = from.split('/').filter(|s| !s.is_empty()).collect();
    let target: Vec<&str> = target.split('/').collect();
    let shared = from.iter().zip(&target).take_while(|(a, b)| a == b).count();
    let mut parts = vec![".."; from.len() - shared];
    parts.extend(&target[shared..]);
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_the_shape_that_sysfs_gives_them() {
        let parent = "devices/pci0000:80/0000:80:01.0/0000:81:00.0";
        assert_eq!(
            relative("class/mdev_bus", parent),
            format!("../../{parent}")
        );
        assert_eq!(
            relative("bus/mdev/devices", &format!("{parent}/u")),
            format!("../../../{parent}/u")
        );
        let types = format!("{parent}/mdev_supported_types");
        assert_eq!(
            relative(&format!("{parent}/u"), &format!("{types}/t")),
            "../mdev_supported_types/t"
        );
        assert_eq!(
            relative(&format!("{types}/t/devices"), &format!("{parent}/u")),
            "../../../u"
        );
    }

    #[test]
    fn what_is_removed_is_gone_with_all_below_it_and_its_number_stays_unused() {
        let mut tree = Tree::default();
        tree.text("a/b/c", "x");
        let old = tree.raw_find("a/b/c").unwrap();
        tree.remove("a/b");
        assert!(tree.node(old).is_none() && !tree.holds("a/b"));
        tree.text("a/b/c", "x");
        assert_ne!(tree.raw_find("a/b/c"), Some(old));
    }

    #[test]
    fn a_break_outlives_its_file() {
        let mut tree = Tree::default();
        tree.set_broken("a/b", Some(Broken::Missing));
        tree.text("a/b", "x");
        let dir = tree.raw_find("a").unwrap();
        assert!(tree.child(dir, "b").is_none() && tree.children(dir).is_empty());
        tree.set_broken("a/b", None);
        assert!(tree.child(dir, "b").is_some());
    }
}
