//! The files that are not part of a function's source: those that tools make, and those that `.gitignore` names.

use std::ffi::OsStr;
use std::path::Path;

/// Longest list of ignored names that is read.
const IGNORE_BYTES_MAX: usize = 64 * 1024;
/// Folders that tools make.
const MADE: [&str; 3] = ["target", "node_modules", "__pycache__"];
/// The file that names what is not part of the source.
const IGNORE_FILE: &str = ".gitignore";

/// Patterns of paths below a folder. The last that fits decides.
#[derive(Debug)]
pub(crate) struct IgnoreList {
    patterns: Vec<IgnorePattern>,
}

/// A line of `.gitignore`.
#[derive(Debug, PartialEq, Eq)]
struct IgnorePattern {
    /// A pattern for each name of the path; a single one fits wherever it stands, unless it is anchored.
    names: Vec<String>,
    is_anchored: bool,
    /// Whether it fits folders only.
    is_of_folders: bool,
    /// Whether what it fits is a part of the source after all.
    is_exception: bool,
}

impl IgnoreList {
    /// The folders that tools make.
    pub(crate) fn of_tools() -> Self {
        let patterns = MADE.iter().filter_map(|name| IgnorePattern::of_line(name));
        Self {
            patterns: patterns.collect(),
        }
    }

    /// The same, and what the list of this folder names.
    pub(crate) fn of_folder(root: &Path) -> Self {
        let bytes = crate::files::read(&root.join(IGNORE_FILE), IGNORE_BYTES_MAX);
        let bytes = bytes.unwrap_or_default();
        let mut list = Self::of_tools();
        let text = String::from_utf8_lossy(&bytes);
        list.patterns
            .extend(text.lines().filter_map(IgnorePattern::of_line));
        list
    }

    /// Whether it has a path below the folder.
    pub(crate) fn has(&self, path: &Path, is_folder: bool) -> bool {
        let last = self
            .patterns
            .iter()
            .rfind(|pattern| pattern.fits(path, is_folder));
        last.is_some_and(|pattern| !pattern.is_exception)
    }
}

impl IgnorePattern {
    /// `None` for empty lines, remarks, and what is seldom written: classes, `?`, `\`, and `**` within a path.
    fn of_line(line: &str) -> Option<Self> {
        let line = line.trim();
        let (line, is_exception) = match line.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let (line, is_of_folders) = match line.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let line = line.strip_prefix("**/").unwrap_or(line);
        let path = line.strip_prefix('/').unwrap_or(line);
        let is_known = !path.is_empty()
            && !path.starts_with('#')
            && !path.contains(['?', '[', '\\'])
            && !path.contains("**");
        is_known.then(|| Self {
            names: path.split('/').map(str::to_owned).collect(),
            is_anchored: line.contains('/'),
            is_of_folders,
            is_exception,
        })
    }

    fn fits(&self, path: &Path, is_folder: bool) -> bool {
        if self.is_of_folders && !is_folder {
            return false;
        }
        if !self.is_anchored {
            let name = path.file_name().unwrap_or_default();
            return self.names.iter().all(|pattern| name_fits(pattern, name));
        }
        let mut names = path.iter();
        self.names
            .iter()
            .all(|pattern| names.next().is_some_and(|name| name_fits(pattern, name)))
            && names.next().is_none()
    }
}

/// Whether a name has the parts of a pattern between its stars, in their order.
fn name_fits(pattern: &str, name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let Some((first, rest)) = pattern.split_once('*') else {
        return *pattern == *name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in between.split('*') {
        let Some((_, after)) = left.split_once(part) else {
            return false;
        };
        left = after;
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &str) -> IgnoreList {
        let lab = tempfile::tempdir().unwrap();
        std::fs::write(lab.path().join(IGNORE_FILE), lines).unwrap();
        IgnoreList::of_folder(lab.path())
    }

    #[test]
    fn lines_are_patterns_of_paths() {
        for (line, path, ignored) in [
            ("dist", "dist", true),
            ("dist", "a/dist", true),
            ("dist", "distant", false),
            ("/dist", "dist", true),
            ("/dist", "a/dist", false),
            ("build/x.o", "build/x.o", true),
            ("build/*.o", "build/x.o", true),
            ("build/*.o", "build/sub/x.o", false),
            ("build/*.o", "a/build/x.o", false),
            ("**/x.o", "a/b/x.o", true),
            ("*.o", "main.o", true),
            ("*.o", "a/.o", true),
            ("*.o", "main.oo", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "a/b", true),
            ("# a", "# a", false),
            ("", "a", false),
            ("/", "a", false),
            ("!", "a", false),
            ("[ab]", "a", false),
            ("a/**/b", "a/b", false),
            ("*.o\n!keep.o", "keep.o", false),
            ("!keep.o\n*.o", "keep.o", true),
            ("  dist  ", "dist", true),
            ("", "sub/node_modules", true),
        ] {
            assert_eq!(
                list(line).has(Path::new(path), false),
                ignored,
                "{line} {path}"
            );
        }
        assert!(list("dist/").has(Path::new("dist"), true));
        assert!(!list("dist/").has(Path::new("dist"), false), "a file");
    }
}
