//! The choice between the two runtimes for Python where nobody names one: by what the files import. It looks at the
//! words of the files, without comments and strings, and not at what they would do.

mod imports;
mod names;
mod tokens;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::imports::{Import, ImportPlace, imports};
use self::names::{ABSENT, COMPILED, CONNECTING, LIBRARY, USES, has};
use self::tokens::{Line, PythonToken, lines};

/// The end of the one reason that further files remove.
pub const NOT_IN_THE_FILES: &str = "which is not in the files";

/// The end of the names of files in Python.
const ENDING: &str = ".py";
/// The ends of the names of libraries in machine code.
const COMPILED_ENDINGS: [&str; 3] = [".so", ".pyd", ".dylib"];
/// Files that may hold the handler where nothing names it, as both runtimes look for them.
const USUAL: [&str; 5] = ["main", "handler", "function", "app", "index"];
/// The module that both runtimes offer for import.
const OWN_MODULE: &str = "serverledge";
/// Modules through which files are opened; those of others open something else.
const OPENERS: [&str; 3] = ["io", "codecs", "builtins"];
/// Methods that write a file.
const WRITERS: [&str; 2] = ["write_text", "write_bytes"];
/// Longest text that says how a file is opened.
const MODE_BYTES_MAX: usize = 4;
/// Most tokens of a call's arguments that are looked at.
const ARGUMENT_TOKENS_MAX: usize = 200;

/// A file of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PythonFile<'a> {
    /// Its path, with slashes.
    pub path: &'a str,
    /// Its contents.
    pub bytes: &'a [u8],
    /// Whether it came with a package: then it counts only for what it imports whenever it is loaded.
    pub is_package: bool,
}

/// The reason why a function needs the runtime `python`, in a container, in words that name the file or begin with
/// `it`; `None` if `python-wasm` will do.
///
/// The files count that the handler's file imports, and those that these import.
#[must_use]
pub fn needs_container(files: &[PythonFile<'_>], handler: &str) -> Option<String> {
    let tree = Tree::new(files);
    let first = tree.first_files(handler);
    tree.first_reason(&first)
}

/// The first parts of the names of all modules that a file imports from the root.
#[must_use]
pub fn imported_modules(source: &str) -> BTreeSet<String> {
    let lines = lines(source);
    let found = imports(&lines);
    let from_root = found.iter().filter(|import| import.level == 0);
    from_root
        .filter_map(|import| import.module.first())
        .map(|name| (*name).to_owned())
        .collect()
}

/// The files, and where modules are looked for among them.
#[derive(Debug)]
struct Tree<'a> {
    files: &'a [PythonFile<'a>],
    by_path: BTreeMap<&'a str, usize>,
    folders: BTreeSet<&'a str>,
    /// The folder of the code, then its only folder; each with a slash at its end.
    roots: Vec<String>,
}

// === impl Tree ===

