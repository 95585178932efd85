//! What was uploaded: a tar or a single file, checked before anything of it is kept.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::{Deserialize, Serialize};
use serverledge_core::{PrepareError, Runtime};

/// Files of one upload: more than any source tree needs; dependencies are installed, not uploaded.
const FILES_MAX: usize = 10_000;
/// Longest path within an upload.
const PATH_BYTES_MAX: usize = 512;
/// Deepest folder.
const DEPTH_MAX: usize = 32;
/// Offset and bytes of the magic of POSIX tars.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// One file; its contents lie with the others'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) executable: bool,
}

/// A checked upload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) files: Vec<FileEntry>,
    pub(crate) contents: Vec<u8>,
}

/// Reads an upload. `handler` names the file where the upload is a bare source file.
pub(crate) fn read(
    code: &[u8],
    runtime: Runtime,
    handler: &str,
    bytes_max: usize,
) -> Result<Bundle, PrepareError> {
    let (at, magic) = TAR_MAGIC;
    let bundle = if code.get(at..at + magic.len()) == Some(magic) {
        unpack(code, bytes_max)?
    } else {
        bare(code, runtime, handler)?
    };
    if bundle.files.is_empty() {
        return fault("no_code", "the upload holds no file");
    }
    Ok(bundle)
}

/// A source file by itself: named as the handler expects.
fn bare(code: &[u8], runtime: Runtime, handler: &str) -> Result<Bundle, PrepareError> {
    if std::str::from_utf8(code).is_err() {
        return fault(
            "malformed_code",
            "the code is neither a tar nor a source file in UTF-8",
        );
    }
    let ending = if runtime == Runtime::Python {
        ".py"
    } else {
        ".js"
    };
    let stem = handler
        .split('.')
        .next()
        .filter(|stem| !stem.is_empty())
        .unwrap_or("main");
    let path = checked_path(&format!("{stem}{ending}"))?;
    let file = FileEntry {
        path,
        bytes: code.len() as u64,
        executable: false,
    };
    Ok(Bundle {
        files: vec![file],
        contents: code.to_vec(),
    })
}

fn unpack(code: &[u8], bytes_max: usize) -> Result<Bundle, PrepareError> {
    let mut archive = tar::Archive::new(code);
    // Sorted, and a later entry of a name replaces an earlier one, as when unpacking.
    let mut files: BTreeMap<String, (bool, Vec<u8>)> = BTreeMap::new();
    let (mut entries, mut total) = (0, 0);
    for entry in archive.entries().map_err(|error| malformed(&error))? {
        let mut entry = entry.map_err(|error| malformed(&error))?;
        entries += 1;
        if entries > FILES_MAX {
            return fault(
                "too_many_files",
                format!("the tar has more than {FILES_MAX} entries"),
            );
        }
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .or_else(|_| fault("unsafe_path", "a path in the tar is not UTF-8"))?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        if !kind.is_file() {
            return fault(
                "unsafe_entry",
                format!(
                    "{name:?} is a {}; files and folders are allowed",
                    kind_name(kind)
                ),
            );
        }
        let path = checked_path(&name)?;
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let mut contents = Vec::new();
        // What is read is counted, whatever the header says.
        let room = (bytes_max - total) as u64 + 1;
        entry
            .by_ref()
            .take(room)
            .read_to_end(&mut contents)
            .map_err(|error| malformed(&error))?;
        total += contents.len();
        if total > bytes_max {
            return fault(
                "code_too_large",
                format!("the files have more than {bytes_max} bytes together"),
            );
        }
        files.insert(path, (executable, contents));
    }
    check_folders(&files)?;
    let mut bundle = Bundle::default();
    for (path, (executable, contents)) in files {
        bundle.files.push(FileEntry {
            path,
            bytes: contents.len() as u64,
            executable,
        });
        bundle.contents.extend_from_slice(&contents);
    }
    Ok(bundle)
}

