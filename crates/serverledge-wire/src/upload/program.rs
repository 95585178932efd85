//! The upload of a program for the runtime wasm: a module, and the files that it brings.

use std::ops::Range;

use super::{TarFile, UploadError, only_folder, tar_files};

/// The names of the file that is the module, whatever other modules there are: the first of these.
const MAIN: [&str; 2] = ["main.wasm", "main.wat"];

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramUpload {
    /// The path of the module in the tar.
    pub path: String,
    /// The module, as a part of the tar.
    pub module: Range<usize>,
    /// All other files, by their paths below the only folder, if all lie in one.
    pub files: Vec<TarFile>,
}

/// Takes a tar apart. The module is `main.wasm` at the top, else `main.wat` there, else the only `.wasm` file there, else the only
/// `.wat` file there, else the only module anywhere.
///
/// # Errors
/// [`UploadError`] as for every tar, or if there is no such module.
pub fn program(tar: &[u8]) -> Result<ProgramUpload, UploadError> {
    let mut files = tar_files(tar)?;
    let folder = only_folder(files.iter().map(|file| file.path.as_str()));
    let skipped = folder.map_or(0, |folder| folder.len() + 1);
    let module = module(&files, skipped)?;
    let TarFile {
        path,
        range: module,
    } = files.remove(module);
    for file in &mut files {
        file.path.drain(..skipped);
    }
    Ok(ProgramUpload {
        path,
        module,
        files,
    })
}

/// The index of the module. The first so many bytes of each path are that of the only folder.
fn module(files: &[TarFile], skipped: usize) -> Result<usize, UploadError> {
    let inside = |file: &TarFile| file.path[skipped..].to_ascii_lowercase();
    let only = |is_meant: &dyn Fn(&str) -> bool| {
        let mut meant = files.iter().map(inside).enumerate();
        let first = meant.find(|(_, path)| is_meant(path));
        let second = meant.find(|(_, path)| is_meant(path));
        match (first, second) {
            (Some(_), Some(_)) => Some(Err(UploadError::SeveralModules)),
            (Some((index, _)), None) => Some(Ok(index)),
            (None, _) => None,
        }
    };
    let at_top = |path: &str, ending: &str| !path.contains('/') && path.ends_with(ending);
    only(&|path| path == MAIN[0])
        .or_else(|| only(&|path| path == MAIN[1]))
        .or_else(|| only(&|path| at_top(path, ".wasm")))
        .or_else(|| only(&|path| at_top(path, ".wat")))
        .or_else(|| only(&|path| path.ends_with(".wasm") || path.ends_with(".wat")))
        .unwrap_or(Err(UploadError::NoModule))
}
