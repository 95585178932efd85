//! Files of a guest, all of them in memory: a tree that comes with the code, which nobody changes and all calls share,
//! and a tree of its own for each call, which begins empty and ends with the call.
//!
//! Nothing here touches the machine's file system, and nothing knows of an interface of WASI: preview 1, WASI 0.2 and 0.3
//! are three ways to the same nodes.

mod base;
mod code_parts;
mod contents;
mod fault;
mod kind;
mod limits;
mod node;
mod pack;
mod path;
mod room;
mod scratch;
mod times;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub(crate) use base::BaseTree;
pub(crate) use code_parts::CodeParts;
pub(crate) use fault::FileFault;
pub(crate) use kind::FileKind;
pub(crate) use limits::{OPEN_MAX, PATH_BYTES_MAX};
pub(crate) use node::{DirectoryItem, FileNode, FileStat, OpenHow, Preopen};
pub(crate) use pack::unpacked;
pub(crate) use room::MemoryRoom;
pub(crate) use times::NewTime;

use std::sync::Arc;

use crate::config::FileLayout;

/// The directory of the files that come with the code.
const BASE_NAME: &str = "/";
/// The directory that a call can write to.
const SCRATCH_NAME: &str = "/tmp";

/// The directories of a call, with the files that come with its code. The bytes of its own are taken from `room`.
///
/// # Errors
/// [`FileFault::NoSpace`] if the call has no memory for its copies.
pub(crate) fn of_call(
    base: &Arc<BaseTree>,
    layout: FileLayout,
    room: &MemoryRoom,
) -> Result<Vec<Preopen>, FileFault> {
    Ok(match layout {
        FileLayout::Apart => vec![
            Preopen::new(BASE_NAME, FileNode::base(base)),
            Preopen::new(SCRATCH_NAME, FileNode::scratch(room)),
        ],
        FileLayout::Copied => {
            let own = FileNode::scratch_with(base, room)?;
            vec![Preopen::new(BASE_NAME, own)]
        }
    })
}
