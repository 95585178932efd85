//! `new`: a folder for a function, from a template.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;

use super::session::function_name;
use crate::arguments::NewArgs;
use crate::failure::Failure;
use crate::templates::{self, Template};
use crate::{json, output, text};

/// Mode of files that can be started.
const PROGRAM_MODE: u32 = 0o755;

/// The answer to programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewFolder<'a> {
    folder: &'a str,
    template: &'a str,
    files: Vec<&'static str>,
}

/// One template, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedTemplate {
    name: &'static str,
    about: &'static str,
}

/// Makes the folder in the working directory, or lists the templates. No node is asked.
pub(crate) fn new(args: &NewArgs, as_json: bool) -> Result<(), Failure> {
    let for_people = !as_json && output::is_terminal();
    if args.list {
        return output::result(&listed(for_people));
    }
    let name = args.name.as_deref().unwrap_or_default();
    let template = Template::find(&args.template).ok_or_else(|| {
        Failure::usage(format!("there is no template {:?}", args.template))
            .hint("`serverledge-cli new --list` shows them")
    })?;
    let files = make(Path::new("."), name, template)?;
    output::result(&if for_people {
        format!(
            "made {name}: {}\n{}",
            template.about,
            output::dim(&format!("next: cd {name} && serverledge-cli dev"))
        )
    } else {
        json::tabbed(&NewFolder {
            folder: name,
            template: template.name,
            files,
        })
    })
}

fn listed(for_people: bool) -> String {
    if for_people {
        let rows = templates::ALL
            .iter()
            .map(|template| [template.name, template.about].map(str::to_owned));
        return text::listing(["TEMPLATE", "MAKES"], rows);
    }
    let all: Vec<_> = templates::ALL
        .iter()
        .map(|template| ListedTemplate {
            name: template.name,
            about: template.about,
        })
        .collect();
    json::tabbed(&all)
}

/// Writes the files of a template into a folder of the function's name below this one. Gives their paths.
fn make(below: &Path, name: &str, template: &Template) -> Result<Vec<&'static str>, Failure> {
    let function = function_name(name)?;
    let folder = below.join(function.as_str());
    match fs::read_dir(&folder).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Ok(true) => {
            return Err(
                Failure::usage(format!("the folder {folder:?} is not empty"))
                    .hint("choose another name, or remove what is in it"),
            );
        }
        Err(fault) => {
            return Err(
                Failure::usage(format!("{folder:?} cannot be made a folder: {fault}"))
                    .hint("choose another name"),
            );
        }
    }
    let mut paths = Vec::new();
    for file in template.render(&function) {
        let path = folder.join(file.path);
        write(&path, &file.text, file.is_program())
            .map_err(|fault| Failure::usage(format!("failed to write {path:?}: {fault}")))?;
        paths.push(file.path);
    }
    Ok(paths)
}

fn write(path: &Path, text: &str, is_program: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    if is_program {
        fs::set_permissions(path, Permissions::from_mode(PROGRAM_MODE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_of_every_template() {
        let below = tempfile::tempdir().unwrap();
        for template in &templates::ALL {
            let paths = make(below.path(), template.name, template).unwrap();
            let folder = below.path().join(template.name);
            assert!(paths.iter().all(|path| folder.join(path).is_file()));
            let mode = fs::metadata(folder.join("test.sh"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o111, 0o111, "{}", template.name);
        }
    }

    #[test]
    fn an_empty_folder_is_filled_and_a_full_one_refused() {
        let below = tempfile::tempdir().unwrap();
        let template = Template::find(templates::DEFAULT).unwrap();
        fs::create_dir(below.path().join("hey")).unwrap();
        make(below.path(), "hey", template).unwrap();
        let refused = make(below.path(), "hey", template)
            .unwrap_err()
            .render(false);
        assert!(refused.contains("hey\" is not empty\nhint: "), "{refused}");
        fs::write(below.path().join("file"), "").unwrap();
        let refused = make(below.path(), "file", template)
            .unwrap_err()
            .render(false);
        assert!(
            refused.contains("file\" cannot be made a folder: "),
            "{refused}"
        );
    }

    #[test]
    fn names_are_those_of_functions() {
        let below = tempfile::tempdir().unwrap();
        let template = Template::find(templates::DEFAULT).unwrap();
        for name in ["", "a b", "../x", ".hidden", "é"] {
            assert!(make(below.path(), name, template).is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(below.path()).unwrap().count(), 0);
    }

    #[test]
    fn templates_are_listed() {
        let table = listed(true);
        assert!(
            table.starts_with("TEMPLATE        MAKES\nrust            Rust: "),
            "{table}"
        );
        assert!(listed(false).contains("\"Name\": \"hono\""));
    }
}
