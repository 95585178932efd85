//! Reading files without trusting their size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if it is longer; else the system's error.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, limit)
}

/// The same of stdin, where the path is `-`.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_or_stdin(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        read_from(io::stdin().lock(), limit)
    } else {
        read(path, limit)
    }
}

/// A text without the line end that editors put at its end.
pub(crate) fn without_line_end(text: &str) -> &str {
    text.strip_suffix('\n')
        .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

/// The same of anything that can be read.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_from(reader: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_inclusive() {
        assert_eq!(read_from(&b"abc"[..], 3).unwrap(), b"abc");
        assert_eq!(
            read_from(&b"abcd"[..], 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }
}
