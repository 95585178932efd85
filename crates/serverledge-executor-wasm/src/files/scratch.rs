//! The nodes of a call's own tree. A node lives as long as a directory or a descriptor holds it, and the bytes that it
//! counts with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::contents::Contents;
use super::fault::FileFault;
use super::kind::FileKind;
use super::limits::{NAME_BYTES_MAX, NAME_COST, NAMES_MAX, PATH_BYTES_MAX};
use super::room::MemoryRoom;
use super::times::{NewTime, NodeTimes};

/// The position of the first name in a directory, after those of itself and its parent.
pub(super) const FIRST_POSITION: u64 = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct ScratchNode {
    shared: Arc<ScratchShared>,
    pub(super) inode: u64,
    pub(super) kind: FileKind,
    state: Mutex<NodeState>,
}

/// The account of a tree.
#[derive(Debug)]
struct ScratchShared {
    room: MemoryRoom,
    names: AtomicU32,
    inodes: AtomicU64,
}

#[derive(Debug)]
struct NodeState {
    links: u32,
    times: NodeTimes,
    body: Body,
}

#[derive(Debug)]
enum Body {
    File(Contents),
    Directory(Names),
    Symlink(Arc<str>),
}

/// The names in a directory. Each has a position that it keeps, so that a listing goes on where it was whatever is added
/// or removed meanwhile.
#[derive(Debug)]
struct Names {
    by_name: BTreeMap<Arc<str>, NamedNode>,
    by_position: BTreeMap<u64, Arc<str>>,
    next_position: u64,
    parent: Weak<ScratchNode>,
    /// Whether the directory was removed while a descriptor holds it.
    is_removed: bool,
}

#[derive(Debug)]
struct NamedNode {
    position: u64,
    node: Arc<ScratchNode>,
}

/// A name of a listing, with the node that it is of.
#[derive(Debug)]
pub(super) struct ListedName {
    pub(super) position: u64,
    pub(super) name: Arc<str>,
    pub(super) node: Arc<ScratchNode>,
}

impl ScratchNode {
    /// The root of a new tree.
    pub(super) fn root(room: &MemoryRoom) -> Arc<Self> {
        let shared = Arc::new(ScratchShared {
            room: room.clone(),
            names: AtomicU32::new(0),
            inodes: AtomicU64::new(0),
        });
        Self::new(&shared, FileKind::Directory, Body::Directory(Names::new()))
    }

    fn new(shared: &Arc<ScratchShared>, kind: FileKind, body: Body) -> Arc<Self> {
        Arc::new(Self {
            inode: shared.inodes.fetch_add(1, Ordering::Relaxed) + 1,
            kind,
            state: Mutex::new(NodeState {
                links: u32::from(kind == FileKind::Directory),
                times: NodeTimes::present(),
                body,
            }),
            shared: Arc::clone(shared),
        })
    }

    /// Adds an empty file to this directory.
    pub(super) fn create_file(self: &Arc<Self>, name: &str) -> Result<Arc<Self>, FileFault> {
        let contents = Contents::empty(&self.shared.room);
        self.create(name, FileKind::File, Body::File(contents))
    }

    /// Adds an empty directory to this one.
    pub(super) fn create_directory(self: &Arc<Self>, name: &str) -> Result<Arc<Self>, FileFault> {
        self.create(name, FileKind::Directory, Body::Directory(Names::new()))
    }

    /// Adds a symbolic link to this directory.
    pub(super) fn create_symlink(
        self: &Arc<Self>,
        name: &str,
        target: &str,
    ) -> Result<Arc<Self>, FileFault> {
        if target.len() > PATH_BYTES_MAX {
            return Err(FileFault::NameTooLong);
        }
        self.create(name, FileKind::Symlink, Body::Symlink(Arc::from(target)))
    }

    fn create(
        self: &Arc<Self>,
        name: &str,
        kind: FileKind,
        body: Body,
    ) -> Result<Arc<Self>, FileFault> {
        let node = Self::new(&self.shared, kind, body);
        self.add(name, &node)?;
        Ok(node)
    }

