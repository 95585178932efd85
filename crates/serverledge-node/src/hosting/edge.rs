//! The code of functions that callers may run themselves: the text of one JavaScript file, or a WebAssembly module.

use serverledge_api::{EdgeCode, EdgeKind, HostingError};
use serverledge_core::{Application, Interface, Runtime};

use crate::javascript;
use crate::node::Node;
use crate::scripts::script;

/// What binary modules begin with.
const WASM_MAGIC: &[u8] = b"\0asm";
impl Node {
    pub(super) async fn edge_code(
        &self,
        application: &Application,
        name: &str,
    ) -> Result<Option<EdgeCode>, HostingError> {
        let Some(entry) = self.functions.get(&application.space, name) else { return Ok(None) };
        let function = &entry.function;
        if !function.flags.edge || function.interface != Interface::Json {
            return Ok(None);
        }
        let version = &function.version;
        let kind = match version.runtime {
            Runtime::Wasm => EdgeKind::Wasm,
            Runtime::NodeJs | Runtime::JavaScript => EdgeKind::JavaScript,
            Runtime::Python | Runtime::Custom => return Ok(None),
        };
        let code = self.stored_code(function).await?;
        let found = match kind {
            EdgeKind::Wasm => code.starts_with(WASM_MAGIC).then(|| (code, String::new())),
            EdgeKind::JavaScript => script(&javascript::source_of(version.runtime, code), &version.handler)
                .map(|script| (script.text, script.handler)),
        };
        let idempotent = function.flags.idempotent;
        Ok(found.map(|(code, handler)| EdgeCode { kind, code, handler, idempotent }))
    }
}
