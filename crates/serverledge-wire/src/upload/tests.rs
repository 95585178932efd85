//! The strictness of the reader: what is read, and what is refused with which code.

use serverledge_core::SplitMix64;
use tar::EntryType as Kind;

use super::*;

fn tar(entries: &[(&str, Kind, &[u8])]) -> Vec<u8> {
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
        Ok(files) => files
            .iter()
            .map(|file| file.path.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => format!("{}: {error}", error.code()),
    };
    assert!(
        told == expected || told.starts_with(&format!("{expected}: ")),
        "{told} is not {expected}"
    );
}

#[test]
fn plain_files_are_read() {
    check(b"def handler(p): return p", "hello.py");
    for (entries, expected) in [
        (
            &[
                ("./b.py", Kind::Regular, &b"x"[..]),
                ("a/", Kind::Directory, b""),
                ("a//c.py", Kind::Regular, b"y"),
            ][..],
            "a/c.py b.py",
        ),
        // As when unpacking: the later one.
        (
            &[("a", Kind::Regular, b"x"), ("./a", Kind::Regular, b"y")],
            "a",
        ),
        (
            &[
                ("pax", Kind::XGlobalHeader, b"11 size=0\n"),
                ("a", Kind::Regular, b"x"),
            ],
            "a",
        ),
    ] {
        check(&tar(entries), expected);
    }
    let files = read(
        &tar(&[("a", Kind::Regular, b"x"), ("./a", Kind::Regular, b"y")]),
        Runtime::Python,
        "",
        1000,
    );
    let path = "a".to_owned();
    let owner = String::new();
    assert_eq!(
        files.unwrap(),
        [UploadedFile {
            path,
            contents: b"y".to_vec(),
            executable: true,
            owner
        }]
    );
}

#[test]
fn everything_else_is_refused() {
    let deep = "d/".repeat(DEPTH_MAX) + "f";
    for (path, kind, expected) in [
        ("/etc/cron.d/x", Kind::Regular, "unsafe_path"),
        ("a/../../x", Kind::Regular, "unsafe_path"),
        ("a\\..\\x", Kind::Regular, "unsafe_path"),
        ("a\nb", Kind::Regular, "unsafe_path"),
        (".", Kind::Regular, "unsafe_path"),
        (&deep, Kind::Regular, "unsafe_path"),
        (
            "link",
            Kind::Symlink,
            "unsafe_entry: \"link\" is a symbolic link; files and folders are allowed",
        ),
        ("link", Kind::Link, "unsafe_entry"),
        ("null", Kind::Char, "unsafe_entry"),
        ("disk", Kind::Block, "unsafe_entry"),
        ("pipe", Kind::Fifo, "unsafe_entry"),
        ("d/", Kind::Directory, "no_code"),
    ] {
        check(&tar(&[(path, kind, b"")]), expected);
    }
    check(
        &tar(&[("a", Kind::Regular, b"x"), ("a/b", Kind::Regular, b"x")]),
        "unsafe_path: \"a\" is a file and \"a/b\" lies in it",
    );
    check(
        &tar(&[("big", Kind::Regular, &[0; 1001])]),
        "code_too_large: the files have more than 1000 bytes together",
    );
    check(
        &tar(&[
            ("one", Kind::Regular, &[0; 600]),
            ("two", Kind::Regular, &[0; 600]),
        ]),
        "code_too_large",
    );
    check(&[0xff, 0xfe, 0x00], "malformed_code");
    check(&[b'#'; 1001], "code_too_large");
    // A header that promises more than there is.
    let mut short = tar(&[("big", Kind::Regular, b"x")]);
    short.truncate(600);
    check(&short, "malformed_tar");
}

#[test]
fn entries_of_an_owner_are_left_out_with_their_headers() {
    let long = format!("{}/added", "x".repeat(200));
    let made = |files: &[(&str, &str)]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, owner) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(3);
            header.set_username(owner).unwrap();
            builder.append_data(&mut header, path, &b"xyz"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let tar = made(&[("a", "me"), (&long, "node"), ("b", "me"), (&long, "node")]);
    let mut kept = entries_without(&tar, "node").unwrap();
    kept.extend([0; 1024]);
    assert_eq!(kept, made(&[("a", "me"), ("b", "me")]));
    let owners = read_tar(&tar, 100)
        .unwrap()
        .into_iter()
        .map(|file| file.owner);
    assert_eq!(owners.collect::<Vec<_>>(), ["me", "me", "node"]);
    assert_eq!(
        entries_without(&tar[..600], "node").unwrap_err().code(),
        "malformed_tar"
    );
}

#[test]
fn the_only_folder_is_one_of_all_files() {
    for (paths, expected) in [
        (&["f/a", "f/b/c"][..], Some("f")),
        (&["f/a", "g/a"], None),
        (&["f/a", "a"], None),
        (&["f/a", "fg/a"], None),
        (&[], None),
    ] {
        assert_eq!(only_folder(paths.iter().copied()), expected, "{paths:?}");
    }
}

#[test]
fn many_small_entries_are_bounded() {
    let many: Vec<(String, Kind, &[u8])> = (0..=ENTRIES_MAX)
        .map(|i| (format!("f{i}"), Kind::Regular, &b""[..]))
        .collect();
    let many: Vec<(&str, Kind, &[u8])> =
        many.iter().map(|(n, k, b)| (n.as_str(), *k, *b)).collect();
    check(&tar(&many), "too_many_files");
}

