//! Core modules as other hosts get them: in binary form, with the interface that such a host has to call.

use bytes::Bytes;

use crate::compile::binary;
use crate::surface;

/// Longest text form that is translated for another host. Text grows by little in its binary form, and the node
/// translates it outside of the limits of a deploy.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The interface of a core module (`docs/guest-abi.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreInterface {
    /// `_start`: parameters on stdin, the result on stdout.
    Command,
    /// `serverledge_alloc` and `serverledge_handle`: parameters and result in memory.
    Reactor,
}

/// The binary form of a deployed core module, and its interface. `None` for a component, for a long text, and for what
/// is no module.
#[must_use]
pub fn portable(code: &Bytes) -> Option<(CoreInterface, Bytes)> {
    let translated = match code.first() {
        Some(0) => None,
        _ if code.len() > TEXT_BYTES_MAX => return None,
        _ => Some(Bytes::from(binary(code).ok()?.into_owned())),
    };
    let module = translated.unwrap_or_else(|| code.clone());
    let surface = surface::read(&module).ok()?;
    let exports = |name: &str| surface.exports.iter().any(|export| export == name);
    if surface.is_component {
        None
    } else if exports("serverledge_handle") {
        Some((CoreInterface::Reactor, module))
    } else if exports("_start") {
        Some((CoreInterface::Command, module))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(code: impl Into<Bytes>) -> Option<CoreInterface> {
        portable(&code.into()).map(|(interface, _)| interface)
    }

    #[test]
    fn modules_are_told_apart_in_both_forms() {
        let reactor =
            r#"(module (func (export "serverledge_handle")) (func (export "_start")))"#.to_owned();
        let command = r#"(module (func (export "_start")))"#.to_owned();
        let binary = wat::parse_str(&command).unwrap();
        let code = Bytes::from(binary.clone());
        let (interface_of_binary, module) = portable(&code).unwrap();
        assert_eq!(interface_of_binary, CoreInterface::Command);
        assert_eq!(module.as_ptr(), code.as_ptr(), "a module is not copied");
        let (interface_of_text, translated) = portable(&Bytes::from(command)).unwrap();
        assert_eq!(interface_of_text, CoreInterface::Command);
        assert_eq!(translated, binary);
        assert_eq!(interface(reactor), Some(CoreInterface::Reactor));
    }

    #[test]
    fn others_are_not_handed_on() {
        let component = wat::parse_str("(component)").unwrap();
        assert_eq!(interface(component), None);
        for none in [
            "",
            "(module)",
            "(module",
            "exports.handler = () => 1",
            "\0asm",
        ] {
            assert_eq!(interface(none), None, "{none}");
        }
        let long = format!(
            "(module (func (export \"_start\"))){}",
            " ".repeat(TEXT_BYTES_MAX)
        );
        assert_eq!(interface(long), None);
    }
}