    /// Adds a name for a node to this directory.
    pub(super) fn add(self: &Arc<Self>, name: &str, node: &Arc<Self>) -> Result<(), FileFault> {
        if name.len() > NAME_BYTES_MAX {
            return Err(FileFault::NameTooLong);
        }
        let cost = self.shared.cost(name, node);
        {
            let mut state = self.state.lock();
            let Body::Directory(names) = &mut state.body else {
                return Err(FileFault::NotDirectory);
            };
            if names.is_removed {
                return Err(FileFault::NoEntry);
            }
            if names.by_name.contains_key(name) {
                return Err(FileFault::Exists);
            }
            self.shared.take_name(cost)?;
            names.insert(name, node);
            state.times.touch();
        }
        let mut state = node.state.lock();
        match &mut state.body {
            Body::Directory(names) => names.parent = Arc::downgrade(self),
            Body::File(_) | Body::Symlink(_) => state.links += 1,
        }
        state.times.note_change();
        Ok(())
    }

    /// Removes a name of this directory. Its node stays as long as it has others or is open.
    pub(super) fn remove(&self, name: &str) -> Option<Arc<Self>> {
        let node = {
            let mut state = self.state.lock();
            let Body::Directory(names) = &mut state.body else {
                return None;
            };
            let node = names.remove(name)?;
            state.times.touch();
            node
        };
        self.shared.give_name_back(self.shared.cost(name, &node));
        let mut state = node.state.lock();
        if node.kind != FileKind::Directory {
            state.links = state.links.saturating_sub(1);
        }
        state.times.note_change();
        drop(state);
        Some(node)
    }

    /// Takes the last name from an empty directory: nothing can be added to it any more.
    pub(super) fn close_directory(&self) -> Result<(), FileFault> {
        let mut state = self.state.lock();
        let Body::Directory(names) = &mut state.body else {
            return Err(FileFault::NotDirectory);
        };
        if !names.by_name.is_empty() {
            return Err(FileFault::NotEmpty);
        }
        names.is_removed = true;
        state.links = 0;
        Ok(())
    }

    pub(super) fn child(&self, name: &str) -> Option<Arc<Self>> {
        match &self.state.lock().body {
            Body::Directory(names) => names.by_name.get(name).map(|entry| Arc::clone(&entry.node)),
            Body::File(_) | Body::Symlink(_) => None,
        }
    }

    /// The directory that this one is in.
    pub(super) fn parent(&self) -> Option<Arc<Self>> {
        match &self.state.lock().body {
            Body::Directory(names) => names.parent.upgrade(),
            Body::File(_) | Body::Symlink(_) => None,
        }
    }

    /// Whether this directory is that one, or lies in it.
    pub(super) fn is_within(self: &Arc<Self>, ancestor: &Arc<Self>) -> bool {
        let mut at = Some(Arc::clone(self));
        while let Some(directory) = at {
            if Arc::ptr_eq(&directory, ancestor) {
                return true;
            }
            at = directory.parent();
        }
        false
    }

    pub(super) fn is_of_the_tree_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The names from a position on, at most so many.
    pub(super) fn list(&self, from: u64, count_max: usize) -> Vec<ListedName> {
        let state = self.state.lock();
        let Body::Directory(names) = &state.body else {
            return Vec::new();
        };
        let named = names.by_position.range(from..).take(count_max);
        named
            .filter_map(|(position, name)| {
                let entry = names.by_name.get(name)?;
                Some(ListedName {
                    position: *position,
                    name: Arc::clone(name),
                    node: Arc::clone(&entry.node),
                })
            })
            .collect()
    }

    /// The path that a symbolic link stands for.
    pub(super) fn target(&self) -> Option<Arc<str>> {
        match &self.state.lock().body {
            Body::Symlink(target) => Some(Arc::clone(target)),
            Body::File(_) | Body::Directory(_) => None,
        }
    }

