//! The module that browsers get of a function with the flag `edge`, or the reason why the function stays at the node.

use bytes::Bytes;
use serverledge_core::{Function, Runtime};
use serverledge_executor_wasm::{
    CoreInterface, NotPortable, linked_with_deadline, portable, with_deadline,
};

/// Longest module that is handed out: anybody may ask, and a browser loads it before the first call.
const MODULE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A form of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModuleForm {
    /// As it is deployed, without what is no part of the program.
    Plain,
    /// With checks of time.
    Deadline,
}

/// A reason why browsers cannot run a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotForBrowsers {
    #[error("the runtime {0} needs a container")]
    Container(Runtime),
    /// Whoever has its module and its environment has them.
    #[error("it has secrets, which a visitor who runs it could read")]
    Secrets,
    /// The page's own host gives a program its parameters and nothing else.
    #[error(
        "it has arguments or standard streams of its own, which only a node gives to a program"
    )]
    ProgramIo,
    /// A page sends requests in its visitor's name, and under the browser's rules.
    #[error("it sends requests to other hosts, which only a node does for it")]
    Outbound,
    #[error("its module has more than {} MiB", MODULE_BYTES_MAX >> 20)]
    TooLarge,
    #[error(transparent)]
    NotPortable(#[from] NotPortable),
}

/// Whether browsers could run a function, as far as that is seen without its code.
pub(crate) fn fits(function: &Function) -> Result<(), NotForBrowsers> {
    match function.version.runtime {
        Runtime::Wasm | Runtime::JavaScript | Runtime::PythonWasm => {}
        other => return Err(NotForBrowsers::Container(other)),
    }
    if !function.version.secrets.values.is_empty() {
        return Err(NotForBrowsers::Secrets);
    }
    if !function.version.io.is_default() {
        return Err(NotForBrowsers::ProgramIo);
    }
    if !function.version.outbound.is_empty() {
        return Err(NotForBrowsers::Outbound);
    }
    Ok(())
}

/// The module that browsers get of deployed code. It looks at the whole code.
pub(crate) fn module_of(code: &Bytes) -> Result<(CoreInterface, Bytes), NotForBrowsers> {
    let (interface, module) = portable(code)?;
    if module.len() > MODULE_BYTES_MAX {
        return Err(NotForBrowsers::TooLarge);
    }
    Ok((interface, module))
}

/// The module that browsers get, in a form; `None` if it has no such form. It takes time.
pub(crate) fn in_form(module: &Bytes, form: ModuleForm) -> Option<Bytes> {
    match form {
        ModuleForm::Plain => Some(module.clone()),
        ModuleForm::Deadline if is_linked(module) => linked_with_deadline(module).map(Bytes::from),
        ModuleForm::Deadline => with_deadline(module).map(Bytes::from),
    }
}

/// Whether this is the file of a component, which begins with its plan.
fn is_linked(file: &Bytes) -> bool {
    file.starts_with(b"{")
}

/// The word to somebody who deploys a function with the flag `edge` that stays at the node all the same. `code` gives its
/// code, if it is needed; a deploy does not fail for a remark.
pub(crate) async fn remark(
    function: &Function,
    code: impl Future<Output = Option<Bytes>>,
) -> Option<String> {
    if !function.flags.edge {
        return None;
    }
    let reason = match fits(function) {
        Ok(()) => {
            let code = code.await?;
            let looked = tokio::task::spawn_blocking(move || module_of(&code).err());
            looked.await.ok()??
        }
        Err(reason) => reason,
    };
    Some(format!(
        "edge: this function stays at the node, browsers do not run it themselves: {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::functions::tests::named;

    #[test]
    fn what_needs_no_container_fits() {
        let fits_as = |runtime| {
            let mut function = named("f");
            Arc::make_mut(&mut function.version).runtime = runtime;
            fits(&function)
        };
        for runtime in [Runtime::Wasm, Runtime::JavaScript, Runtime::PythonWasm] {
            assert_eq!(fits_as(runtime), Ok(()));
        }
        for runtime in [Runtime::Python, Runtime::NodeJs, Runtime::Custom] {
            assert_eq!(fits_as(runtime), Err(NotForBrowsers::Container(runtime)));
        }
    }

    /// A module with a custom section and data of so many bytes.
    fn module(data: usize) -> Bytes {
        let text = format!(
            r#"(module (memory (export "memory") 1000) (data (i32.const 0) "{}") (func (export "_start")))"#,
            "x".repeat(data)
        );
        Bytes::from(text)
    }

    #[test]
    fn what_counts_is_the_module_that_is_handed_out() {
        let code = module(10);
        let (interface, bare) = module_of(&code).unwrap();
        assert_eq!(interface, CoreInterface::Command);
        let long = vec![7; MODULE_BYTES_MAX];
        let carries = serverledge_executor_wasm::with_section(bare.to_vec(), "filler", &long);
        assert_eq!(module_of(&carries.into()).unwrap().1, bare);
    }

    #[test]
    fn reasons_are_sentences() {
        for (reason, words) in [
            (NotForBrowsers::Container(Runtime::Python), "container"),
            (NotForBrowsers::ProgramIo, "standard streams"),
            (NotForBrowsers::Outbound, "sends requests"),
            (NotForBrowsers::TooLarge, "16 MiB"),
            (NotForBrowsers::from(NotPortable::Component), "component"),
            (NotForBrowsers::from(NotPortable::LargeComponent), "4 MiB"),
        ] {
            assert!(reason.to_string().contains(words), "{reason}");
        }
    }
}
