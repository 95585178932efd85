//! Random operations on a tree, compared with a plain model: a map from paths to what is there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A path in a model: names without links or dots.
type ModelPath = Vec<&'static str>;

/// The things at the paths of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ModelNode {
    File(usize),
    Directory,
}

/// The tree, as a map; files have numbers, by which their contents are found.
#[derive(Debug, Default)]
struct TreeModel {
    nodes: BTreeMap<ModelPath, ModelNode>,
    contents: Vec<Vec<u8>>,
}

/// One operation.
#[derive(Debug, Clone)]
enum TreeStep {
    Create(ModelPath),
    Append(ModelPath, Vec<u8>),
    MakeDirectory(ModelPath),
    RemoveDirectory(ModelPath),
    Unlink(ModelPath),
    Link(ModelPath, ModelPath),
    Rename(ModelPath, ModelPath),
}

impl TreeModel {
    fn has_parent(&self, path: &ModelPath) -> bool {
        let (_, parent) = path.split_last().expect("a name");
        parent.is_empty() || self.nodes.get(parent) == Some(&ModelNode::Directory)
    }

    fn file(&self, path: &ModelPath) -> Option<usize> {
        match self.nodes.get(path) {
            Some(ModelNode::File(number)) => Some(*number),
            _ => None,
        }
    }

    fn is_directory(&self, path: &ModelPath) -> bool {
        self.nodes.get(path) == Some(&ModelNode::Directory)
    }

    fn is_empty(&self, path: &ModelPath) -> bool {
        !self
            .nodes
            .keys()
            .any(|other| other.len() > path.len() && other.starts_with(path))
    }

    fn move_all(&mut self, from: &ModelPath, to: &ModelPath) {
        let moved: Vec<ModelPath> = self
            .nodes
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for path in moved {
            let node = self.nodes.remove(&path).expect("it is there");
            let mut target = to.clone();
            target.extend(&path[from.len()..]);
            self.nodes.insert(target, node);
        }
    }

    fn rename(&mut self, from: &ModelPath, to: &ModelPath) -> bool {
        if !self.nodes.contains_key(from) || !self.has_parent(to) {
            return false;
        }
        if from == to {
            return true;
        }
        if to.starts_with(from) {
            return false;
        }
        match (self.file(from), self.nodes.get(to)) {
            (_, None) => {}
            (Some(one), Some(ModelNode::File(other))) if one == *other => return true,
            (Some(_), Some(ModelNode::File(_))) => {}
            (None, Some(ModelNode::Directory)) if self.is_empty(to) => {}
            _ => return false,
        }
        self.nodes.remove(to);
        self.move_all(from, to);
        true
    }

    /// Whether the step is possible; if so, it is done.
    fn step(&mut self, step: &TreeStep) -> bool {
        match step {
            TreeStep::Create(path) => {
                let fits = self.has_parent(path) && !self.nodes.contains_key(path);
                if fits {
                    self.contents.push(Vec::new());
                    let number = self.contents.len() - 1;
                    self.nodes.insert(path.clone(), ModelNode::File(number));
                }
                fits
            }
            TreeStep::Append(path, bytes) => match self.file(path) {
                Some(number) => {
                    self.contents[number].extend(bytes);
                    true
                }
                None => false,
            },
            TreeStep::MakeDirectory(path) => {
                let fits = self.has_parent(path) && !self.nodes.contains_key(path);
                if fits {
                    self.nodes.insert(path.clone(), ModelNode::Directory);
                }
                fits
            }
            TreeStep::RemoveDirectory(path) => {
                let fits = self.is_directory(path) && self.is_empty(path);
                fits && self.nodes.remove(path).is_some()
            }
            TreeStep::Unlink(path) => {
                self.file(path).is_some() && self.nodes.remove(path).is_some()
            }
            TreeStep::Link(from, to) => match self.file(from) {
                Some(number) if self.has_parent(to) && !self.nodes.contains_key(to) => {
                    self.nodes.insert(to.clone(), ModelNode::File(number));
                    true
                }
                _ => false,
            },
            TreeStep::Rename(from, to) => self.rename(from, to),
        }
    }
}

