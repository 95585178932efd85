//! Extracts the code from a deploy request: base64 of a tar with one module, or of the bare module.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serverledge_api::DeployError;
use serverledge_core::Runtime;
use serverledge_wire::javascript::{ENDINGS, needs_node};
use serverledge_wire::upload::{self, UploadError, UploadedFile};

/// Most bytes that headers and padding of a tar may add to its files.
const TAR_BYTES_MAX: usize = 1 << 20;

/// Code, and the runtime that its form suggests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) bytes: Bytes,
    pub(crate) inferred: Runtime,
}

/// Decodes and checks the code. `runtime` is the one of the request, if it names one: sources are taken whole, as they
/// are. `handler` chooses the module where a tar holds several.
pub(crate) fn extract(
    base64: &str,
    runtime: Option<Runtime>,
    handler: &str,
    bytes_max: usize,
) -> Result<Code, DeployError> {
    let bytes = decode(base64, bytes_max)?;
    refuse_url(&bytes)?;
    if let Some(
        inferred @ (Runtime::Python | Runtime::PythonWasm | Runtime::NodeJs | Runtime::JavaScript),
    ) = runtime
    {
        upload::read(&bytes, inferred, handler, bytes_max).map_err(|error| refused(&error))?;
        return Ok(Code {
            bytes: bytes.into(),
            inferred,
        });
    }
    if upload::is_tar(&bytes) {
        return from_tar(&bytes, handler, bytes_max);
    }
    if bytes.len() > bytes_max {
        return too_large(bytes_max);
    }
    Ok(Code {
        bytes: bytes.into(),
        inferred: Runtime::Wasm,
    })
}

fn decode(base64: &str, bytes_max: usize) -> Result<Vec<u8>, DeployError> {
    if base64.is_empty() {
        return fault(
            "no_code",
            "the request carries no code; put base64 of a tar or of the module into TarFunctionCode",
        );
    }
    // Three bytes in four characters; what a tar adds to its files is not code.
    if base64.len() / 4 * 3 > bytes_max + TAR_BYTES_MAX {
        return too_large(bytes_max);
    }
    STANDARD.decode(base64).or_else(|e| {
        fault(
            "malformed_base64",
            format!("TarFunctionCode is not base64: {e}"),
        )
    })
}

/// Refuses a URL: Go Serverledge fetches code by URL; this node does not.
fn refuse_url(bytes: &[u8]) -> Result<(), DeployError> {
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"http://") || text.starts_with(b"https://") {
        return fault(
            "url_unsupported",
            "code by URL is not fetched by this node; send the code itself",
        );
    }
    Ok(())
}

fn from_tar(bytes: &[u8], handler: &str, bytes_max: usize) -> Result<Code, DeployError> {
    let files = upload::read_tar(bytes, bytes_max).map_err(|error| refused(&error))?;
    let is_module = |file: &UploadedFile| {
        let path = file.path.to_ascii_lowercase();
        path.ends_with(".wasm") || path.ends_with(".wat")
    };
    let (modules, others): (Vec<_>, Vec<_>) = files.into_iter().partition(is_module);
    if !modules.is_empty() {
        return Ok(Code {
            bytes: program(bytes, modules, handler)?,
            inferred: Runtime::Wasm,
        });
    }
    let Some(inferred) = inferred(&others, handler) else {
        return fault("no_code", "the tar holds no .wasm, .wat, .py or .js file");
    };
    let inferred = if inferred == Runtime::NodeJs && fits_javascript(&others) {
        Runtime::JavaScript
    } else {
        inferred
    };
    Ok(Code {
        bytes: Bytes::copy_from_slice(bytes),
        inferred,
    })
}

/// The code of a tar with modules: the only file alone, or the whole tar if it brings files with its module. A module
/// that the handler names, and that is not the tar's own choice, is taken alone.
fn program(tar: &[u8], modules: Vec<UploadedFile>, handler: &str) -> Result<Bytes, DeployError> {
    let several = modules.len() > 1;
    let named = modules
        .into_iter()
        .find(|file| several && base(&file.path) == handler);
    match (upload::program(tar), named) {
        (Ok(program), Some(named)) if program.path != named.path => Ok(named.contents.into()),
        (Err(UploadError::SeveralModules), Some(named)) => Ok(named.contents.into()),
        (Ok(program), _) if program.files.is_empty() => {
            Ok(Bytes::copy_from_slice(&tar[program.module]))
        }
        (Ok(_), _) => Ok(Bytes::copy_from_slice(tar)),
        (Err(error), _) => Err(refused(&error)),
    }
}

