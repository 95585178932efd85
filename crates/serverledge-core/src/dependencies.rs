//! The dependencies files of an application: one for its Node.js functions, one for its Python functions.

use crate::Runtime;

/// A kind of dependencies file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependenciesFile {
    /// `package.json`, of Node.js functions.
    Package,
    /// `requirements.txt`, of Python functions.
    Requirements,
}

/// The dependencies files of an application, as text; an empty one is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// The text of `package.json`.
    pub package: String,
    /// The text of `requirements.txt`.
    pub requirements: String,
}

// === impl DependenciesFile ===

impl DependenciesFile {
    /// Both, in the order in which they are named.
    pub const ALL: [Self; 2] = [Self::Package, Self::Requirements];

    /// The file's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Package => "package.json",
            Self::Requirements => "requirements.txt",
        }
    }

    /// The file of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.name() == name)
    }

    /// The file that a text is: an object is `package.json`, any other text `requirements.txt`; `None` if it is blank.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        match text.trim_start().as_bytes().first()? {
            b'{' => Some(Self::Package),
            _ => Some(Self::Requirements),
        }
    }

    /// The file for functions of a runtime; `None` if their packages are not installed.
    #[must_use]
    pub const fn of_runtime(runtime: Runtime) -> Option<Self> {
        match runtime {
            Runtime::NodeJs => Some(Self::Package),
            Runtime::Python => Some(Self::Requirements),
            _ => None,
        }
    }
}

// === impl Dependencies ===

impl Dependencies {
    /// One file by its text; none if that is blank.
    #[must_use]
    pub fn of_text(text: String) -> Self {
        let mut all = Self::default();
        if let Some(file) = DependenciesFile::of_text(&text) {
            all.set(file, text);
        }
        all
    }

    /// The text of a file; empty if there is none.
    #[must_use]
    pub fn get(&self, file: DependenciesFile) -> &str {
        match file {
            DependenciesFile::Package => &self.package,
            DependenciesFile::Requirements => &self.requirements,
        }
    }

    /// Replaces a file.
    pub fn set(&mut self, file: DependenciesFile, text: String) {
        match file {
            DependenciesFile::Package => self.package = text,
            DependenciesFile::Requirements => self.requirements = text,
        }
    }

    /// The text for functions of a runtime; empty if there is none.
    #[must_use]
    pub fn of_runtime(&self, runtime: Runtime) -> &str {
        DependenciesFile::of_runtime(runtime).map_or("", |file| self.get(file))
    }

    /// The files that are there.
    pub fn files(&self) -> impl Iterator<Item = DependenciesFile> {
        DependenciesFile::ALL
            .into_iter()
            .filter(|file| !self.get(*file).is_empty())
    }

    /// The texts as they are stored: the first file that there is, and `requirements.txt` where that is the second one. What
    /// knows one file only reads the first.
    #[must_use]
    pub fn to_stored(&self) -> (String, String) {
        if self.package.is_empty() {
            (self.requirements.clone(), String::new())
        } else {
            (self.package.clone(), self.requirements.clone())
        }
    }

    /// The same, read.
    #[must_use]
    pub fn from_stored(first: String, requirements: String) -> Self {
        let mut all = Self::of_text(first);
        if !requirements.is_empty() {
            all.requirements = requirements;
        }
        all
    }
}
