//! The uploaded code as it is kept: a list of its files, and their contents one after the other.

use serde::{Deserialize, Serialize};
use serverledge_core::{PrepareError, Runtime};
use serverledge_wire::upload;

/// One file; its contents lie with the others'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) executable: bool,
}

/// A checked upload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) files: Vec<FileEntry>,
    pub(crate) contents: Vec<u8>,
}

/// Reads an upload. `handler` names the file where the upload is a bare source file.
pub(crate) fn read(
    code: &[u8],
    runtime: Runtime,
    handler: &str,
    bytes_max: usize,
) -> Result<Bundle, PrepareError> {
    let files = upload::read(code, runtime, handler, bytes_max);
    let files = files.map_err(|error| PrepareError::Invalid {
        code: error.code(),
        message: error.to_string(),
    })?;
    let mut bundle = Bundle::default();
    for upload::UploadedFile {
        path,
        contents,
        executable,
        ..
    } in files
    {
        bundle.files.push(FileEntry {
            path,
            bytes: contents.len() as u64,
            executable,
        });
        bundle.contents.extend_from_slice(&contents);
    }
    Ok(bundle)
}

impl Bundle {
    /// The folder, with its slash, in which a file lies that is at the root, or in the only folder of an upload that is one
    /// folder; without such a file that only folder, else the root.
    pub(crate) fn root_of(&self, name: &str) -> Option<String> {
        if self.files.iter().any(|file| file.path == name) {
            return None;
        }
        upload::only_folder(self.files.iter().map(|file| file.path.as_str()))
            .map(|folder| format!("{folder}/"))
    }

    /// Path and contents of each file, and whether it can be run.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &[u8], bool)> {
        let mut from = 0;
        self.files.iter().filter_map(move |file| {
            let to = from + usize::try_from(file.bytes).ok()?;
            let contents = self.contents.get(from..to)?;
            from = to;
            Some((file.path.as_str(), contents, file.executable))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_one_after_the_other() {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in [("f/requirements.txt", "six"), ("f/h.py", "")] {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o755);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let bundle = read(&tar.into_inner().unwrap(), Runtime::Python, "", 1000).unwrap();
        assert_eq!(bundle.root_of("requirements.txt").as_deref(), Some("f/"));
        assert_eq!(bundle.root_of("f/h.py"), None);
        assert_eq!(
            bundle.entries().last(),
            Some(("f/requirements.txt", &b"six"[..], true))
        );
    }

    #[test]
    fn a_refusal_keeps_code_and_words() {
        let refused = read(&[0xff], Runtime::Python, "", 1000).unwrap_err();
        let message = "the code is neither a tar nor a source file in UTF-8".to_owned();
        assert!(
            matches!(refused, PrepareError::Invalid { code: "malformed_code", message: told } if told == message)
        );
    }
}
