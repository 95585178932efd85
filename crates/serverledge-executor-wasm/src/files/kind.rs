//! The kinds of nodes.

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    File,
    Directory,
    Symlink,
}