/// Random bytes, and tars with random bytes in random places: nothing panics, and what is accepted is safe and whole.
#[test]
fn whatever_comes_is_refused_or_safe() {
    let good = tar(&[
        ("./b.py", Kind::Regular, b"x = 1"),
        ("a/", Kind::Directory, b""),
        ("a/c.py", Kind::Regular, &[b'y'; 700]),
        ("pax", Kind::XHeader, b"12 path=a/b\n"),
        ("d", Kind::Regular, b""),
        ("long", Kind::GNULongName, b"one/very/long/name"),
        ("e", Kind::Regular, b"z"),
    ]);
    let mut numbers = SplitMix64::new(1);
    let mut random = move |below: usize| numbers.below(below);
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
        if let Ok(files) = read(&bytes, Runtime::Python, "hello.handler", 2000) {
            accepted += 1;
            assert_safe(&files);
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

fn assert_safe(files: &[UploadedFile]) {
    assert!(files.iter().map(|file| file.contents.len()).sum::<usize>() <= 100_000);
    for UploadedFile { path, .. } in files {
        let parts: Vec<&str> = path.split('/').collect();
        assert!(
            parts
                .iter()
                .all(|part| !part.is_empty() && *part != "." && *part != ".."),
            "{path:?}"
        );
        assert!(!path.chars().any(char::is_control), "{path:?}");
    }
}

/// The module of a tar with these files, and the paths of the others.
fn program_of(paths: &[&str]) -> Result<(String, Vec<String>), &'static str> {
    let entries: Vec<(&str, Kind, &[u8])> = paths
        .iter()
        .map(|path| (*path, Kind::Regular, path.as_bytes()))
        .collect();
    let tar = tar(&entries);
    let found = program(&tar).map_err(|error| error.code())?;
    assert_eq!(&tar[found.module], found.path.as_bytes());
    for file in &found.files {
        let contents = std::str::from_utf8(&tar[file.range.clone()]).unwrap();
        assert!(contents.ends_with(&file.path), "{contents} {}", file.path);
    }
    let files = found.files.into_iter().map(|file| file.path).collect();
    Ok((found.path, files))
}

#[test]
fn a_program_is_a_module_and_files() {
    let found = |module: &str, files: &[&str]| {
        let files: Vec<String> = files.iter().map(|path| (*path).to_owned()).collect();
        Ok((module.to_owned(), files))
    };
    for (paths, expected) in [
        (&["f.wasm"][..], found("f.wasm", &[])),
        (&["f.wat", "data/a"], found("f.wat", &["data/a"])),
        (&["p/f.wasm", "p/a"], found("p/f.wasm", &["a"])),
        (&["p/f.wasm"], found("p/f.wasm", &[])),
        (&["f.wasm", "MAIN.WASM"], found("MAIN.WASM", &["f.wasm"])),
        (&["f.wasm", "d/g.wasm"], found("f.wasm", &["d/g.wasm"])),
        (&["f.wasm", "g.wat"], found("f.wasm", &["g.wat"])),
        (&["d/g.wasm", "a"], found("d/g.wasm", &["a"])),
        (&["f.wasm", "g.wasm"], Err("ambiguous_code")),
        (
            &["main.wasm", "main.wat"],
            found("main.wasm", &["main.wat"]),
        ),
        (&["d/f.wasm", "e/g.wasm"], Err("ambiguous_code")),
        (&["a", "b"], Err("no_code")),
        (&[], Err("no_code")),
        (&["f.wasm", "a", "./a"], Err("duplicate_path")),
        (&["f.wasm", "a", "a/b"], Err("unsafe_path")),
        (&["f.wasm", "../a"], Err("unsafe_path")),
        (&["f.wasm", "/a"], Err("unsafe_path")),
    ] {
        assert_eq!(program_of(paths), expected, "{paths:?}");
    }
}

#[test]
fn files_are_found_where_they_lie() {
    let long = "l".repeat(200);
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in [
        ("main.wasm", "module"),
        (long.as_str(), "long"),
        ("empty", ""),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, text.as_bytes())
            .unwrap();
    }
    let mut tar = builder.into_inner().unwrap();
    let found = tar_files(&tar).unwrap();
    let found: Vec<(&str, &[u8])> = found
        .iter()
        .map(|file| (file.path.as_str(), &tar[file.range.clone()]))
        .collect();
    let expected: [(&str, &[u8]); 3] = [("empty", b""), (&long, b"long"), ("main.wasm", b"module")];
    assert_eq!(found, expected);
    tar.truncate(515);
    assert_eq!(tar_files(&tar).unwrap_err().code(), "malformed_tar");
    for link in [Kind::Symlink, Kind::Link, Kind::Char, Kind::Fifo] {
        let with = self::tar(&[("f.wasm", Kind::Regular, b"x"), ("l", link, b"")]);
        assert_eq!(program(&with).unwrap_err().code(), "unsafe_entry");
    }
}

/// Both readers find the same files, with the same contents, in what the stricter one accepts.
#[test]
fn both_readers_agree() {
    let good = tar(&[
        ("main.wasm", Kind::Regular, b"module"),
        ("a/b", Kind::Regular, &[b'y'; 700]),
        ("pax", Kind::XHeader, b"12 path=a/c\n"),
        ("d", Kind::Regular, b"z"),
    ]);
    let mut numbers = SplitMix64::new(2);
    for _ in 0..5_000 {
        let mut bytes = good.clone();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(bytes.len());
            bytes[at] = [b'/', b'.', b'0', b'7', 0, 0x80][numbers.below(6)];
        }
        mend_checksums(&mut bytes);
        let Ok(found) = tar_files(&bytes) else {
            continue;
        };
        let read = read_tar(&bytes, bytes.len()).expect("the other reader takes it");
        assert_eq!(read.len(), found.len());
        for (file, place) in read.iter().zip(&found) {
            assert_eq!(file.path, place.path);
            assert_eq!(file.contents, &bytes[place.range.clone()]);
        }
    }
}
