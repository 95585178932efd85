//! A file, a directory or a symbolic link, and all that can be done with it: what is shared by the interfaces of WASI.
//! Paths are relative to a directory, and never lead out of it.

use std::sync::Arc;

use bytes::Bytes;

use super::base::{BaseEntry, BaseTree};
use super::fault::FileFault;
use super::kind::FileKind;
use super::path::{LinkTreatment, Place, resolve};
use super::room::MemoryRoom;
use super::scratch::{FIRST_POSITION, ScratchNode};
use super::times::NewTime;

/// Numbers of the two file systems.
const BASE_DEVICE: u64 = 1;
const SCRATCH_DEVICE: u64 = 2;

/// See the module. Clones are the same node.
#[derive(Debug, Clone)]
pub(crate) enum FileNode {
    /// One that comes with the code.
    Base(BaseNode),
    /// One of the call's own.
    Scratch(Arc<ScratchNode>),
}

/// An entry of a tree that comes with the code.
#[derive(Debug, Clone)]
pub(crate) struct BaseNode {
    tree: Arc<BaseTree>,
    index: u32,
}

/// The facts about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileStat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) kind: FileKind,
    pub(crate) links: u64,
    pub(crate) size: u64,
    /// Times in nanoseconds of the Unix epoch.
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    pub(crate) changed: u64,
}

/// A name of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryItem {
    /// The position from which a listing goes on behind it.
    pub(crate) next: u64,
    pub(crate) inode: u64,
    pub(crate) kind: FileKind,
    pub(crate) name: Arc<str>,
}

/// The way in which a path is opened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpenHow {
    /// A symbolic link at the end of the path is followed.
    pub(crate) follow: bool,
    /// A file that is missing is made.
    pub(crate) create: bool,
    /// With `create`: it must be missing.
    pub(crate) exclusive: bool,
    /// It must be a directory.
    pub(crate) directory: bool,
    /// A file is made empty.
    pub(crate) truncate: bool,
    /// It will be written to.
    pub(crate) write: bool,
}

/// A directory that a call finds open, and the name that it has for the program.
#[derive(Debug, Clone)]
pub(crate) struct Preopen {
    pub(crate) name: Arc<str>,
    pub(crate) node: FileNode,
}

impl Preopen {
    pub(crate) fn new(name: &str, node: FileNode) -> Self {
        Self {
            name: Arc::from(name),
            node,
        }
    }
}

impl FileNode {
    /// The root of a tree that comes with the code.
    pub(crate) fn base(tree: &Arc<BaseTree>) -> Self {
        Self::Base(BaseNode {
            tree: Arc::clone(tree),
            index: 0,
        })
    }

    /// The root of a new tree, whose bytes are taken from `room`.
    pub(crate) fn scratch(room: &MemoryRoom) -> Self {
        Self::Scratch(ScratchNode::root(room))
    }

    /// The root of a new tree that begins with copies of these files.
    pub(crate) fn scratch_with(tree: &Arc<BaseTree>, room: &MemoryRoom) -> Result<Self, FileFault> {
        let root = ScratchNode::root(room);
        let mut pending = vec![(Self::base(tree), Arc::clone(&root))];
        while let Some((from, to)) = pending.pop() {
            for item in from.list(FIRST_POSITION, usize::MAX)? {
                let Some(child) = from.child(&item.name) else {
                    continue;
                };
                if child.kind() == FileKind::Directory {
                    pending.push((child, to.create_directory(&item.name)?));
                } else if let Self::Base(base) = &child
                    && let Some(contents) = base.tree.contents(base.index)
                {
                    to.create_file(&item.name)?.write(None, contents)?;
                }
            }
        }
        Ok(Self::Scratch(root))
    }

    pub(crate) fn kind(&self) -> FileKind {
        match self {
            Self::Base(base) => base.kind(),
            Self::Scratch(node) => node.kind,
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind() == FileKind::Directory
    }

    /// Whether nothing of its tree can be changed.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::Base(_))
    }

