//! Uploads that are malformed, hostile or too large: each is refused with a code of its own, and nothing of it is kept.

use anyhow::Result;
use serde_json::json;
use tar::EntryType as Kind;

use crate::support::tars::{tar_of, tar_with};
use crate::support::{Lab, request};

const GOOD: &[u8] = b"def handler(params): return 1\n";

/// Tars, and the code that each is refused with.
fn hostile() -> Result<Vec<(&'static str, Vec<u8>, &'static str)>> {
    let good = ("main.py", Kind::Regular, "", GOOD);
    let with = |name: &'static str, kind, target| tar_with(&[good, (name, kind, target, b"")]);
    let mut many = tar::Builder::new(Vec::new());
    for number in 0..10_001 {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        many.append_data(&mut header, format!("{number}.py"), std::io::empty())?;
    }
    let mut short = tar_with(&[("main.py", Kind::Regular, "", &[b'x'; 4000])])?;
    short.truncate(1024);
    let mut lying = tar_with(&[good])?;
    // A size of 64 GiB in the header, behind which there are a few bytes.
    lying[124..136].copy_from_slice(b"777777777777");
    Ok(vec![
        (
            "parent",
            with("../main.py", Kind::Regular, "")?,
            "unsafe_path",
        ),
        (
            "hidden parent",
            with("a/../../b.py", Kind::Regular, "")?,
            "unsafe_path",
        ),
        (
            "absolute",
            with("/etc/cron.d/x", Kind::Regular, "")?,
            "unsafe_path",
        ),
        (
            "backslash",
            with("..\\x.py", Kind::Regular, "")?,
            "unsafe_path",
        ),
        (
            "line break",
            with("a\nb.py", Kind::Regular, "")?,
            "unsafe_path",
        ),
        (
            "symbolic link",
            with("link", Kind::Symlink, "/etc/passwd")?,
            "unsafe_entry",
        ),
        (
            "hard link",
            with("link", Kind::Link, "/etc/passwd")?,
            "unsafe_entry",
        ),
        (
            "character device",
            with("null", Kind::Char, "")?,
            "unsafe_entry",
        ),
        (
            "block device",
            with("sda", Kind::Block, "")?,
            "unsafe_entry",
        ),
        ("pipe", with("pipe", Kind::Fifo, "")?, "unsafe_entry"),
        (
            "file as folder",
            tar_with(&[good, ("main.py/x", Kind::Regular, "", b"")])?,
            "unsafe_path",
        ),
        (
            "folder alone",
            tar_with(&[("d/", Kind::Directory, "", b"")])?,
            "no_code",
        ),
        ("many files", many.into_inner()?, "too_many_files"),
        ("truncated", short, "malformed_tar"),
        ("lying about its size", lying, "malformed_tar"),
        ("binary", vec![0xff, 0xfe, 0, 1], "malformed_code"),
    ])
}

#[test]
fn hostile_uploads_are_refused() -> Result<()> {
    let lab = Lab::with(|setup| setup.with("function.code_bytes_max", "6 MiB"))?;
    for (what, tar, code) in hostile()? {
        for runtime in ["python", "nodejs17", "javascript"] {
            let refused = lab.post("/create", &request("f", runtime, &tar, &json!({})))?;
            let told = (refused.status, refused.code());
            assert_eq!(
                told,
                (422, code.to_owned()),
                "{what}, {runtime}: {}",
                refused.text()
            );
        }
    }
    let large = "#".repeat(3_300 << 10);
    let two = tar_of(&[("main.py", &large), ("other.py", &large)])?;
    lab.post("/create", &request("f", "python", &two, &json!({})))?
        .assert_problem(422, "code_too_large");
    let huge = vec![b'#'; 12 << 20];
    let refused = lab.post("/create", &request("f", "python", &huge, &json!({})))?;
    assert!([413, 422].contains(&refused.status), "{}", refused.text());
    check_nothing_kept(lab)
}

/// No function, no file of it, no container.
fn check_nothing_kept(mut lab: Lab) -> Result<()> {
    assert!(lab.names()?.is_empty());
    lab.wait_for_containers(0)?;
    let found = std::process::Command::new("find")
        .arg(lab.data())
        .args(["-type", "f", "-path", "*/containers/*"])
        .output()?;
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "files are left");
    let ended = lab.take()?.stop()?;
    lab.restart(ended)?;
    assert!(lab.names()?.is_empty());
    lab.python("good", "def handler(params): return 1\n")?;
    assert_eq!(lab.call("good", &json!({}))?, 1);
    Ok(())
}

/// A refused update leaves the function as it was.
#[test]
fn a_refused_update_changes_nothing() -> Result<()> {
    let lab = Lab::start()?;
    lab.python("f", "def handler(params): return 'old'\n")?;
    assert_eq!(lab.call("f", &json!({}))?, "old");
    for (code, expected) in [
        (&b"def handler(params) return 1\n"[..], "load_failed"),
        (b"def other(params): return 1\n", "handler_missing"),
        (b"raise RuntimeError('while loading')\n", "load_failed"),
        (b"import os\nos._exit(3)\n", "load_failed"),
    ] {
        lab.post("/update", &request("f", "python", code, &json!({})))?
            .assert_problem(422, expected);
    }
    assert!(
        lab.call_is_warm("f")?,
        "not even its container was disturbed"
    );
    assert_eq!(lab.call("f", &json!({}))?, "old");
    lab.wait_for_containers(1)?;
    lab.wait_until_free()
}
