//! Circles among the files of a crate: files that import each other, directly or through others, can only be understood
//! together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::lexer::code_only;
use crate::repository::{files_ending, none, read};

/// Files of the largest circle that needs no reason.
const CIRCLE_MAX: usize = 3;
/// Larger circles that there are: crate, number of files, reason.
const CIRCLES: [(&str, usize, &str); 2] = [
    (
        "serverledge-executor-docker",
        6,
        "the engine asks its kind for what differs between Docker and Podman, and that is said in the engine's types",
    ),
    (
        "serverledge-scheduler",
        5,
        "one state machine: its queue, fairness and pool are parts of the scheduler's state",
    ),
];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The modules of each crate by their paths, with the paths that their code imports from the same crate.
fn crates() -> Result<BTreeMap<String, Graph>> {
    let mut sources: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for file in files_ending(".rs")? {
        let Some((name, module)) = file
            .strip_prefix("crates/")
            .and_then(|rest| rest.split_once("/src/"))
        else {
            continue;
        };
        let module = module.trim_end_matches(".rs").replace('/', "::");
        let is_test = module.split("::").any(|part| part.ends_with("tests"));
        // The root imports what it exports, and nothing may import the root.
        if !is_test && !matches!(module.as_str(), "lib" | "main") && !module.starts_with("bin::") {
            sources
                .entry(name.to_owned())
                .or_default()
                .push((module, code_only(&read(&file)?)));
        }
    }
    Ok(sources
        .into_iter()
        .map(|(name, modules)| (name, graph(&modules)))
        .collect())
}

fn graph(modules: &[(String, String)]) -> Graph {
    let known: BTreeSet<&str> = modules.iter().map(|(module, _)| module.as_str()).collect();
    let mut graph = Graph::new();
    for (module, code) in modules {
        let own = code
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let found = imports(own)
            .into_iter()
            .filter_map(|path| resolve(&known, module, &path));
        graph.insert(
            module.clone(),
            found.filter(|other| other != module).collect(),
        );
    }
    graph
}

/// The module that an imported path leads to: the longest beginning of it that is one.
fn resolve(known: &BTreeSet<&str>, module: &str, path: &str) -> Option<String> {
    let mut base: Vec<&str> = module.split("::").collect();
    let mut parts = path.split("::").peekable();
    match parts.next()? {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            base.pop();
            while parts.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        _ => return None,
    }
    base.extend(parts);
    (1..=base.len())
        .rev()
        .map(|length| base[..length].join("::"))
        .find(|path| known.contains(path.as_str()))
}

/// The paths of all `use` declarations, groups taken apart.
fn imports(code: &str) -> Vec<String> {
    let begins = |at: usize| {
        code[..at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
    };
    let mut paths = Vec::new();
    for (at, word) in code.match_indices("use ").filter(|(at, _)| begins(*at)) {
        let declaration = code[at + word.len()..]
            .split(';')
            .next()
            .unwrap_or_default();
        take_apart(
            "",
            &declaration.split_whitespace().collect::<Vec<_>>().join(" "),
            &mut paths,
        );
    }
    paths
}

fn take_apart(before: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((own, group)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        paths.push(format!("{before}{name}"));
        return;
    };
    let before = format!("{before}{}", own.trim());
    let group = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
    let mut depth = 0_usize;
    let mut from = 0;
    for (at, character) in group.char_indices().chain([(group.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[from..at].trim().is_empty() {
                    take_apart(&before, group[from..at].trim(), paths);
                }
                from = (at + 1).min(group.len());
            }
            _ => {}
        }
    }
}

/// The circles: sets of modules each of which leads to all others (what each reaches, cut with what reaches it).
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = graph
        .keys()
        .map(|module| (module, reach(graph, module)))
        .collect();
    let mut found = BTreeSet::new();
    for (module, others) in &reached {
        let circle: Vec<String> = others
            .iter()
            .filter(|other| {
                reached
                    .get(*other)
                    .is_some_and(|back| back.contains(module))
            })
            .map(|m| (*m).clone())
            .collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reach<'a>(graph: &'a Graph, from: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = graph.get(from).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(graph.get(next).into_iter().flatten());
        }
    }
    reached
}

#[test]
fn files_do_not_import_each_other_in_large_circles() -> Result<()> {
    let crates = crates()?;
    ensure!(crates.len() > 10, "only {} crates were found", crates.len());
    let mut faults = Vec::new();
    for (name, graph) in &crates {
        let allowed = CIRCLES
            .iter()
            .find(|(known, ..)| known == name)
            .map_or(CIRCLE_MAX, |(_, files, _)| *files);
        let large = circles(graph)
            .into_iter()
            .filter(|circle| circle.len() > allowed);
        faults.extend(
            large.map(|circle| format!("{name}: {} files: {}", circle.len(), circle.join(", "))),
        );
    }
    none(
        "a circle of files that import each other has at most three; move what they share into a file of its own",
        &faults,
    );
    Ok(())
}

#[test]
fn imports_and_circles_are_found() {
    let code = "pub(crate) use crate::a::{B, c::{D, self}, E as F};\n  use super::g;\nlet user = 1; use std::fmt;";
    assert_eq!(
        imports(code),
        [
            "crate::a::B",
            "crate::a::c::D",
            "crate::a::c::self",
            "crate::a::E",
            "super::g",
            "std::fmt"
        ]
    );
    let modules = [
        ("a", "use crate::b::X;"),
        ("b", "use crate::c::d::Y;"),
        ("c", ""),
        ("c::d", "use crate::{a::Z, c};"),
    ];
    let modules = modules.map(|(module, code)| (module.to_owned(), code.to_owned()));
    assert_eq!(
        circles(&graph(&modules)),
        [["a", "b", "c::d"].map(str::to_owned).to_vec()]
    );
}
