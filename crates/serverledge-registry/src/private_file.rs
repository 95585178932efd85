//! Files that only their owner may read, made whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a file (0600), and its directory (0700) if need be, unless there is such a file already, also by another process
/// at the same time: a crash leaves a whole file or none. Blocks for file access.
///
/// # Errors
/// The errors of the file or its directory.
pub fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if path.try_exists()? {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let draft = dir.join(format!(
        "{}.{}",
        name.to_string_lossy(),
        uuid::Uuid::now_v7()
    ));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let made = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| link(&draft, path));
    fs::remove_file(&draft)?;
    made?;
    File::open(dir)?.sync_all()
}

/// A second name for the draft; if another process was faster, its file stays.
pub(crate) fn link(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