/// The language of source files: that of the file which the handler names, else of the one nearest the root.
fn inferred(files: &[UploadedFile], handler: &str) -> Option<Runtime> {
    let module = handler.split('.').next().unwrap_or_default();
    let rank = |file: &UploadedFile| {
        let is_named = base(&file.path).split('.').next() == Some(module);
        Some((
            (!is_named, file.path.matches('/').count()),
            language(&file.path)?,
        ))
    };
    let ranked = files.iter().filter_map(rank);
    ranked
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, language)| language)
}

/// Whether the source is one script without dependencies on packages or on Node.js: the rule of the client, which
/// explains it.
fn fits_javascript(files: &[UploadedFile]) -> bool {
    let mut scripts = files.iter().filter(|file| language(&file.path).is_some());
    let only = scripts.next().filter(|_| scripts.next().is_none());
    let has_packages = files
        .iter()
        .any(|file| base(&file.path).starts_with("package"));
    let text = only.and_then(|only| std::str::from_utf8(&only.contents).ok());
    !has_packages && text.is_some_and(|text| needs_node(text).is_none())
}

fn language(name: &str) -> Option<Runtime> {
    let name = name.to_ascii_lowercase();
    if name.ends_with(".py") {
        return Some(Runtime::Python);
    }
    ENDINGS
        .iter()
        .any(|ending| name.ends_with(ending))
        .then_some(Runtime::NodeJs)
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The refusal of an upload.
pub(crate) fn refused(error: &UploadError) -> DeployError {
    DeployError::Code {
        code: error.code(),
        message: error.to_string(),
    }
}

fn too_large<T>(bytes_max: usize) -> Result<T, DeployError> {
    fault(
        "code_too_large",
        format!("the code has more than {bytes_max} bytes"),
    )
}

fn fault<T>(code: &'static str, message: impl Into<String>) -> Result<T, DeployError> {
    Err(DeployError::Code {
        code,
        message: message.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(files: &[(&str, &[u8])]) -> String {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        STANDARD.encode(builder.into_inner().unwrap())
    }

    fn check(base64: &str, handler: &str, expected: &str) {
        let outcome = match extract(base64, None, handler, 2048) {
            Ok(code) => format!("{} {}", code.inferred, code.bytes.len()),
            Err(DeployError::Code { code, .. }) => code.to_owned(),
            Err(other) => other.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn finds_the_module() {
        check(&STANDARD.encode(b"\0asm\x01\0\0\0"), "", "wasm 8");
        check(&tar(&[("dir/f.wasm", b"\0asm")]), "", "wasm 4");
        check(
            &tar(&[("a.wasm", b"a"), ("d/b.wasm", b"bb")]),
            "b.wasm",
            "wasm 2",
        );
        check(
            &tar(&[("a.wasm", b"a"), ("b.wasm", b"bb")]),
            "b.wasm",
            "wasm 2",
        );
        check(
            &tar(&[("a.wasm", b"a"), ("b.wasm", b"bb")]),
            "",
            "ambiguous_code",
        );
        check(
            &tar(&[("hello.js", b"x")]),
            "",
            &format!(
                "javascript {}",
                STANDARD.decode(tar(&[("hello.js", b"x")])).unwrap().len()
            ),
        );
        for more in [
            ("other.js", &b"x"[..]),
            ("package.json", b"{}"),
            ("needs.mjs", b"import 'fs'"),
        ] {
            let tree = tar(&[("hello.js", b"x"), more]);
            check(
                &tree,
                "",
                &format!("nodejs {}", STANDARD.decode(&tree).unwrap().len()),
            );
        }
        let needs = tar(&[("hello.js", b"require('fs')")]);
        check(
            &needs,
            "",
            &format!("nodejs {}", STANDARD.decode(&needs).unwrap().len()),
        );
        check(&tar(&[("notes.txt", b"x")]), "", "no_code");
    }

    #[test]
    fn a_module_with_files_is_the_whole_tar() {
        for files in [
            &[("f.wat", &b"(module)"[..]), ("README.md", b"x")][..],
            &[("main.wasm", b"\0asm"), ("other.wasm", b"\0asm")],
            &[("d/f.wasm", b"\0asm"), ("d/data/a.js", b"x")],
        ] {
            let tree = tar(files);
            let whole = STANDARD.decode(&tree).unwrap();
            for handler in ["", "main.wasm"] {
                let code = extract(&tree, None, handler, 2048).unwrap();
                assert_eq!(
                    (code.inferred, &code.bytes[..]),
                    (Runtime::Wasm, &whole[..])
                );
            }
        }
        let twice = tar(&[("main.wasm", b"\0asm"), ("a", b"x"), ("./a", b"y")]);
        check(&twice, "", "duplicate_path");
    }

    #[test]
    fn the_language_is_that_of_the_handler_or_of_the_root() {
        let mixed = |files: [&str; 3], handler: &str| {
            let files = files.map(|name| (name, &b"x"[..]));
            extract(&tar(&files), None, handler, 2048).unwrap().inferred
        };
        let files = ["assets/a.js", "main.py", "web/z.js"];
        assert_eq!(mixed(files, ""), Runtime::Python);
        assert_eq!(mixed(files, "main.handler"), Runtime::Python);
        assert_eq!(mixed(files, "z.handler"), Runtime::NodeJs);
        assert_eq!(mixed(["z.js", "b/a.py", "b/c.py"], ""), Runtime::NodeJs);
    }

    #[test]
    fn a_source_tree_is_taken_whole() {
        let tree = tar(&[("hello.py", b"x"), ("asset.wasm", b"\0asm")]);
        let code = extract(&tree, Some(Runtime::Python), "", 2048).unwrap();
        assert_eq!(
            (code.inferred, STANDARD.encode(&code.bytes)),
            (Runtime::Python, tree)
        );
    }

    #[test]
    fn a_fault_has_the_same_code_for_every_runtime() {
        let with = |path: &str, kind: tar::EntryType| {
            let mut builder = tar::Builder::new(Vec::new());
            for (path, kind) in [("f.js", tar::EntryType::Regular), (path, kind)] {
                let mut header = tar::Header::new_ustar();
                header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
                header.set_entry_type(kind);
                header.set_size(0);
                header.set_cksum();
                builder.append(&header, std::io::empty()).unwrap();
            }
            builder.into_inner().unwrap()
        };
        let whole = with("g.js", tar::EntryType::Regular);
        let files: [(Vec<u8>, Result<(), &str>); 7] = [
            (whole.clone(), Ok(())),
            (with("../g.js", tar::EntryType::Regular), Err("unsafe_path")),
            (with("/g.js", tar::EntryType::Regular), Err("unsafe_path")),
            (
                with("f.js/g.js", tar::EntryType::Regular),
                Err("unsafe_path"),
            ),
            (with("g.js", tar::EntryType::Symlink), Err("unsafe_entry")),
            (
                STANDARD.decode(tar(&[("f.js", &[b'x'; 2049])])).unwrap(),
                Err("code_too_large"),
            ),
            (whole[..700].to_vec(), Err("malformed_tar")),
        ];
        let runtimes = [
            Runtime::Wasm,
            Runtime::Python,
            Runtime::NodeJs,
            Runtime::JavaScript,
            Runtime::PythonWasm,
        ]
        .map(Some);
        for runtime in runtimes.into_iter().chain([None]) {
            for (tar, expected) in &files {
                let outcome = extract(&STANDARD.encode(tar), runtime, "", 2048)
                    .map(drop)
                    .map_err(|error| match error {
                        DeployError::Code { code, .. } => code,
                        other => panic!("{other}"),
                    });
                assert_eq!(outcome, *expected, "{runtime:?}");
            }
        }
        let bare = |bytes: &[u8]| {
            extract(&STANDARD.encode(bytes), Some(Runtime::JavaScript), "", 2048).unwrap_err()
        };
        assert!(matches!(
            bare(&[0xff]),
            DeployError::Code {
                code: "malformed_code",
                ..
            }
        ));
        assert!(matches!(
            bare(&[b' '; 2049]),
            DeployError::Code {
                code: "code_too_large",
                ..
            }
        ));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        check("", "", "no_code");
        check("%%%", "", "malformed_base64");
        check(
            &STANDARD.encode(b"https://example.com/f.wasm"),
            "",
            "url_unsupported",
        );
        check(&STANDARD.encode(vec![0; 3000]), "", "code_too_large");
        check(
            &tar(&[("a.wasm", &[0; 1500]), ("b.wasm", &[0; 1000])]),
            "",
            "code_too_large",
        );
        let mut broken = STANDARD.decode(tar(&[("a.wasm", b"a")])).unwrap();
        broken[150] = b'9';
        check(&STANDARD.encode(broken), "", "malformed_tar");
    }
}