    /// Whether two are the same node.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Base(one), Self::Base(other)) => {
                Arc::ptr_eq(&one.tree, &other.tree) && one.index == other.index
            }
            (Self::Scratch(one), Self::Scratch(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    pub(crate) fn stat(&self) -> FileStat {
        match self {
            Self::Base(base) => FileStat {
                device: BASE_DEVICE,
                inode: base.inode(),
                kind: base.kind(),
                links: 1,
                size: base.tree.contents(base.index).map_or(0, length),
                accessed: 0,
                modified: 0,
                changed: 0,
            },
            Self::Scratch(node) => {
                let times = node.times();
                FileStat {
                    device: SCRATCH_DEVICE,
                    inode: node.inode,
                    kind: node.kind,
                    links: u64::from(node.links()),
                    size: node.size(),
                    accessed: times.accessed,
                    modified: times.modified,
                    changed: times.changed,
                }
            }
        }
    }

    /// Two numbers that differ for different nodes. Programs take them for its inode, so that writing changes nothing.
    pub(crate) fn metadata_hash(&self) -> (u64, u64) {
        let stat = self.stat();
        let mut hasher = blake3::Hasher::new();
        for part in [stat.device, stat.inode] {
            hasher.update(&part.to_le_bytes());
        }
        let mut hash = [0; 16];
        hasher.finalize_xof().fill(&mut hash);
        let [lower, upper] =
            [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|i| hash[at + i])));
        (lower, upper)
    }

    pub(crate) fn set_times(&self, accessed: NewTime, modified: NewTime) -> Result<(), FileFault> {
        self.writable()?.set_times(accessed, modified);
        Ok(())
    }

    /// Reads what there is of a file from `offset` on, and returns how many bytes that was.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileFault> {
        match self {
            Self::Base(base) => {
                let contents = base.contents()?;
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = contents.get(start..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Self::Scratch(node) => node.read(offset, buffer),
        }
    }

    /// As [`Self::read`], without a copy where the contents are those that came with the code.
    pub(crate) fn read_bytes(&self, offset: u64, length: usize) -> Result<Bytes, FileFault> {
        match self {
            Self::Base(base) => {
                let contents = base.contents()?;
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(contents.len());
                let end = start.saturating_add(length).min(contents.len());
                Ok(contents.slice(start..end))
            }
            Self::Scratch(node) => {
                let left = node.size().saturating_sub(offset);
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
                let mut buffer = vec![0; length];
                let read = node.read(offset, &mut buffer)?;
                buffer.truncate(read);
                Ok(buffer.into())
            }
        }
    }

    /// Writes all of `bytes` to a file at `offset`, or nothing.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), FileFault> {
        self.writable()?.write(Some(offset), bytes).map(drop)
    }

    /// Writes at the end of a file, and returns the offset behind what was written.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<u64, FileFault> {
        self.writable()?.write(None, bytes)
    }

    pub(crate) fn set_size(&self, size: u64) -> Result<(), FileFault> {
        self.writable()?.set_size(size)
    }

    /// The names of a directory from a position on, at most so many; those of itself and its parent are the first two.
    pub(crate) fn list(
        &self,
        from: u64,
        count_max: usize,
    ) -> Result<Vec<DirectoryItem>, FileFault> {
        if !self.is_directory() {
            return Err(FileFault::NotDirectory);
        }
        let mut items = Vec::new();
        for (position, name) in [(0, "."), (1, "..")] {
            if from <= position && items.len() < count_max {
                items.push(DirectoryItem {
                    next: position + 1,
                    inode: if position == 0 {
                        self.stat().inode
                    } else {
                        self.parent_inode()
                    },
                    kind: FileKind::Directory,
                    name: Arc::from(name),
                });
            }
        }
        let count = count_max - items.len();
        match self {
            Self::Base(base) => items.extend(base.list(from, count)),
            Self::Scratch(node) => {
                let named = node.list(from, count).into_iter();
                items.extend(named.map(|named| DirectoryItem {
                    next: named.position + 1,
                    inode: named.node.inode,
                    kind: named.node.kind,
                    name: named.name,
                }));
            }
        }
        Ok(items)
    }

    fn parent_inode(&self) -> u64 {
        match self {
            Self::Base(base) => match base.tree.directory(base.index) {
                Some(directory) => inode(directory.parent),
                None => base.inode(),
            },
            Self::Scratch(node) => node.parent().map_or(node.inode, |parent| parent.inode),
        }
    }

    /// A node by its path from this directory.
    pub(crate) fn lookup(&self, path: &str, follow: bool) -> Result<Self, FileFault> {
        let links = if follow {
            LinkTreatment::Follow
        } else {
            LinkTreatment::Stop
        };
        resolve(self, path, links)?.node.ok_or(FileFault::NoEntry)
    }

    /// Opens a path from this directory.
    pub(crate) fn open(&self, path: &str, how: OpenHow) -> Result<Self, FileFault> {
        if how.create && how.directory {
            return Err(FileFault::Invalid);
        }
        let follows = how.follow && !(how.create && how.exclusive);
        let links = if follows {
            LinkTreatment::Follow
        } else {
            LinkTreatment::Stop
        };
        let place = resolve(self, path, links)?;
        let Some(node) = place.node.clone() else {
            if !how.create {
                return Err(FileFault::NoEntry);
            }
            if place.needs_directory {
                return Err(FileFault::IsDirectory);
            }
            let file = place.parent.writable()?.create_file(place.name()?)?;
            return Ok(Self::Scratch(file));
        };
        if how.create && how.exclusive {
            return Err(FileFault::Exists);
        }
        match node.kind() {
            FileKind::Symlink if how.directory => Err(FileFault::NotDirectory),
            FileKind::Symlink => Err(FileFault::Loop),
            FileKind::Directory if how.create || how.write || how.truncate => {
                Err(FileFault::IsDirectory)
            }
            FileKind::Directory => Ok(node),
            FileKind::File if how.directory => Err(FileFault::NotDirectory),
            FileKind::File => {
                if how.write || how.truncate {
                    node.writable()?;
                }
                if how.truncate {
                    node.set_size(0)?;
                }
                Ok(node)
            }
        }
    }

    pub(crate) fn create_directory(&self, path: &str) -> Result<(), FileFault> {
        let place = resolve(self, path, LinkTreatment::Never)?;
        if place.node.is_some() {
            return Err(FileFault::Exists);
        }
        let parent = place.parent.writable()?;
        parent.create_directory(place.name()?).map(drop)
    }

    pub(crate) fn remove_directory(&self, path: &str) -> Result<(), FileFault> {
        let place = resolve(self, path, LinkTreatment::Never)?;
        let node = place.node.as_ref().ok_or(FileFault::NoEntry)?;
        if !node.is_directory() {
            return Err(FileFault::NotDirectory);
        }
        let name = place.name().map_err(|_| FileFault::Invalid)?;
        let parent = place.parent.writable()?;
        node.writable()?.close_directory()?;
        parent.remove(name);
        Ok(())
    }

    /// Removes a name of what is no directory.
    pub(crate) fn unlink(&self, path: &str) -> Result<(), FileFault> {
        let place = resolve(self, path, LinkTreatment::Never)?;
        let node = place.node.as_ref().ok_or(FileFault::NoEntry)?;
        if node.is_directory() {
            return Err(FileFault::IsDirectory);
        }
        place.parent.writable()?.remove(place.name()?);
        Ok(())
    }

    /// Makes a symbolic link at `path`. One that leads out of everything by an absolute path is not made.
    pub(crate) fn symlink(&self, target: &str, path: &str) -> Result<(), FileFault> {
        if target.is_empty() {
            return Err(FileFault::NoEntry);
        }
        if target.contains('\0') {
            return Err(FileFault::Invalid);
        }
        if target.starts_with('/') {
            return Err(FileFault::NotPermitted);
        }
        let place = resolve(self, path, LinkTreatment::Never)?;
        if place.node.is_some() {
            return Err(FileFault::Exists);
        }
        if place.needs_directory {
            return Err(FileFault::NoEntry);
        }
        let parent = place.parent.writable()?;
        parent.create_symlink(place.name()?, target).map(drop)
    }

    /// The path that a symbolic link stands for.
    pub(crate) fn read_link(&self, path: &str) -> Result<Arc<str>, FileFault> {
        match self.lookup(path, false)? {
            Self::Scratch(node) => node.target().ok_or(FileFault::Invalid),
            Self::Base(_) => Err(FileFault::Invalid),
        }
    }

    /// Makes another name, `new_path` from `new_directory`, of the file or link at `path`.
    pub(crate) fn link(
        &self,
        path: &str,
        new_directory: &Self,
        new_path: &str,
    ) -> Result<(), FileFault> {
        let node = self.lookup(path, false)?;
        let place = resolve(new_directory, new_path, LinkTreatment::Never)?;
        if place.node.is_some() {
            return Err(FileFault::Exists);
        }
        if place.needs_directory {
            return Err(FileFault::NoEntry);
        }
        if node.is_directory() {
            return Err(FileFault::NotPermitted);
        }
        let (node, parent) = in_one_tree(&node, &place.parent)?;
        parent.add(place.name()?, node)
    }

    /// Renames the node at `path` to `new_path` from `new_directory`, whose node it replaces.
    pub(crate) fn rename(
        &self,
        path: &str,
        new_directory: &Self,
        new_path: &str,
    ) -> Result<(), FileFault> {
        let from = resolve(self, path, LinkTreatment::Never)?;
        let node = from.node.as_ref().ok_or(FileFault::NoEntry)?;
        let to = resolve(new_directory, new_path, LinkTreatment::Never)?;
        let (old_name, new_name) = (from.name()?, to.name()?);
        if to.needs_directory && !node.is_directory() {
            return Err(FileFault::NotDirectory);
        }
        let (node, new_parent) = in_one_tree(node, &to.parent)?;
        let old_parent = from.parent.writable()?;
        if node.kind == FileKind::Directory && new_parent.is_within(node) {
            return Err(FileFault::Invalid);
        }
        if let Some(replaced) = &to.node {
            if replaced.is_same(&Self::Scratch(Arc::clone(node))) {
                return Ok(());
            }
            replace(node, replaced.writable()?)?;
            new_parent.remove(new_name);
        }
        // The name that goes makes room for the one that comes; only a longer one can find none.
        old_parent.remove(old_name);
        let moved = new_parent.add(new_name, node);
        if moved.is_err() {
            old_parent.add(old_name, node)?;
        }
        moved
    }

    fn child(&self, name: &str) -> Option<Self> {
        match self {
            Self::Base(base) => base.child(name).map(Self::Base),
            Self::Scratch(node) => node.child(name).map(Self::Scratch),
        }
    }

    /// A name of this directory, and the path behind it if it is a symbolic link.
    pub(super) fn step(&self, name: &str) -> Option<(Self, Option<Arc<str>>)> {
        let child = self.child(name)?;
        let target = match &child {
            Self::Scratch(node) => node.target(),
            Self::Base(_) => None,
        };
        Some((child, target))
    }

    fn writable(&self) -> Result<&Arc<ScratchNode>, FileFault> {
        match self {
            Self::Scratch(node) => Ok(node),
            Self::Base(_) => Err(FileFault::ReadOnly),
        }
    }
}