/// A path without tricks, in its plain form.
fn checked_path(name: &str) -> Result<String, PrepareError> {
    let bad = |why: &str| fault("unsafe_path", format!("{name:?} {why}"));
    if name.starts_with('/') {
        return bad("is an absolute path");
    }
    if name.contains(['\0', '\\']) || name.chars().any(char::is_control) {
        return bad("has characters that paths here cannot have");
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return bad("leaves the upload");
    }
    if parts.is_empty() || parts.len() > DEPTH_MAX || name.len() > PATH_BYTES_MAX {
        return bad("is empty, too deep or too long");
    }
    Ok(parts.join("/"))
}

/// A file cannot be another one's folder.
fn check_folders(files: &BTreeMap<String, (bool, Vec<u8>)>) -> Result<(), PrepareError> {
    for path in files.keys() {
        let mut folder = path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            if files.contains_key(above) {
                return fault(
                    "unsafe_path",
                    format!("{above:?} is a file and {path:?} lies in it"),
                );
            }
            folder = above;
        }
    }
    Ok(())
}

impl Bundle {
    /// The contents of a file at the root, or in the only folder of an upload that is one folder.
    pub(crate) fn at_root(&self, name: &str) -> Option<&[u8]> {
        self.get(name).or_else(|| {
            let folder = self.files.first()?.path.split_once('/')?.0;
            let one = self.files.iter().all(|file| {
                file.path
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.starts_with('/'))
            });
            if one {
                self.get(&format!("{folder}/{name}"))
            } else {
                None
            }
        })
    }

    fn get(&self, path: &str) -> Option<&[u8]> {
        let mut from = 0;
        for file in &self.files {
            let length = usize::try_from(file.bytes).ok()?;
            if file.path == path {
                return self.contents.get(from..from + length);
            }
            from += length;
        }
        None
    }
}

fn kind_name(kind: tar::EntryType) -> &'static str {
    use tar::EntryType as Kind;
    match kind {
        Kind::Link => "hard link",
        Kind::Symlink => "symbolic link",
        Kind::Char | Kind::Block => "device",
        Kind::Fifo => "named pipe",
        _ => "special entry",
    }
}

fn malformed(error: &std::io::Error) -> PrepareError {
    PrepareError::Invalid {
        code: "malformed_tar",
        message: format!("the tar cannot be read: {error}"),
    }
}

