//! Whether a script is for the runtime `javascript` or for Node.js, and why.

use std::path::Path;

use serverledge_client::Runtime;
use serverledge_wire::javascript::{NOT_IN_THE_FILE, needs_node};

/// The remark on a script for Node.js, before the reason.
pub(super) const IN_NODE: &str = "it runs in Node.js, in a container";
/// The remark on a script for the engine in WebAssembly.
pub(super) const IN_WASM: &str = "it runs in WebAssembly, with the runtime javascript; --runtime nodejs gives it Node.js in a container";

/// The runtime for scripts whose owner named none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) runtime: Runtime,
    /// The reason, in words for people.
    pub(super) why: String,
}

impl Choice {
    fn node(why: impl std::fmt::Display) -> Self {
        Self {
            runtime: Runtime::NodeJs,
            why: format!("{IN_NODE}: {why}"),
        }
    }
}

/// One script that names nothing of Node.js runs on the engine in WebAssembly; everything else needs Node.js.
pub(super) fn choose(files: &[(&Path, &[u8])], has_lists: bool) -> Choice {
    let mut scripts = files
        .iter()
        .filter(|(path, _)| super::runtime_of(path) == Some(Runtime::NodeJs));
    let (Some((path, bytes)), None) = (scripts.next(), scripts.next()) else {
        return Choice::node("it has several scripts");
    };
    if has_lists || files.iter().any(|(path, _)| is_list(path)) {
        return Choice::node("it has a list of packages");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Choice::node(format!("{} is not UTF-8", path.display()));
    };
    match needs_node(text) {
        Some(why) if why.ends_with(NOT_IN_THE_FILE) => {
            Choice::node(format!("it {why}; installed beside it, it is bundled"))
        }
        Some(why) => Choice::node(format!("it {why}")),
        None => Choice {
            runtime: Runtime::JavaScript,
            why: IN_WASM.to_owned(),
        },
    }
}

fn is_list(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .and_then(super::List::kind)
        .is_some()
}