    pub(super) fn times(&self) -> NodeTimes {
        self.state.lock().times
    }

    pub(super) fn links(&self) -> u32 {
        self.state.lock().links
    }

    /// The length of a file's contents or of a link's target.
    pub(super) fn size(&self) -> u64 {
        match &self.state.lock().body {
            Body::File(contents) => contents.size(),
            Body::Symlink(target) => target.len() as u64,
            Body::Directory(_) => 0,
        }
    }

    pub(super) fn set_times(&self, accessed: NewTime, modified: NewTime) {
        self.state.lock().times.set(accessed, modified);
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileFault> {
        match &self.state.lock().body {
            Body::File(contents) => Ok(contents.read(offset, buffer)),
            Body::Directory(_) => Err(FileFault::IsDirectory),
            Body::Symlink(_) => Err(FileFault::Invalid),
        }
    }

    /// Writes at an offset, or at the end; returns the offset behind what was written.
    pub(super) fn write(&self, offset: Option<u64>, bytes: &[u8]) -> Result<u64, FileFault> {
        let mut state = self.state.lock();
        let Body::File(contents) = &mut state.body else {
            return Err(FileFault::IsDirectory);
        };
        let offset = offset.unwrap_or_else(|| contents.size());
        contents.write(offset, bytes)?;
        state.times.touch();
        Ok(offset + bytes.len() as u64)
    }

    pub(super) fn set_size(&self, size: u64) -> Result<(), FileFault> {
        let mut state = self.state.lock();
        let Body::File(contents) = &mut state.body else {
            return Err(FileFault::IsDirectory);
        };
        contents.set_size(size)?;
        state.times.touch();
        Ok(())
    }
}

/// A tree may be deeper than a stack, so that one node does not drop the next.
impl Drop for ScratchNode {
    fn drop(&mut self) {
        let mut pending = self.state.get_mut().body.take_nodes();
        while let Some(node) = pending.pop() {
            if let Some(mut last) = Arc::into_inner(node) {
                pending.extend(last.state.get_mut().body.take_nodes());
            }
        }
    }
}

impl Body {
    fn take_nodes(&mut self) -> Vec<Arc<ScratchNode>> {
        match self {
            Self::Directory(names) => std::mem::take(&mut names.by_name)
                .into_values()
                .map(|entry| entry.node)
                .collect(),
            Self::File(_) | Self::Symlink(_) => Vec::new(),
        }
    }
}

impl Names {
    fn new() -> Self {
        Self {
            by_name: BTreeMap::new(),
            by_position: BTreeMap::new(),
            next_position: FIRST_POSITION,
            parent: Weak::new(),
            is_removed: false,
        }
    }

    fn insert(&mut self, name: &str, node: &Arc<ScratchNode>) {
        let name: Arc<str> = Arc::from(name);
        let position = self.next_position;
        self.next_position += 1;
        self.by_position.insert(position, Arc::clone(&name));
        let node = Arc::clone(node);
        self.by_name.insert(name, NamedNode { position, node });
    }

    fn remove(&mut self, name: &str) -> Option<Arc<ScratchNode>> {
        let entry = self.by_name.remove(name)?;
        self.by_position.remove(&entry.position);
        Some(entry.node)
    }
}

impl ScratchShared {
    /// Bytes that a name counts; one of a symbolic link, with the link's text.
    fn cost(&self, name: &str, node: &ScratchNode) -> u64 {
        debug_assert!(std::ptr::eq(self, &*node.shared));
        let text = if node.kind == FileKind::Symlink {
            node.size()
        } else {
            0
        };
        NAME_COST + name.len() as u64 + text
    }

    fn take_name(&self, cost: u64) -> Result<(), FileFault> {
        if self.names.load(Ordering::Relaxed) >= NAMES_MAX || !self.room.take(cost) {
            return Err(FileFault::NoSpace);
        }
        self.names.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn give_name_back(&self, cost: u64) {
        self.names.fetch_sub(1, Ordering::Relaxed);
        self.room.give_back(cost);
    }
}