fn done(root: &FileNode, step: &TreeStep) -> bool {
    let plain = OpenHow::default();
    let exclusive = OpenHow {
        create: true,
        exclusive: true,
        write: true,
        ..plain
    };
    let writing = OpenHow {
        write: true,
        ..plain
    };
    let outcome = match step {
        TreeStep::Create(path) => root.open(&path.join("/"), exclusive).map(drop),
        TreeStep::Append(path, bytes) => root
            .open(&path.join("/"), writing)
            .and_then(|node| node.append(bytes).map(drop)),
        TreeStep::MakeDirectory(path) => root.create_directory(&path.join("/")),
        TreeStep::RemoveDirectory(path) => root.remove_directory(&path.join("/")),
        TreeStep::Unlink(path) => root.unlink(&path.join("/")),
        TreeStep::Link(from, to) => root.link(&from.join("/"), root, &to.join("/")),
        TreeStep::Rename(from, to) => root.rename(&from.join("/"), root, &to.join("/")),
    };
    outcome.is_ok()
}

/// All of a tree, as a model has it: each path with its contents, or none for a directory.
fn all(root: &FileNode) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![(String::new(), root.clone())];
    while let Some((path, node)) = pending.pop() {
        for item in node.list(2, usize::MAX).expect("a directory") {
            let child = node.lookup(&item.name, false).expect("it is listed");
            let path = format!("{path}/{}", item.name);
            if child.is_directory() {
                found.insert(path.clone(), None);
                pending.push((path, child));
            } else {
                let bytes = child.read_bytes(0, usize::MAX).expect("a file");
                found.insert(path, Some(bytes.to_vec()));
            }
        }
    }
    found
}

fn expected(model: &TreeModel) -> BTreeMap<String, Option<Vec<u8>>> {
    let nodes = model.nodes.iter().map(|(path, node)| {
        let contents = match node {
            ModelNode::File(number) => Some(model.contents[*number].clone()),
            ModelNode::Directory => None,
        };
        (format!("/{}", path.join("/")), contents)
    });
    nodes.collect()
}

fn path() -> impl Strategy<Value = ModelPath> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
}

fn step() -> impl Strategy<Value = TreeStep> {
    prop_oneof![
        path().prop_map(TreeStep::Create),
        (path(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(p, b)| TreeStep::Append(p, b)),
        path().prop_map(TreeStep::MakeDirectory),
        path().prop_map(TreeStep::RemoveDirectory),
        path().prop_map(TreeStep::Unlink),
        (path(), path()).prop_map(|(from, to)| TreeStep::Link(from, to)),
        (path(), path()).prop_map(|(from, to)| TreeStep::Rename(from, to)),
    ]
}

proptest! {
    #[test]
    fn a_tree_is_as_its_model(steps in prop::collection::vec(step(), 1..80)) {
        let room = MemoryRoom::new(1 << 24);
        let root = FileNode::scratch(&room);
        let mut model = TreeModel::default();
        for step in &steps {
            prop_assert_eq!(done(&root, step), model.step(step), "{:?}", step);
            prop_assert_eq!(all(&root), expected(&model), "after {:?}", step);
        }
        drop(root);
    }

    #[test]
    fn what_is_removed_gives_its_bytes_back(steps in prop::collection::vec(step(), 1..60)) {
        let room = MemoryRoom::new(1 << 24);
        let root = FileNode::scratch(&room);
        for step in &steps {
            done(&root, step);
        }
        // The longest paths first: a directory is empty when its turn comes.
        for (path, contents) in all(&root).into_iter().rev() {
            let path = &path[1..];
            let removed = match contents {
                Some(_) => root.unlink(path),
                None => root.remove_directory(path),
            };
            prop_assert_eq!(removed, Ok(()), "{}", path);
        }
        prop_assert_eq!(room.left(), 1 << 24);
    }
}