/// Whether a node may take the place of another one, which is made ready to go.
fn replace(node: &ScratchNode, replaced: &ScratchNode) -> Result<(), FileFault> {
    match (
        node.kind == FileKind::Directory,
        replaced.kind == FileKind::Directory,
    ) {
        (true, true) => replaced.close_directory(),
        (true, false) => Err(FileFault::NotDirectory),
        (false, true) => Err(FileFault::IsDirectory),
        (false, false) => Ok(()),
    }
}

/// A node and a directory of the same tree that can be written to.
fn in_one_tree<'a>(
    node: &'a FileNode,
    directory: &'a FileNode,
) -> Result<(&'a Arc<ScratchNode>, &'a Arc<ScratchNode>), FileFault> {
    match (node, directory) {
        (FileNode::Scratch(node), FileNode::Scratch(directory))
            if node.is_of_the_tree_of(directory) =>
        {
            Ok((node, directory))
        }
        (FileNode::Base(_), FileNode::Base(_)) => Err(FileFault::ReadOnly),
        _ => Err(FileFault::CrossDevice),
    }
}

impl Place {
    /// The name of the place in its directory; the fault is that it is the directory itself.
    fn name(&self) -> Result<&str, FileFault> {
        self.name.as_deref().ok_or(FileFault::Busy)
    }
}

