//! The way along a path: name by name from a directory, through symbolic links, and never above where it began.

use super::fault::FileFault;
use super::kind::FileKind;
use super::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, STEPS_MAX, SYMLINKS_MAX};
use super::node::FileNode;

/// The treatment of a symbolic link at the end of a path. Those before it are always followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkTreatment {
    /// It is followed.
    Follow,
    /// It is meant itself, unless the path says with a slash that a directory is.
    Stop,
    /// It is meant itself, and is no directory.
    Never,
}

/// The end of a path.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory that it is in.
    pub(super) parent: FileNode,
    /// Its name there; `None`: it is that directory itself.
    pub(super) name: Option<Box<str>>,
    /// The node, if there is one.
    pub(super) node: Option<FileNode>,
    /// Whether the path ends with a slash.
    pub(super) needs_directory: bool,
}

/// The names of a path that are still to be gone along, the next one last.
struct RemainingPath {
    names: Vec<Box<str>>,
    symlinks: usize,
}

impl RemainingPath {
    fn push(&mut self, path: &str) {
        let names = path.split('/').filter(|name| !name.is_empty());
        self.names.extend(names.rev().map(Box::<str>::from));
    }

    fn follow(&mut self, target: &str) -> Result<(), FileFault> {
        self.symlinks += 1;
        if self.symlinks > SYMLINKS_MAX {
            return Err(FileFault::Loop);
        }
        if target.starts_with('/') {
            return Err(FileFault::NotPermitted);
        }
        self.push(target);
        Ok(())
    }
}

/// Goes along a path from a directory.
///
/// # Errors
/// [`FileFault`] if there is no such way, or it leads out of the directory. What is missing at the end alone is none.
pub(super) fn resolve(
    start: &FileNode,
    path: &str,
    links: LinkTreatment,
) -> Result<Place, FileFault> {
    check(start, path)?;
    let needs_directory = path.ends_with('/');
    let mut way = RemainingPath {
        names: Vec::new(),
        symlinks: 0,
    };
    way.push(path);
    let mut inside = vec![start.clone()];
    let mut steps = 0;
    while let Some(name) = way.names.pop() {
        steps += 1;
        if steps > STEPS_MAX {
            return Err(FileFault::Loop);
        }
        match &*name {
            "." => continue,
            ".." => {
                inside.pop();
                if inside.is_empty() {
                    return Err(FileFault::NotPermitted);
                }
                continue;
            }
            long if long.len() > NAME_BYTES_MAX => return Err(FileFault::NameTooLong),
            _ => {}
        }
        let is_last = way.names.is_empty();
        let parent = inside.last().unwrap_or(start);
        let Some((node, target)) = parent.step(&name) else {
            return missing(parent, name, is_last, needs_directory);
        };
        if is_last && target.is_some() && links == LinkTreatment::Never && needs_directory {
            // It is no directory, but where it leads is told first.
            resolve(start, path, LinkTreatment::Follow)?;
            return Err(FileFault::NotDirectory);
        }
        let is_meant = is_last && !follows(links, needs_directory);
        match target {
            Some(target) if !is_meant => way.follow(&target)?,
            _ if is_last => return end(parent, name, node, needs_directory),
            _ if node.kind() == FileKind::Directory => inside.push(node),
            _ => return Err(FileFault::NotDirectory),
        }
    }
    let itself = inside.pop().unwrap_or_else(|| start.clone());
    Ok(Place {
        node: Some(itself.clone()),
        parent: itself,
        name: None,
        needs_directory,
    })
}

fn check(start: &FileNode, path: &str) -> Result<(), FileFault> {
    if path.is_empty() {
        return Err(FileFault::NoEntry);
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(FileFault::NameTooLong);
    }
    if path.contains('\0') {
        return Err(FileFault::Invalid);
    }
    if path.starts_with('/') {
        return Err(FileFault::NotPermitted);
    }
    if !start.is_directory() {
        return Err(FileFault::NotDirectory);
    }
    Ok(())
}

/// Whether a symbolic link at the end is followed.
fn follows(links: LinkTreatment, needs_directory: bool) -> bool {
    match links {
        LinkTreatment::Follow => true,
        LinkTreatment::Stop => needs_directory,
        LinkTreatment::Never => false,
    }
}

/// The end of a path where there is nothing.
fn missing(
    parent: &FileNode,
    name: Box<str>,
    is_last: bool,
    needs_directory: bool,
) -> Result<Place, FileFault> {
    if !is_last {
        return Err(FileFault::NoEntry);
    }
    Ok(Place {
        parent: parent.clone(),
        name: Some(name),
        node: None,
        needs_directory,
    })
}

fn end(
    parent: &FileNode,
    name: Box<str>,
    node: FileNode,
    needs_directory: bool,
) -> Result<Place, FileFault> {
    if needs_directory && node.kind() != FileKind::Directory {
        return Err(FileFault::NotDirectory);
    }
    Ok(Place {
        parent: parent.clone(),
        name: Some(name),
        node: Some(node),
        needs_directory,
    })
}