fn fault<T>(code: &'static str, message: impl Into<String>) -> Result<T, PrepareError> {
    Err(PrepareError::Invalid {
        code,
        message: message.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o755);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn check(code: &[u8], expected: &str) {
        let told = match read(code, Runtime::Python, "hello.handler", 1000) {
            Ok(bundle) => bundle
                .files
                .iter()
                .map(|f| f.path.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            Err(PrepareError::Invalid { code, .. }) => code.to_owned(),
            Err(other) => other.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn reads_trees_and_single_files() {
        use tar::EntryType as Kind;
        check(b"def handler(p): return p", "hello.py");
        check(
            &tar(&[
                ("./b.py", Kind::Regular, b"x"),
                ("a/", Kind::Directory, b""),
                ("a//c.py", Kind::Regular, b"y"),
            ]),
            "a/c.py b.py",
        );
        let bundle = read(
            &tar(&[
                ("f/requirements.txt", Kind::Regular, b"six"),
                ("f/h.py", Kind::Regular, b""),
            ]),
            Runtime::Python,
            "",
            1000,
        );
        assert_eq!(
            bundle.unwrap().at_root("requirements.txt"),
            Some(&b"six"[..])
        );
    }

    #[test]
    fn refuses_what_is_not_safe() {
        use tar::EntryType as Kind;
        check(
            &tar(&[("/etc/cron.d/x", Kind::Regular, b"x")]),
            "unsafe_path",
        );
        check(&tar(&[("a/../../x", Kind::Regular, b"x")]), "unsafe_path");
        check(&tar(&[("a\\..\\x", Kind::Regular, b"x")]), "unsafe_path");
        check(&tar(&[("a\nb", Kind::Regular, b"x")]), "unsafe_path");
        check(&tar(&[("link", Kind::Symlink, b"")]), "unsafe_entry");
        check(&tar(&[("link", Kind::Link, b"")]), "unsafe_entry");
        check(&tar(&[("null", Kind::Char, b"")]), "unsafe_entry");
        check(&tar(&[("disk", Kind::Block, b"")]), "unsafe_entry");
        check(&tar(&[("pipe", Kind::Fifo, b"")]), "unsafe_entry");
        check(
            &tar(&[("a", Kind::Regular, b"x"), ("a/b", Kind::Regular, b"x")]),
            "unsafe_path",
        );
        check(
            &tar(&[("big", Kind::Regular, &[0; 1001])]),
            "code_too_large",
        );
        check(&tar(&[("d/", Kind::Directory, b"")]), "no_code");
        check(&[0xff, 0xfe, 0x00], "malformed_code");
        // A header that promises more than there is.
        let mut short = tar(&[("big", Kind::Regular, b"x")]);
        short.truncate(600);
        check(&short, "malformed_tar");
    }

    #[test]
    fn many_small_entries_are_bounded() {
        let many: Vec<(String, tar::EntryType, &[u8])> = (0..=FILES_MAX)
            .map(|i| (format!("f{i}"), tar::EntryType::Regular, &b""[..]))
            .collect();
        let many: Vec<(&str, tar::EntryType, &[u8])> =
            many.iter().map(|(n, k, b)| (n.as_str(), *k, *b)).collect();
        check(&tar(&many), "too_many_files");
    }

    /// Random bytes, and tars with random bytes in random places: nothing panics, and what is accepted is safe and whole.
    #[test]
    fn whatever_comes_is_refused_or_safe() {
        use tar::EntryType as Kind;
        let good = tar(&[
            ("./b.py", Kind::Regular, b"x = 1"),
            ("a/", Kind::Directory, b""),
            ("a/c.py", Kind::Regular, &[b'y'; 700]),
            ("pax", Kind::XHeader, b"12 path=a/b\n"),
            ("d", Kind::Regular, b""),
            ("long", Kind::GNULongName, b"one/very/long/name"),
            ("e", Kind::Regular, b"z"),
        ]);
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let telling = [
            b"../",
            &b"/"[..],
            b"\0",
            b"77777777777",
            b"\x80\xff\xff\xff",
            b"12",
            b"L",
            b"x",
            b"30 path=/etc/x\n",
            b"\\",
        ];
        let mut accepted = 0;
        for round in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=random(4) {
                let at = if random(2) == 0 {
                    random(bytes.len() / 512) * 512 + random(160)
                } else {
                    random(bytes.len())
                };
                let piece = telling[random(telling.len())];
                let to = bytes.len().min(at + piece.len());
                bytes[at..to].copy_from_slice(&piece[..to - at]);
            }
            if round % 2 == 0 {
                mend_checksums(&mut bytes);
            }
            bytes.truncate(if random(4) == 0 {
                random(bytes.len())
            } else {
                bytes.len()
            });
            if let Ok(bundle) = read(&bytes, Runtime::Python, "hello.handler", 2000) {
                accepted += 1;
                assert_safe(&bundle);
            }
        }
        assert!(
            accepted > 1000,
            "the mutations leave something to judge: {accepted}"
        );
    }

    fn mend_checksums(bytes: &mut [u8]) {
        for block in bytes
            .chunks_exact_mut(512)
            .filter(|block| &block[257..262] == b"ustar")
        {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }

    fn assert_safe(bundle: &Bundle) {
        let total: u64 = bundle.files.iter().map(|file| file.bytes).sum();
        assert_eq!(total, bundle.contents.len() as u64);
        assert!(total <= 100_000);
        for file in &bundle.files {
            let parts: Vec<&str> = file.path.split('/').collect();
            assert!(
                parts
                    .iter()
                    .all(|part| !part.is_empty() && *part != "." && *part != ".."),
                "{:?}",
                file.path
            );
            assert!(!file.path.chars().any(char::is_control), "{:?}", file.path);
        }
    }
}