impl BaseNode {
    fn inode(&self) -> u64 {
        inode(self.index)
    }

    fn kind(&self) -> FileKind {
        match self.tree.entry(self.index) {
            Some(BaseEntry::Directory(_)) => FileKind::Directory,
            _ => FileKind::File,
        }
    }

    fn contents(&self) -> Result<&Bytes, FileFault> {
        self.tree.contents(self.index).ok_or(FileFault::IsDirectory)
    }

    fn child(&self, name: &str) -> Option<Self> {
        let index = self.tree.directory(self.index)?.child(name)?;
        Some(self.at(index))
    }

    fn at(&self, index: u32) -> Self {
        Self {
            tree: Arc::clone(&self.tree),
            index,
        }
    }

    /// The names from a position on, in their order.
    fn list(&self, from: u64, count_max: usize) -> impl Iterator<Item = DirectoryItem> + '_ {
        let directory = self.tree.directory(self.index);
        let names = directory.map_or(&[][..], |directory| directory.names.as_slice());
        let skipped = usize::try_from(from.saturating_sub(FIRST_POSITION)).unwrap_or(usize::MAX);
        let position = FIRST_POSITION + skipped as u64;
        let named = names.iter().skip(skipped).take(count_max);
        named
            .zip(position..)
            .map(move |((name, index), position)| DirectoryItem {
                next: position + 1,
                inode: inode(*index),
                kind: self.at(*index).kind(),
                name: Arc::clone(name),
            })
    }
}

fn inode(index: u32) -> u64 {
    u64::from(index) + 1
}

fn length(contents: &Bytes) -> u64 {
    contents.len() as u64
}
