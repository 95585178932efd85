//! Modules are described and made once, off the threads of requests, and by their digests.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A module in text form with so many letters of data.
fn code(letters: usize) -> Bytes {
    let letters = "x".repeat(letters);
    let text = format!(
        r#"(module (memory (export "memory") 4) (data (i32.const 0) "{letters}") (func $named (export "_start")))"#
    );
    text.into()
}

/// A module in binary form with so many bytes of data.
fn long_code(data: usize) -> Bytes {
    let leb = |number: usize| -> Vec<u8> {
        let sevens = (0..5_u8).map(|nth| ((number >> (7 * nth)) & 0x7f).to_le_bytes()[0]);
        sevens
            .zip([0x80, 0x80, 0x80, 0x80, 0])
            .map(|(bits, more)| bits | more)
            .collect()
    };
    // A function without parameters, results and instructions, `_start`.
    let program = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
    // The section's head: one passive segment.
    let segment = [&[1, 1][..], &leb(data), &vec![7; data]].concat();
    [&program[..], &[11], &leb(segment.len()), &segment]
        .concat()
        .into()
}

fn id(number: u8) -> CodeId {
    CodeId {
        digest: Digest::new([number; 32]),
        snapshot: None,
    }
}

async fn described(modules: &EdgeModules, id: CodeId, code: Bytes) -> Described {
    let read = async { Ok(code) };
    modules.describe(id, read, None).await.unwrap()
}

/// A code that is not read.
async fn unread() -> Result<Bytes, DeployError> {
    panic!("the code is read again")
}

#[tokio::test]
async fn a_module_is_described_once() {
    let modules = EdgeModules::default();
    let info = described(&modules, id(1), code(10)).await.unwrap();
    assert_eq!(info.interface, CoreInterface::Command);
    assert_eq!(info.plain.delta, None, "it is no snapshot");
    let again = modules.describe(id(1), unread(), None).await.unwrap();
    assert_eq!(again, Ok(Arc::clone(&info)));
    let refused = described(&modules, id(2), Bytes::from_static(b"module.exports = 1")).await;
    assert!(refused.is_err());
    let again = modules.describe(id(2), unread(), None).await.unwrap();
    assert_eq!(again, refused, "that there is none is known as well");
}

#[tokio::test]
async fn one_of_many_who_ask_reads_the_code() {
    let modules = EdgeModules::default();
    let reads = AtomicUsize::new(0);
    let ask = || {
        let read = async {
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(code(10))
        };
        modules.describe(id(1), read, None)
    };
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    assert!(one.unwrap().is_ok() && two.unwrap().is_ok() && three.unwrap().is_ok());
    assert_eq!(reads.into_inner(), 1);
}

#[tokio::test]
async fn an_asker_who_leaves_keeps_nobody_waiting() {
    let modules = EdgeModules::default();
    let stuck = modules.describe(id(1), std::future::pending(), None);
    let left = tokio::time::timeout(std::time::Duration::from_millis(1), stuck).await;
    assert!(left.is_err());
    assert!(described(&modules, id(1), code(10)).await.is_ok());
}

#[tokio::test]
async fn files_are_made_in_each_coding_and_kept() {
    let modules = EdgeModules::default();
    let info = described(&modules, id(1), code(5000)).await.unwrap();
    let sha256 = info.plain.module.sha256;
    let name = sha256.to_string();
    let part = info.part(EdgeFile::Module(&name)).unwrap();
    assert_eq!(part, FilePart::Module(ModuleForm::Plain));
    assert_eq!(info.part(EdgeFile::Delta(&name)), None);
    assert_eq!(info.part(EdgeFile::Module(&name[1..])), None);
    for coding in [
        ContentCoding::Identity,
        ContentCoding::Gzip,
        ContentCoding::Brotli,
    ] {
        let file = |read| modules.file((id(1), part), (sha256, coding), read);
        let made = file(unread()).await.unwrap().unwrap();
        let is_short = made.len() < 1000;
        assert_eq!(is_short, coding != ContentCoding::Identity, "{coding:?}");
        assert_eq!(modules.kept.files.get(sha256, coding), Some(made));
    }
}

#[tokio::test]
async fn a_file_that_was_evicted_is_made_again() {
    let described_by = EdgeModules::default();
    let info = described(&described_by, id(1), code(10)).await.unwrap();
    let forms = [
        (ModuleForm::Plain, Some(info.plain)),
        (ModuleForm::Deadline, info.deadline),
    ];
    for (form, info) in forms {
        let Some(info) = info else { continue };
        let modules = EdgeModules::default();
        let asked = (info.module.sha256, ContentCoding::Identity);
        let read = async { Ok(code(10)) };
        let made = modules.file((id(1), FilePart::Module(form)), asked, read);
        let made = made.await.unwrap().unwrap();
        assert_eq!(sha256(&made), info.module.sha256, "{form:?}");
    }
}

