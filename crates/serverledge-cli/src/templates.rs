//! The templates of `new`: plain files, built into the program, with the function's name filled in.

use serverledge_client::FunctionName;

/// The template that is used where none is named.
pub(crate) const DEFAULT: &str = "javascript";
/// The place of the function's name.
const NAME: &str = "{{name}}";
/// The place of the function's name in the form that package managers take.
const PACKAGE: &str = "{{package}}";

/// A folder to begin with.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) name: &'static str,
    /// The language, and the kind of function.
    pub(crate) about: &'static str,
    files: &'static [TemplateFile],
}

/// A file with places for names.
#[derive(Debug)]
struct TemplateFile {
    path: &'static str,
    text: &'static str,
}

/// A file of a new folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RenderedFile {
    pub(crate) path: &'static str,
    pub(crate) text: String,
}

impl RenderedFile {
    /// Whether it can be started.
    pub(crate) fn is_program(&self) -> bool {
        self.text.starts_with("#!")
    }
}

impl Template {
    /// The template of this name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|template| template.name == name)
    }

    /// The files of a folder for this function.
    pub(crate) fn render(&self, function: &FunctionName) -> impl Iterator<Item = RenderedFile> {
        let package = package(function);
        std::iter::once(&TEST)
            .chain(self.files)
            .map(move |file| RenderedFile {
                path: file.path,
                text: file
                    .text
                    .replace(NAME, function.as_str())
                    .replace(PACKAGE, &package),
            })
    }
}

/// A name of a package that cargo and npm take: lower case, without dots, with a letter at its begin.
fn package(function: &FunctionName) -> String {
    let plain = |letter: char| match letter {
        '.' => '-',
        letter => letter.to_ascii_lowercase(),
    };
    let name: String = function.as_str().chars().map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name
    } else {
        format!("f-{name}")
    }
}

const fn file(path: &'static str, text: &'static str) -> TemplateFile {
    TemplateFile { path, text }
}

/// The test that all templates have.
static TEST: TemplateFile = file("test.sh", include_str!("../templates/test.sh"));

