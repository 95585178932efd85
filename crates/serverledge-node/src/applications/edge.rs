//! The code of functions that callers may run themselves: the text of one JavaScript file, or a WebAssembly module.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_api::{EdgeCode, EdgeKind, HostingError};
use serverledge_core::{Digest, Function, Interface, Runtime};

use crate::applications::Apps;
use crate::functions::javascript::script_of;
use crate::functions::scripts::{ScriptFile, script};
use crate::functions::snapshots::source_of;

/// The first bytes of binary modules.
const WASM_MAGIC: &[u8] = b"\0asm";
/// Most bytes of code that are kept: enough for some responses.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that an entry takes beside its code.
const ENTRY_BYTES: usize = 256;

/// The code of a version and the handler in it; `None` if callers cannot run it.
type EdgeArtifact = Option<(Bytes, String)>;

/// A cache of such code: visitors ask for it at each visit, and the registry holds it in chunks. A version's code never
/// changes. The oldest entries are evicted.
#[derive(Debug, Default)]
pub(crate) struct EdgeCodes(Mutex<EdgeCodeTable>);

#[derive(Debug, Default)]
struct EdgeCodeTable {
    found: HashMap<Digest, EdgeArtifact>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl EdgeCodes {
    fn get(&self, version: &Digest) -> Option<EdgeArtifact> {
        self.0.lock().found.get(version).cloned()
    }

    fn keep(&self, version: Digest, found: EdgeArtifact) {
        let mut kept = self.0.lock();
        let bytes = size(&found);
        if bytes > KEPT_BYTES_MAX || kept.found.contains_key(&version) {
            return;
        }
        while kept.bytes + bytes > KEPT_BYTES_MAX {
            let Some(gone) = kept
                .order
                .pop_front()
                .and_then(|oldest| kept.found.remove(&oldest))
            else {
                break;
            };
            kept.bytes -= size(&gone);
        }
        kept.bytes += bytes;
        kept.order.push_back(version);
        kept.found.insert(version, found);
    }
}

fn size(found: &EdgeArtifact) -> usize {
    ENTRY_BYTES
        + found
            .as_ref()
            .map_or(0, |(code, handler)| code.len() + handler.len())
}

impl Apps {
    /// The code of a function for its callers; `None` if they may not run it, or if it is no such text or module. One with
    /// secrets stays here: whoever has its code and its environment has them. So does a program with arguments or
    /// streams of its own, and a function that sends requests: only a node does these for it.
    pub(super) async fn code_for_callers(
        &self,
        function: &Function,
    ) -> Result<Option<EdgeCode>, HostingError> {
        let version = &function.version;
        let is_open = function.flags.edge
            && function.interface == Interface::Json
            && version.secrets.values.is_empty()
            && version.io.is_default()
            && version.outbound.is_empty();
        if !is_open {
            return Ok(None);
        }
        let kind = match version.runtime {
            Runtime::Wasm => EdgeKind::Wasm,
            Runtime::NodeJs | Runtime::JavaScript => EdgeKind::JavaScript,
            Runtime::Python | Runtime::PythonWasm | Runtime::Custom => return Ok(None),
        };
        let found = match self.edge_codes.get(&version.digest) {
            Some(found) => found,
            None => {
                let code = self.stored_code(function).await?;
                let of_script = |script: ScriptFile| (script.text, script.handler);
                let found = match version.runtime {
                    Runtime::JavaScript => {
                        script_of(&source_of(version.runtime, code), &version.handler)
                            .ok()
                            .map(of_script)
                    }
                    Runtime::NodeJs => script(&code, &version.handler).map(of_script),
                    _ => code.starts_with(WASM_MAGIC).then(|| (code, String::new())),
                };
                self.edge_codes.keep(version.digest, found.clone());
                found
            }
        };
        let idempotent = function.flags.idempotent;
        Ok(found.map(|(code, handler)| EdgeCode {
            kind,
            code,
            handler,
            idempotent,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_longest_makes_room() {
        let codes = EdgeCodes::default();
        let found = |bytes: usize| Some((vec![0; bytes].into(), String::new()));
        let quarter = KEPT_BYTES_MAX / 4;
        (0..9).for_each(|n| codes.keep(Digest::new([n; 32]), found(quarter)));
        let kept = |n: u8| codes.get(&Digest::new([n; 32])).is_some();
        assert_eq!((0..9).filter(|n| kept(*n)).collect::<Vec<_>>(), [6, 7, 8]);
        codes.keep(Digest::new([9; 32]), found(KEPT_BYTES_MAX));
        assert!(
            !kept(9) && kept(8),
            "what is too large takes nobody's place"
        );
        codes.keep(Digest::new([10; 32]), None);
        assert_eq!(
            codes.get(&Digest::new([10; 32])),
            Some(None),
            "that there is none is known as well"
        );
        let kept = codes.0.lock();
        assert_eq!(kept.bytes, kept.found.values().map(size).sum::<usize>());
        assert_eq!(kept.order.len(), kept.found.len());
    }
}