#[tokio::test]
async fn a_component_has_files_of_its_own_kind() {
    let text = Bytes::from(serverledge_testing::http_component::component(
        "unreachable",
    ));
    let modules = EdgeModules::default();
    let info = described(&modules, id(1), text.clone()).await.unwrap();
    assert_eq!(info.interface, CoreInterface::Component);
    let forms = [
        (ModuleForm::Plain, info.plain),
        (ModuleForm::Deadline, info.deadline.unwrap()),
    ];
    for (form, info_of_form) in forms {
        assert_eq!(info_of_form.delta, None);
        let sha256 = info_of_form.module.sha256;
        let name = sha256.to_string();
        assert_eq!(info.part(EdgeFile::Module(&name)), None);
        let part = info.part(EdgeFile::Component(&name)).unwrap();
        assert_eq!(part, FilePart::Module(form));
        let again = EdgeModules::default();
        let asked = (sha256, ContentCoding::Identity);
        let made = again.file((id(1), part), asked, async { Ok(text.clone()) });
        assert_eq!(super::sha256(&made.await.unwrap().unwrap()), sha256);
    }
    let module = described(&modules, id(2), code(10)).await.unwrap();
    let name = module.plain.module.sha256.to_string();
    assert_eq!(module.part(EdgeFile::Component(&name)), None);
}

/// A snapshot stands for a module that differs a little from the base.
fn with_base(
    language: SnapshotLanguage,
    base: &Bytes,
    code: &Bytes,
) -> (EdgeModules, Arc<ModuleInfo>, Arc<EdgeBase>) {
    let modules = EdgeModules::default();
    let base = Arc::new(EdgeBase::new(base).unwrap());
    let info = modules.kept.describe(code, Some(&base));
    let bases = &modules.bases;
    assert!(bases.of(language).set(Arc::clone(&base)).is_ok());
    (modules, info.unwrap(), base)
}

#[tokio::test]
async fn a_snapshot_is_made_of_the_base_of_its_language() {
    for language in [SnapshotLanguage::JavaScript, SnapshotLanguage::Python] {
        check_base_of(language).await;
    }
    // A delta that saves little is none.
    let (_, stranger, _) = with_base(SnapshotLanguage::Python, &code(10), &code(5000));
    assert_eq!(stranger.plain.delta, None);
}

async fn check_base_of(language: SnapshotLanguage) {
    let (modules, info, base) = with_base(language, &code(5000), &code(5010));
    let snapshot = CodeId {
        snapshot: Some(language),
        ..id(1)
    };
    let forms = [
        (ModuleForm::Plain, Some(info.plain)),
        (ModuleForm::Deadline, info.deadline),
    ];
    for (form, info_of_form) in forms {
        let Some(of_form) = info_of_form else {
            continue;
        };
        let delta = of_form.delta.unwrap();
        assert_eq!(delta.base, base.form(form).unwrap().sha256);
        let mut files = Vec::new();
        for (sha256, part) in [
            (delta.base, FilePart::Base(form)),
            (delta.file.sha256, FilePart::Delta(form)),
        ] {
            let name = sha256.to_string();
            let asked = match part {
                FilePart::Delta(_) => EdgeFile::Delta(&name),
                _ => EdgeFile::Module(&name),
            };
            assert_eq!(info.part(asked), Some(part));
            let asked = (sha256, ContentCoding::Identity);
            let made = modules.file((snapshot, part), asked, unread()).await;
            files.push(made.unwrap().unwrap());
        }
        let made = crate::applications::delta::applied(&files[0], &files[1]).unwrap();
        assert_eq!(sha256(&made), of_form.module.sha256, "{form:?}");
        assert!(of_form.module.bytes > 20 * delta.file.bytes);
    }
    let stranger = match language {
        SnapshotLanguage::JavaScript => SnapshotLanguage::Python,
        SnapshotLanguage::Python => SnapshotLanguage::JavaScript,
    };
    assert!(modules.bases.of(stranger).get().is_none());
}

#[tokio::test]
async fn a_long_file_is_kept_when_somebody_asks_for_it() {
    let modules = EdgeModules::default();
    let long = long_code(DESCRIBED_BYTES_MAX);
    let info = described(&modules, id(1), long.clone()).await.unwrap();
    let sha256 = info.plain.module.sha256;
    let kept = |coding| modules.kept.files.get(sha256, coding).is_some();
    assert!(!kept(ContentCoding::Identity));
    let part = FilePart::Module(ModuleForm::Plain);
    let asked = (sha256, ContentCoding::Gzip);
    let made = modules.file((id(1), part), asked, async { Ok(long) });
    assert!(made.await.unwrap().is_some());
    assert!(kept(ContentCoding::Gzip) && !kept(ContentCoding::Identity));
}