/// All templates, in the order in which they are listed.
pub(crate) static ALL: [Template; 10] = [
    Template {
        name: "rust",
        about: "Rust: a program, JSON in and out",
        files: &[
            file("README.md", include_str!("../templates/rust/README.md")),
            file(".gitignore", include_str!("../templates/rust/gitignore")),
            file(
                "serverledge.json",
                include_str!("../templates/rust/serverledge.json"),
            ),
            file("Cargo.toml", include_str!("../templates/rust/Cargo.toml")),
            file(
                ".cargo/config.toml",
                include_str!("../templates/rust/.cargo/config.toml"),
            ),
            file("src/main.rs", include_str!("../templates/rust/src/main.rs")),
        ],
    },
    Template {
        name: "rust-http",
        about: "Rust: an HTTP handler, a component of wasi:http",
        files: &[
            file(
                "README.md",
                include_str!("../templates/rust-http/README.md"),
            ),
            file(
                ".gitignore",
                include_str!("../templates/rust-http/gitignore"),
            ),
            file(
                "serverledge.json",
                include_str!("../templates/rust-http/serverledge.json"),
            ),
            file(
                "Cargo.toml",
                include_str!("../templates/rust-http/Cargo.toml"),
            ),
            file(
                ".cargo/config.toml",
                include_str!("../templates/rust-http/.cargo/config.toml"),
            ),
            file(
                "src/main.rs",
                include_str!("../templates/rust-http/src/main.rs"),
            ),
        ],
    },
    Template {
        name: "go",
        about: "Go: a program, JSON in and out",
        files: &[
            file("README.md", include_str!("../templates/go/README.md")),
            file(".gitignore", include_str!("../templates/go/gitignore")),
            file(
                "serverledge.json",
                include_str!("../templates/go/serverledge.json"),
            ),
            file("go.mod", include_str!("../templates/go/go.mod")),
            file("main.go", include_str!("../templates/go/main.go")),
        ],
    },
    Template {
        name: "c",
        about: "C: a program, JSON in and out",
        files: &[
            file("README.md", include_str!("../templates/c/README.md")),
            file(".gitignore", include_str!("../templates/c/gitignore")),
            file(
                "serverledge.json",
                include_str!("../templates/c/serverledge.json"),
            ),
            file("main.c", include_str!("../templates/c/main.c")),
        ],
    },
    Template {
        name: "zig",
        about: "Zig: a program, JSON in and out",
        files: &[
            file("README.md", include_str!("../templates/zig/README.md")),
            file(".gitignore", include_str!("../templates/zig/gitignore")),
            file(
                "serverledge.json",
                include_str!("../templates/zig/serverledge.json"),
            ),
            file("main.zig", include_str!("../templates/zig/main.zig")),
        ],
    },
    Template {
        name: "assemblyscript",
        about: "AssemblyScript: a program, JSON in and out",
        files: &[
            file(
                "README.md",
                include_str!("../templates/assemblyscript/README.md"),
            ),
            file(
                ".gitignore",
                include_str!("../templates/assemblyscript/gitignore"),
            ),
            file(
                "serverledge.json",
                include_str!("../templates/assemblyscript/serverledge.json"),
            ),
            file(
                "package.json",
                include_str!("../templates/assemblyscript/package.json"),
            ),
            file(
                "asconfig.json",
                include_str!("../templates/assemblyscript/asconfig.json"),
            ),
            file(
                "assembly/index.ts",
                include_str!("../templates/assemblyscript/assembly/index.ts"),
            ),
        ],
    },
    Template {
        name: "javascript",
        about: "JavaScript: a script in WebAssembly",
        files: &[
            file(
                "README.md",
                include_str!("../templates/javascript/README.md"),
            ),
            file(
                ".gitignore",
                include_str!("../templates/javascript/gitignore"),
            ),
            file(
                "serverledge.json",
                include_str!("../templates/javascript/serverledge.json"),
            ),
            file("main.js", include_str!("../templates/javascript/main.js")),
        ],
    },
    Template {
        name: "typescript",
        about: "TypeScript: bundled to a script in WebAssembly",
        files: &[
            file(
                "README.md",
                include_str!("../templates/typescript/README.md"),
            ),
            file(
                ".gitignore",
                include_str!("../templates/typescript/gitignore"),
            ),
            file(
                "serverledge.json",
                include_str!("../templates/typescript/serverledge.json"),
            ),
            file(
                "package.json",
                include_str!("../templates/typescript/package.json"),
            ),
            file(
                "tsconfig.json",
                include_str!("../templates/typescript/tsconfig.json"),
            ),
            file(
                "src/main.ts",
                include_str!("../templates/typescript/src/main.ts"),
            ),
        ],
    },
    Template {
        name: "python",
        about: "Python: a script in WebAssembly",
        files: &[
            file("README.md", include_str!("../templates/python/README.md")),
            file(".gitignore", include_str!("../templates/python/gitignore")),
            file(
                "serverledge.json",
                include_str!("../templates/python/serverledge.json"),
            ),
            file("main.py", include_str!("../templates/python/main.py")),
        ],
    },
    Template {
        name: "hono",
        about: "Hono: an npm app that answers requests, bundled to a script in WebAssembly",
        files: &[
            file("README.md", include_str!("../templates/hono/README.md")),
            file(".gitignore", include_str!("../templates/hono/gitignore")),
            file(
                "serverledge.json",
                include_str!("../templates/hono/serverledge.json"),
            ),
            file(
                "package.json",
                include_str!("../templates/hono/package.json"),
            ),
            file("src/app.js", include_str!("../templates/hono/src/app.js")),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FunctionName {
        FunctionName::parse(text).unwrap()
    }

    fn rendered(template: &Template, function: &str) -> Vec<RenderedFile> {
        template.render(&name(function)).collect()
    }

    #[test]
    fn every_template_is_complete() {
        for template in &ALL {
            let files = rendered(template, "My.fn");
            for path in ["README.md", ".gitignore", "serverledge.json", "test.sh"] {
                let found = files.iter().filter(|file| file.path == path).count();
                assert_eq!(found, 1, "{} {path}", template.name);
            }
            for file in &files {
                let place = format!("{} {}", template.name, file.path);
                assert!(
                    !file.text.contains("{{") && file.text.ends_with('\n'),
                    "{place}"
                );
                assert_eq!(file.is_program(), file.path == "test.sh", "{place}");
            }
            let readme = files.iter().find(|file| file.path == "README.md").unwrap();
            for part in [
                "# My.fn\n",
                "serverledge-cli run .",
                "serverledge-cli dev",
                "invoke My.fn ",
            ] {
                assert!(readme.text.contains(part), "{}: {part}", template.name);
            }
        }
    }

    #[test]
    fn files_are_well_formed() {
        for template in &ALL {
            for file in rendered(template, "0.A_b") {
                let place = format!("{} {}", template.name, file.path);
                if file.path.ends_with(".json") {
                    let parsed = serde_json::from_str::<serde_json::Value>(&file.text);
                    let parsed = parsed.unwrap_or_else(|fault| panic!("{place}: {fault}"));
                    if file.path == "package.json" {
                        assert_eq!(parsed["name"], "f-0-a_b", "{place}");
                    }
                }
                if file.path.ends_with(".toml") {
                    let parsed = file.text.parse::<toml::Table>();
                    let parsed = parsed.unwrap_or_else(|fault| panic!("{place}: {fault}"));
                    if file.path == "Cargo.toml" {
                        assert_eq!(parsed["package"]["name"].as_str(), Some("f-0-a_b"));
                    }
                }
            }
        }
    }

    #[test]
    fn templates_are_found_by_their_names() {
        for template in &ALL {
            assert_eq!(Template::find(template.name).unwrap().about, template.about);
        }
        assert!(Template::find(DEFAULT).is_some());
        assert!(Template::find("cobol").is_none());
    }

    #[test]
    fn packages_have_plain_names() {
        for (function, expected) in [
            ("hey", "hey"),
            ("Hey.You", "hey-you"),
            ("_x", "f-_x"),
            ("7-up", "f-7-up"),
        ] {
            assert_eq!(package(&name(function)), expected);
        }
    }
}
