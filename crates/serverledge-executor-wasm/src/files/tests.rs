//! Files one by one: what comes with the code, what a call makes, and the bounds of both.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::limits::{NAME_COST, NAMES_MAX};
use super::pack::packed;
use super::*;

const MEBIBYTE: u64 = 1 << 20;

fn base(files: &[(&str, &str)]) -> Arc<BaseTree> {
    let files = files
        .iter()
        .map(|(path, text)| (*path, Bytes::copy_from_slice(text.as_bytes())));
    Arc::new(BaseTree::new(files).expect("a tree"))
}

fn scratch() -> FileNode {
    FileNode::scratch(&MemoryRoom::new(64 * MEBIBYTE))
}

fn create() -> OpenHow {
    OpenHow {
        create: true,
        write: true,
        ..OpenHow::default()
    }
}

fn file(root: &FileNode, path: &str, text: &str) -> FileNode {
    let node = root.open(path, create()).expect("a file");
    node.append(text.as_bytes()).expect("room");
    node
}

fn text(node: &FileNode) -> String {
    let bytes = node.read_bytes(0, usize::MAX).expect("a file");
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn names(node: &FileNode) -> Vec<String> {
    let items = node.list(0, usize::MAX).expect("a directory");
    items.iter().map(|item| item.name.to_string()).collect()
}

#[test]
fn files_of_the_code_are_read_and_not_written() {
    let root = FileNode::base(&base(&[("a/b/c.txt", "text"), ("a/d", ""), ("e", "x")]));
    assert_eq!(names(&root), [".", "..", "a", "e"]);
    let folder = root.lookup("a", true).unwrap();
    assert_eq!(names(&folder), [".", "..", "b", "d"]);
    let found = folder.lookup("b/./../b//c.txt", true).unwrap();
    assert_eq!(text(&found), "text");
    let mut two = [0; 2];
    assert_eq!(found.read(3, &mut two), Ok(1));
    assert_eq!(found.read(u64::MAX, &mut two), Ok(0));
    assert_eq!(found.stat().size, 4);
    let refused = [
        found.write(0, b"x"),
        found.set_size(0),
        found.set_times(NewTime::Now, NewTime::Keep),
        root.open("e", create()).map(drop),
        root.open("new", create()).map(drop),
        root.create_directory("new"),
        root.remove_directory("a"),
        root.unlink("e"),
        root.rename("e", &root, "f"),
        root.symlink("e", "f"),
        root.link("e", &root, "f"),
    ];
    assert_eq!(refused, [Err(FileFault::ReadOnly); 11]);
    assert_eq!(root.create_directory("a"), Err(FileFault::Exists));
    assert_eq!(root.read_link("e"), Err(FileFault::Invalid));
    assert_eq!(
        found.lookup("x", true).unwrap_err(),
        FileFault::NotDirectory
    );
}

#[test]
fn files_of_the_code_are_parts_of_one_buffer() {
    let whole = Bytes::from_static(b"onetwo");
    let parts = [("1", whole.slice(..3)), ("2", whole.slice(3..))];
    let root = FileNode::base(&Arc::new(BaseTree::new(parts).unwrap()));
    let read = root.lookup("2", true).unwrap().read_bytes(1, 10).unwrap();
    assert_eq!(read, "wo");
    assert_eq!(read.as_ptr(), whole[4..].as_ptr(), "nothing was copied");
}

#[test]
fn trees_that_cannot_be_are_refused() {
    let tree = |paths: &[&str]| {
        let files = paths.iter().map(|path| (*path, Bytes::new()));
        BaseTree::new(files).map(drop)
    };
    assert_eq!(tree(&["a", "a"]), Err(FileFault::Exists));
    assert_eq!(tree(&["a/b", "a"]), Err(FileFault::Exists));
    assert_eq!(tree(&["a", "a/b"]), Err(FileFault::NotDirectory));
    assert_eq!(tree(&["a/../b"]), Err(FileFault::Invalid));
    assert_eq!(tree(&[""]), Err(FileFault::Invalid));
    assert_eq!(tree(&["a/"]), Err(FileFault::Invalid));
    assert_eq!(
        tree(&["n".repeat(256).as_str()]),
        Err(FileFault::NameTooLong)
    );
    assert_eq!(tree(&[]), Ok(()));
}

#[test]
fn packs_come_back() {
    let files = [
        ("a/b".to_owned(), Bytes::from_static(b"one\ntwo")),
        ("c".to_owned(), Bytes::new()),
    ];
    let pack = Bytes::from(packed(&files).unwrap());
    let root = FileNode::base(&Arc::new(unpacked(&pack).unwrap()));
    assert_eq!(text(&root.lookup("a/b", true).unwrap()), "one\ntwo");
    assert_eq!(names(&root), [".", "..", "a", "c"]);
    for broken in [
        &pack[..pack.len() - 1],
        b"",
        b"[[\"a\",1]]\n",
        b"[[\"a\",18446744073709551615]]\nx",
        b"[[\"../a\",1]]\nx",
        b"[]\nx",
    ] {
        assert!(unpacked(&Bytes::copy_from_slice(broken)).is_none());
    }
    assert!(unpacked(&Bytes::from_static(b"[]\n")).is_some());
}

#[test]
fn no_path_leads_out() {
    let root = scratch();
    root.create_directory("a").unwrap();
    root.create_directory("a/b").unwrap();
    root.symlink("../..", "a/b/up").unwrap();
    root.symlink("../../..", "a/b/out").unwrap();
    file(&root, "f", "outside of a");
    let inner = root.lookup("a", true).unwrap();
    assert_eq!(
        text(&root.lookup("a/b/up/f", true).unwrap()),
        "outside of a"
    );
    for (node, path) in [
        (&root, ".."),
        (&root, "/f"),
        (&root, "a/../../f"),
        (&root, "a/b/out"),
        (&inner, "../f"),
        (&inner, "b/up/f"),
    ] {
        assert_eq!(
            node.lookup(path, true).unwrap_err(),
            FileFault::NotPermitted,
            "{path}"
        );
    }
    assert_eq!(root.symlink("/etc", "etc"), Err(FileFault::NotPermitted));
}

#[test]
fn paths_have_bounds() {
    let root = scratch();
    for (path, fault) in [
        (String::new(), FileFault::NoEntry),
        ("a\0".to_owned(), FileFault::Invalid),
        ("n".repeat(256), FileFault::NameTooLong),
        ("a/".repeat(2049), FileFault::NameTooLong),
        ("missing/a".to_owned(), FileFault::NoEntry),
    ] {
        assert_eq!(root.lookup(&path, true).unwrap_err(), fault, "{path}");
    }
    assert_eq!(
        root.open(&"n".repeat(256), create()).unwrap_err(),
        FileFault::NameTooLong
    );
    root.symlink("loop", "loop").unwrap();
    assert_eq!(root.lookup("loop", true).unwrap_err(), FileFault::Loop);
    assert_eq!(root.lookup("loop/a", false).unwrap_err(), FileFault::Loop);
    assert_eq!(
        root.lookup("loop", false).unwrap().kind(),
        FileKind::Symlink
    );
    root.symlink(".", "0").unwrap();
    for n in 1..=40 {
        root.symlink(&format!("{}", n - 1), &n.to_string()).unwrap();
    }
    assert!(root.lookup("39", true).is_ok());
    assert_eq!(root.lookup("40", true).unwrap_err(), FileFault::Loop);
}

#[test]
fn opening_has_its_flags() {
    let root = scratch();
    file(&root, "f", "text");
    root.create_directory("d").unwrap();
    root.symlink("f", "l").unwrap();
    let open = |path: &str, how: OpenHow| root.open(path, how).map(|node| node.kind());
    let plain = OpenHow::default();
    let exclusive = OpenHow {
        exclusive: true,
        ..create()
    };
    let directory = OpenHow {
        directory: true,
        ..plain
    };
    let follow = OpenHow {
        follow: true,
        ..plain
    };
    assert_eq!(open("f", exclusive), Err(FileFault::Exists));
    assert_eq!(open("l", exclusive), Err(FileFault::Exists));
    assert_eq!(open("l", plain), Err(FileFault::Loop));
    assert_eq!(open("l", directory), Err(FileFault::NotDirectory));
    assert_eq!(open("l", follow), Ok(FileKind::File));
    assert_eq!(open("f", directory), Err(FileFault::NotDirectory));
    assert_eq!(open("d", directory), Ok(FileKind::Directory));
    assert_eq!(open("d", create()), Err(FileFault::IsDirectory));
    assert_eq!(open("f/", plain), Err(FileFault::NotDirectory));
    assert_eq!(open("new/", create()), Err(FileFault::IsDirectory));
    let both = OpenHow {
        directory: true,
        ..create()
    };
    assert_eq!(open("d", both), Err(FileFault::Invalid));
    let truncate = OpenHow {
        truncate: true,
        ..plain
    };
    assert_eq!(open("f", truncate), Ok(FileKind::File));
    assert_eq!(root.lookup("f", true).unwrap().stat().size, 0);
    root.symlink("made", "to-made").unwrap();
    let through = OpenHow {
        follow: true,
        ..create()
    };
    assert_eq!(open("to-made", through), Ok(FileKind::File));
    assert_eq!(root.lookup("made", false).unwrap().kind(), FileKind::File);
}

#[test]
fn open_nodes_outlive_their_names() {
    let room = MemoryRoom::new(MEBIBYTE);
    let root = FileNode::scratch(&room);
    let open = file(&root, "f", "text");
    let directory = {
        root.create_directory("d").unwrap();
        root.lookup("d", true).unwrap()
    };
    root.unlink("f").unwrap();
    root.remove_directory("d").unwrap();
    assert_eq!(text(&open), "text");
    assert_eq!(open.stat().links, 0);
    assert_eq!(directory.create_directory("e"), Err(FileFault::NoEntry));
    assert_eq!(room.left(), MEBIBYTE - 4096);
    drop(open);
    assert_eq!(room.left(), MEBIBYTE);
}

#[test]
fn links_are_counted() {
    let root = scratch();
    let node = file(&root, "f", "text");
    root.create_directory("d").unwrap();
    let inner = root.lookup("d", true).unwrap();
    root.link("f", &inner, "g").unwrap();
    assert_eq!(node.stat().links, 2);
    assert!(inner.lookup("g", true).unwrap().is_same(&node));
    assert_eq!(root.link("f", &root, "f"), Err(FileFault::Exists));
    assert_eq!(root.link("f", &root, "new/"), Err(FileFault::NoEntry));
    assert_eq!(root.link("d", &root, "e"), Err(FileFault::NotPermitted));
    root.symlink("nowhere", "l").unwrap();
    root.link("l", &root, "m").unwrap();
    assert_eq!(&*root.read_link("m").unwrap(), "nowhere");
    root.unlink("f").unwrap();
    assert_eq!(node.stat().links, 1);
    let other = scratch();
    file(&other, "f", "");
    assert_eq!(other.link("f", &root, "h"), Err(FileFault::CrossDevice));
    assert_eq!(other.rename("f", &root, "h"), Err(FileFault::CrossDevice));
}

#[test]
fn renaming_replaces_what_fits() {
    let root = scratch();
    file(&root, "f", "f");
    file(&root, "g", "g");
    root.create_directory("d").unwrap();
    root.create_directory("d/e").unwrap();
    root.create_directory("empty").unwrap();
    let rename = |from: &str, to: &str| root.rename(from, &root, to);
    assert_eq!(rename("f", "d"), Err(FileFault::IsDirectory));
    assert_eq!(rename("d", "f"), Err(FileFault::NotDirectory));
    assert_eq!(rename("empty", "d"), Err(FileFault::NotEmpty));
    assert_eq!(rename("d", "d/e/inside"), Err(FileFault::Invalid));
    assert_eq!(rename("d", "d/inside"), Err(FileFault::Invalid));
    assert_eq!(rename("f", "new/"), Err(FileFault::NotDirectory));
    assert_eq!(rename("missing", "f"), Err(FileFault::NoEntry));
    assert_eq!(rename(".", "f"), Err(FileFault::Busy));
    assert_eq!(rename("f", "f"), Ok(()));
    assert_eq!(rename("f", "g"), Ok(()));
    assert_eq!(text(&root.lookup("g", true).unwrap()), "f");
    assert_eq!(rename("d/", "empty/"), Ok(()));
    assert_eq!(names(&root), [".", "..", "g", "empty"]);
    let moved = root.lookup("empty/e", true).unwrap();
    let items = moved.list(0, 2).unwrap();
    assert_eq!(
        items[1].inode,
        root.lookup("empty", true).unwrap().stat().inode
    );
}

#[test]
fn removing_asks_for_the_right_kind() {
    let root = scratch();
    file(&root, "f", "");
    root.create_directory("d").unwrap();
    root.create_directory("d/e").unwrap();
    root.symlink("d", "l").unwrap();
    assert_eq!(root.unlink("d"), Err(FileFault::IsDirectory));
    assert_eq!(root.unlink("d/"), Err(FileFault::IsDirectory));
    assert_eq!(root.unlink("f/"), Err(FileFault::NotDirectory));
    assert_eq!(root.remove_directory("f"), Err(FileFault::NotDirectory));
    assert_eq!(root.remove_directory("f/"), Err(FileFault::NotDirectory));
    assert_eq!(root.remove_directory("l/"), Err(FileFault::NotDirectory));
    assert_eq!(root.remove_directory("d"), Err(FileFault::NotEmpty));
    assert_eq!(root.remove_directory("."), Err(FileFault::Invalid));
    root.symlink("..", "up").unwrap();
    assert_eq!(root.remove_directory("up/"), Err(FileFault::NotPermitted));
    assert_eq!(root.unlink("up/"), Err(FileFault::NotPermitted));
    root.unlink("up").unwrap();
    assert_eq!(root.remove_directory("d/e/"), Ok(()));
    assert_eq!(root.unlink("l"), Ok(()));
    assert_eq!(root.remove_directory("d"), Ok(()));
    assert_eq!(root.symlink("x", "f/"), Err(FileFault::NotDirectory));
    assert_eq!(root.symlink("x", "new/"), Err(FileFault::NoEntry));
    assert_eq!(root.symlink("x", "f"), Err(FileFault::Exists));
}

#[test]
fn bytes_come_from_the_memory_of_the_call() {
    let room = MemoryRoom::new(MEBIBYTE);
    let root = FileNode::scratch(&room);
    let node = root.open("f", create()).unwrap();
    let name = NAME_COST + 1;
    assert_eq!(room.left(), MEBIBYTE - name);
    assert_eq!(node.set_size(MEBIBYTE), Err(FileFault::NoSpace));
    assert_eq!(node.write(u64::MAX, b"xx"), Err(FileFault::TooLarge));
    assert_eq!(node.set_size(u64::MAX), Err(FileFault::TooLarge));
    assert_eq!(node.write(1 << 62, b"x"), Err(FileFault::NoSpace));
    // A hole counts as well, in whole pages.
    node.set_size(4097).unwrap();
    assert_eq!(room.left(), MEBIBYTE - name - 8192);
    node.set_size(1).unwrap();
    assert_eq!(room.left(), MEBIBYTE - name - 4096);
    assert!(room.take(room.left()), "the instance has the rest");
    assert_eq!(node.append(&[0; 4096]), Err(FileFault::NoSpace));
    assert_eq!(node.stat().size, 1, "nothing of it was written");
    assert_eq!(root.create_directory("d"), Err(FileFault::NoSpace));
    root.unlink("f").unwrap();
    drop(node);
    assert_eq!(room.left(), name + 4096);
}

#[test]
fn names_have_a_bound() {
    let root = scratch();
    for n in 0..NAMES_MAX {
        root.open(&n.to_string(), create()).unwrap();
    }
    assert_eq!(root.open("more", create()).unwrap_err(), FileFault::NoSpace);
    assert_eq!(root.link("0", &root, "more"), Err(FileFault::NoSpace));
    root.rename("0", &root, "more").unwrap();
    root.unlink("more").unwrap();
    root.create_directory("more").unwrap();
}

#[test]
fn deep_trees_are_dropped() {
    let root = scratch();
    let mut at = root.clone();
    for _ in 0..NAMES_MAX {
        at.create_directory("d").unwrap();
        at = at.lookup("d", true).unwrap();
    }
    drop(at);
    drop(root);
}

#[test]
fn a_listing_goes_on_where_it_was() {
    let root = scratch();
    for name in ["a", "b", "c", "d"] {
        file(&root, name, "");
    }
    let first = root.list(0, 4).unwrap();
    assert_eq!(first.last().unwrap().name.as_ref(), "b");
    root.unlink("a").unwrap();
    root.unlink("c").unwrap();
    file(&root, "e", "");
    let rest = root.list(first[3].next, 10).unwrap();
    let rest: Vec<&str> = rest.iter().map(|item| item.name.as_ref()).collect();
    assert_eq!(rest, ["d", "e"]);
    assert!(root.list(u64::MAX, 10).unwrap().is_empty());
    let base = FileNode::base(&base(&[("a", ""), ("b", "")]));
    assert_eq!(base.list(3, 10).unwrap()[0].name.as_ref(), "b");
    assert!(base.list(u64::MAX, 10).unwrap().is_empty());
}

#[test]
fn times_are_set_and_kept() {
    let root = scratch();
    let node = file(&root, "f", "");
    let before = node.stat();
    node.set_times(NewTime::At(5), NewTime::Keep).unwrap();
    let after = node.stat();
    assert_eq!((after.accessed, after.modified), (5, before.modified));
    assert_ne!(node.metadata_hash(), root.metadata_hash());
    node.set_times(NewTime::Keep, NewTime::At(7)).unwrap();
    assert_eq!(node.stat().modified, 7);
    let hash = node.metadata_hash();
    node.write(0, b"x").unwrap();
    assert_eq!(hash, node.metadata_hash(), "it stands for an inode");
    assert!(node.stat().modified > 7);
}

#[test]
fn a_tree_can_begin_with_files() {
    let tree = base(&[("a/b", "text"), ("c", "")]);
    let root = FileNode::scratch_with(&tree, &MemoryRoom::new(MEBIBYTE)).unwrap();
    assert_eq!(text(&root.lookup("a/b", true).unwrap()), "text");
    root.unlink("a/b").unwrap();
    root.remove_directory("a").unwrap();
    assert_eq!(names(&root), [".", "..", "c"]);
    let full = FileNode::scratch_with(&tree, &MemoryRoom::new(100));
    assert_eq!(full.unwrap_err(), FileFault::NoSpace);
}

proptest! {
    /// Contents against a plain vector.
    #[test]
    fn contents_are_as_in_a_vector(
        steps in prop::collection::vec((0_u64..20_000, prop::collection::vec(any::<u8>(), 0..9000), any::<bool>()), 1..20),
        at in 0_u64..30_000,
    ) {
        let room = MemoryRoom::new(MEBIBYTE);
        let root = FileNode::scratch(&room);
        let node = root.open("f", create()).unwrap();
        let mut model: Vec<u8> = Vec::new();
        for (offset, bytes, resizes) in steps {
            let at = usize::try_from(offset).unwrap();
            if resizes {
                node.set_size(offset).unwrap();
                model.resize(at, 0);
            } else {
                node.write(offset, &bytes).unwrap();
                if !bytes.is_empty() {
                    let end = at + bytes.len();
                    model.resize(model.len().max(end), 0);
                    model[at..end].copy_from_slice(&bytes);
                }
            }
            let whole = node.read_bytes(0, usize::MAX).unwrap();
            prop_assert_eq!(&whole[..], &model[..]);
            let pages = u64::try_from(model.len().div_ceil(4096)).unwrap();
            prop_assert_eq!(room.left(), MEBIBYTE - NAME_COST - 1 - pages * 4096);
        }
        let mut buffer = vec![0; 5000];
        let read = node.read(at, &mut buffer).unwrap();
        let rest = model.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        prop_assert_eq!(&buffer[..read], &rest[..rest.len().min(5000)]);
    }

    #[test]
    fn no_path_panics(path in "[a./\0]{0,40}", follow in any::<bool>()) {
        let root = FileNode::scratch(&MemoryRoom::new(MEBIBYTE));
        root.create_directory("a").unwrap();
        root.symlink("../a", "a/aa").unwrap();
        let found = root.lookup(&path, follow);
        let opened = root.open(&path, create());
        prop_assert!(opened.is_err() || root.lookup(&path, true).is_ok());
        drop((found, opened));
        let moved = root.rename("a", &root, &path);
        prop_assert!(moved.is_err() || root.lookup(&path, true).is_ok());
    }
}
