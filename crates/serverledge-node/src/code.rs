//! Takes the code out of a request to deploy: base64 of a tar with one module, or of the bare module.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serverledge_api::DeployError;
use serverledge_core::Runtime;
use serverledge_wire::javascript::{ENDINGS, needs_node};

/// Entries of a tar that are looked at: more than any source tree that fits the code limit needs.
const ENTRIES_MAX: usize = 10_000;
/// What headers and padding may add to the files of a tar.
const TAR_BYTES_MAX: usize = 1 << 20;
/// Offset and bytes of the magic of POSIX tars.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// Code, and the runtime that its form suggests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) bytes: Bytes,
    pub(crate) inferred: Runtime,
}

/// Decodes and unpacks. `runtime` is what the request says, if anything: source trees are taken as they are, whatever is
/// in them, for their executor to check. `handler` chooses the module where a tar holds several.
pub(crate) fn extract(
    base64: &str,
    runtime: Option<Runtime>,
    handler: &str,
    bytes_max: usize,
) -> Result<Code, DeployError> {
    let bytes = decode(base64, bytes_max)?;
    refuse_url(&bytes)?;
    if let Some(inferred @ (Runtime::Python | Runtime::NodeJs | Runtime::JavaScript)) = runtime {
        return Ok(Code {
            bytes: bytes.into(),
            inferred,
        });
    }
    if is_tar(&bytes) {
        return from_tar(&bytes, handler, bytes_max);
    }
    if bytes.len() > bytes_max {
        too_large(bytes_max)
    } else {
        bare(bytes)
    }
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

fn bare(bytes: Vec<u8>) -> Result<Code, DeployError> {
    Ok(Code {
        bytes: Bytes::from(bytes),
        inferred: Runtime::Wasm,
    })
}

/// Go Serverledge fetches code by URL; this node does not.
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

pub(crate) fn is_tar(bytes: &[u8]) -> bool {
    let (at, magic) = TAR_MAGIC;
    bytes.get(at..at + magic.len()) == Some(magic)
}

/// One regular file of a tar.
struct File {
    name: String,
    bytes: Vec<u8>,
}

fn from_tar(bytes: &[u8], handler: &str, bytes_max: usize) -> Result<Code, DeployError> {
    let files = match read_tar(bytes, bytes_max) {
        Ok(Some(files)) => files,
        Ok(None) => return too_large(bytes_max),
        Err(e) => return fault("malformed_tar", format!("the tar cannot be read: {e}")),
    };
    let ends = |file: &File, endings: &[&str]| {
        endings
            .iter()
            .any(|ending| file.name.to_ascii_lowercase().ends_with(ending))
    };
    let (modules, others): (Vec<File>, Vec<File>) = files
        .into_iter()
        .partition(|file| ends(file, &[".wasm", ".wat"]));
    let several = modules.len() > 1;
    let mut chosen = modules
        .into_iter()
        .filter(|file| !several || base(&file.name) == handler);
    if let Some(module) = chosen.next() {
        return Ok(Code {
            bytes: Bytes::from(module.bytes),
            inferred: Runtime::Wasm,
        });
    }
    if several {
        return fault(
            "ambiguous_code",
            "the tar holds several modules; name the file in Handler",
        );
    }
    let Some(inferred) = others.iter().find_map(|file| language(&file.name)) else {
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

/// One script that needs nothing beside it, and nothing of Node.js: the rule of the client, which says why.
fn fits_javascript(files: &[File]) -> bool {
    let mut scripts = files.iter().filter(|file| language(&file.name).is_some());
    let only = scripts.next().filter(|_| scripts.next().is_none());
    let has_packages = files
        .iter()
        .any(|file| base(&file.name).starts_with("package"));
    let text = only.and_then(|only| std::str::from_utf8(&only.bytes).ok());
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

/// Nothing is written anywhere, so names may be anything; sizes and counts may not. `None` if the files are too large.
fn read_tar(bytes: &[u8], bytes_max: usize) -> std::io::Result<Option<Vec<File>>> {
    let mut archive = tar::Archive::new(bytes);
    let mut files = Vec::new();
    let mut total = 0;
    for (count, entry) in archive.entries()?.enumerate() {
        let entry = entry?;
        if count >= ENTRIES_MAX {
            return Err(std::io::Error::other(format!(
                "it has more than {ENTRIES_MAX} entries"
            )));
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry
            .take((bytes_max - total) as u64 + 1)
            .read_to_end(&mut content)?;
        total += content.len();
        if total > bytes_max {
            return Ok(None);
        }
        files.push(File {
            name,
            bytes: content,
        });
    }
    Ok(Some(files))
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
            &tar(&[("f.wat", b"(module)"), ("README.md", b"x")]),
            "",
            "wasm 8",
        );
        check(
            &tar(&[("a.wasm", b"a"), ("d/b.wasm", b"bb")]),
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
    fn a_source_tree_is_taken_whole() {
        let tree = tar(&[("hello.py", b"x"), ("asset.wasm", b"\0asm")]);
        let code = extract(&tree, Some(Runtime::Python), "", 2048).unwrap();
        assert_eq!(
            (code.inferred, STANDARD.encode(&code.bytes)),
            (Runtime::Python, tree)
        );
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