impl<'a> Tree<'a> {
    fn new(files: &'a [PythonFile<'a>]) -> Self {
        let paths = files.iter().enumerate();
        let by_path = paths.map(|(at, file)| (file.path, at)).collect();
        let above = |path: &'a str| path.match_indices('/').map(move |(at, _)| &path[..at]);
        let tops = files.iter().filter_map(|file| file.path.split_once('/'));
        let tops: BTreeSet<&str> = tops
            .map(|(top, _)| top)
            .filter(|top| !top.starts_with('.') && !top.starts_with("__"))
            .collect();
        let only = tops.first().filter(|_| tops.len() == 1);
        Self {
            files,
            by_path,
            folders: files.iter().flat_map(|file| above(file.path)).collect(),
            roots: std::iter::once(String::new())
                .chain(only.map(|only| format!("{only}/")))
                .collect(),
        }
    }

    /// The file of the handler; all that may have it, where nothing tells.
    fn first_files(&self, handler: &str) -> Vec<usize> {
        let module = handler.rsplit_once('.').map_or(handler, |(name, _)| name);
        let module = module.replace('/', ".");
        let parts: Vec<&str> = module.split('.').filter(|part| !part.is_empty()).collect();
        let named = self
            .roots
            .iter()
            .find_map(|root| self.files_of(root, &parts).last().copied());
        let usual = || {
            let names = |root: &String| USUAL.map(|name| format!("{root}{name}{ENDING}"));
            let mut paths = self.roots.iter().flat_map(names);
            paths.find_map(|path| self.by_path.get(path.as_str()).copied())
        };
        if let Some(found) = named.or_else(usual) {
            return vec![found];
        }
        let own = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
            let files = self.files.iter().enumerate();
            files
                .filter(|(_, file)| {
                    !file.is_package && file.path.ends_with(ENDING) && is(file.path)
                })
                .map(|(at, _)| at)
                .collect()
        };
        let at_top = own(&|path: &str| !path.contains('/'));
        if at_top.is_empty() {
            own(&|_: &str| true)
        } else {
            at_top
        }
    }

    fn first_reason(&self, first: &[usize]) -> Option<String> {
        let mut seen: BTreeSet<usize> = first.iter().copied().collect();
        let mut waiting: VecDeque<usize> = first.iter().copied().collect();
        while let Some(file) = waiting.pop_front().and_then(|at| self.files.get(at)) {
            let text = String::from_utf8_lossy(file.bytes);
            let lines = lines(&text);
            let imports = imports(&lines);
            let why = imports
                .iter()
                .find_map(|import| self.why_of_import(file, import));
            let why = why.or_else(|| why_of_uses(&lines, &imports).filter(|_| !file.is_package));
            if let Some(why) = why {
                let is_only = matches!(first, [at] if self.by_path.get(file.path) == Some(at));
                return Some(match is_only {
                    true => format!("it {why}"),
                    false => format!("{} {why}", file.path),
                });
            }
            for next in imports
                .iter()
                .flat_map(|import| self.imported(file, import))
            {
                if seen.insert(next) {
                    waiting.push_back(next);
                }
            }
        }
        None
    }

    /// Why an import needs a container, in words that follow the file's name.
    fn why_of_import(&self, file: &PythonFile<'_>, import: &Import<'_>) -> Option<String> {
        let is_run = is_due(file, import);
        let top = *import
            .module
            .first()
            .filter(|_| import.level == 0 && is_run)?;
        let whole = import.module.join(".");
        let is_here = self.roots.iter().any(|root| self.has_module(root, top));
        if !is_here && has(ABSENT, top.trim_start_matches('_')) {
            return Some(format!(
                "imports {whole:?}, which the runtime python-wasm does not have"
            ));
        }
        if has(COMPILED, top) && (!is_here || self.has_compiled_parts(top)) {
            return Some(format!("imports {whole:?}, which has compiled parts"));
        }
        if file.is_package {
            return None;
        }
        if whole == "subprocess" {
            return Some(format!("imports {whole:?}, which starts processes"));
        }
        if let Some(name) = names_of(import).find(|name| has(CONNECTING, name)) {
            return Some(format!("imports {name:?}, which connects to other hosts"));
        }
        let is_known = is_here || top.starts_with('_') || top == OWN_MODULE || has(LIBRARY, top);
        (!is_known).then(|| format!("imports {whole:?}, {NOT_IN_THE_FILES}"))
    }

    /// The files that are loaded by an import and have to be.
    fn imported(&self, file: &PythonFile<'_>, import: &Import<'_>) -> Vec<usize> {
        if !is_due(file, import) {
            return Vec::new();
        }
        let bases = match import.level {
            0 => self.roots.clone(),
            level => folder_above(file.path, level).into_iter().collect(),
        };
        let mut found = Vec::new();
        for base in &bases {
            found.extend(self.files_of(base, &import.module));
            for name in &import.names {
                let mut parts = import.module.clone();
                parts.push(*name);
                found.extend(self.files_of(base, &parts));
            }
        }
        found
    }

    /// The files of a module below a folder: those of the packages that it is in, then its own.
    fn files_of(&self, base: &str, parts: &[&str]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut path = base.to_owned();
        for (at, part) in parts.iter().enumerate() {
            path.push_str(part);
            if at + 1 == parts.len() {
                found.extend(self.by_path.get(format!("{path}{ENDING}").as_str()));
            }
            path.push('/');
            found.extend(self.by_path.get(format!("{path}__init__{ENDING}").as_str()));
        }
        found
    }

    /// Whether there is a module or a package of this name.
    fn has_module(&self, root: &str, top: &str) -> bool {
        let path = format!("{root}{top}");
        self.folders.contains(path.as_str())
            || self
                .by_path
                .contains_key(format!("{path}{ENDING}").as_str())
    }

    fn has_compiled_parts(&self, top: &str) -> bool {
        let is_of = |path: &str| {
            self.roots.iter().any(|root| {
                let inside = path.strip_prefix(root.as_str());
                let rest = inside.and_then(|inside| inside.strip_prefix(top));
                rest.is_some_and(|rest| rest.starts_with(['/', '.']))
            })
        };
        let is_compiled = |path: &str| COMPILED_ENDINGS.iter().any(|end| path.ends_with(end));
        self.files
            .iter()
            .any(|file| is_compiled(file.path) && is_of(file.path))
    }
}

/// Whether an import counts: a package may have its own way to do without what it does not always import.
fn is_due(file: &PythonFile<'_>, import: &Import<'_>) -> bool {
    match import.place {
        ImportPlace::Always => true,
        ImportPlace::Branch | ImportPlace::Later => !file.is_package,
        ImportPlace::Optional => false,
    }
}

/// The folder in which an import with dots looks, with a slash at its end; `None` if it lies above all files.
fn folder_above(path: &str, level: usize) -> Option<String> {
    let mut folder = path;
    for _ in 0..level {
        folder = match folder.rsplit_once('/') {
            Some((above, _)) => above,
            None if folder.is_empty() => return None,
            None => "",
        };
    }
    Some(match folder {
        "" => String::new(),
        _ => format!("{folder}/"),
    })
}

/// The names that an import may stand for: those of its module, from the first part on, and of what it takes from it.
fn names_of(import: &Import<'_>) -> impl Iterator<Item = String> {
    let parts = import.module.as_slice();
    let modules = (1..=parts.len()).map(move |count| parts[..count].join("."));
    let whole = parts.join(".");
    let taken = import.names.iter();
    modules.chain(taken.map(move |name| format!("{whole}.{name}")))
}

// === what a file uses ===

/// The first use in a file that needs a container, in words that follow its name.
fn why_of_uses(lines: &[Line<'_>], imports: &[Import<'_>]) -> Option<String> {
    let modules = modules_by_name(imports);
    let of = |module: &str, name: &str| {
        let found = USES
            .iter()
            .find(|each| each.module == module && each.names.contains(&name))?;
        Some(format!("uses {module}.{name}, which {}", found.does))
    };
    let mut counted = imports
        .iter()
        .filter(|import| import.level == 0 && import.place != ImportPlace::Optional);
    let taken = counted.find_map(|import| {
        let module = import.module.join(".");
        import.names.iter().find_map(|name| of(&module, name))
    });
    taken.or_else(|| {
        lines.iter().find_map(|line| {
            let members = line.tokens.windows(3).find_map(|three| match three {
                [
                    PythonToken::Word(object),
                    PythonToken::Mark('.'),
                    PythonToken::Word(member),
                ] => of(modules.get(*object)?, member),
                _ => None,
            });
            members.or_else(|| why_of_files(&line.tokens, &modules))
        })
    })
}

/// The modules of a file by the last parts of the names under which it uses them.
fn modules_by_name<'a>(imports: &[Import<'a>]) -> BTreeMap<&'a str, String> {
    let mut modules = BTreeMap::new();
    for import in imports.iter().filter(|import| import.level == 0) {
        let module = import.module.join(".");
        for name in &import.names {
            modules.insert(*name, format!("{module}.{name}"));
        }
        if let [first, .., last] = import.module.as_slice() {
            // `import a.b` gives the name `a`, and modules are used as `a.b.c`.
            modules.insert(*first, (*first).to_owned());
            modules.insert(*last, module.clone());
        }
        if let Some(name) = import.alias.or(import.module.first().copied()) {
            let is_whole = import.alias.is_some() || import.module.len() == 1;
            if is_whole && import.names.is_empty() {
                modules.insert(name, module);
            }
        }
    }
    modules
}

/// Whether a line opens a file to write it, or writes one.
fn why_of_files(tokens: &[PythonToken<'_>], modules: &BTreeMap<&str, String>) -> Option<String> {
    (0..tokens.len()).find_map(|at| {
        let Some([PythonToken::Word(word), PythonToken::Mark('('), behind @ ..]) = tokens.get(at..)
        else {
            return None;
        };
        let before = &tokens[..at];
        let is_member = matches!(before, [.., PythonToken::Mark('.')]);
        if is_member && WRITERS.contains(word) {
            return Some(format!("uses {word}, which writes to the disk"));
        }
        if *word != "open" {
            return None;
        }
        let is_other = match before {
            [.., PythonToken::Word(object), PythonToken::Mark('.')] => modules
                .get(*object)
                .is_some_and(|module| !OPENERS.contains(&module.as_str())),
            _ => false,
        };
        (!is_other && opens_to_write(behind, is_member))
            .then(|| "opens a file to write to it".to_owned())
    })
}

/// Whether one of the arguments says that it is written; that of a method may be the first.
fn opens_to_write(tokens: &[PythonToken<'_>], is_member: bool) -> bool {
    let mut depth = 1_usize;
    let mut before = None;
    for (at, token) in tokens.iter().take(ARGUMENT_TOKENS_MAX).enumerate() {
        match token {
            PythonToken::Mark('(' | '[' | '{') => depth += 1,
            PythonToken::Mark(')' | ']' | '}') => depth -= 1,
            PythonToken::Text(text) if depth == 1 && (at > 0 || is_member) => {
                let is_argument = matches!(before, None | Some(PythonToken::Mark(',' | '=')));
                if is_argument && is_writing_mode(text) {
                    return true;
                }
            }
            _ => {}
        }
        if depth == 0 {
            return false;
        }
        before = Some(*token);
    }
    false
}

fn is_writing_mode(text: &str) -> bool {
    text.len() <= MODE_BYTES_MAX
        && text.chars().all(|c| "rwxabt+".contains(c))
        && text.contains(['w', 'x', 'a', '+'])
}

#[cfg(test)]
mod tests;
