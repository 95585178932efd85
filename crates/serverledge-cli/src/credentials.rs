//! The file with the tokens that `login` made, one for each node: `serverledge/credentials.toml` below the user's
//! configuration. Only its owner may read it, and it is replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serverledge_client::{Endpoint, Token};
use serverledge_wire::account::Secret;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// A file with tokens for thousands of nodes is smaller.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Permissions that nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// The token that is kept for one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    /// The token.
    pub(crate) token: Secret,
    /// Its id, by which it is revoked; not a secret.
    pub(crate) id: String,
    /// The e-mail address of its owner.
    pub(crate) email: String,
}

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// By the node's URL.
    #[serde(default)]
    servers: BTreeMap<String, Credential>,
}

/// The file, which need not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CredentialsFile(PathBuf);

impl CredentialsFile {
    /// The one below this folder for configuration.
    pub(crate) fn below(folder: &Path) -> Self {
        Self(folder.join("serverledge").join("credentials.toml"))
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the credential that is kept for a node.
    pub(crate) fn get(&self, endpoint: &Endpoint) -> Result<Option<Credential>, Failure> {
        Ok(self.read()?.servers.remove(&endpoint.to_string()))
    }

    /// The token of a node, checked.
    pub(crate) fn token(&self, endpoint: &Endpoint) -> Result<Option<Token>, Failure> {
        let Some(kept) = self.get(endpoint)? else {
            return Ok(None);
        };
        let malformed = |_| {
            Failure::usage(format!(
                "the token for {endpoint} in {} is malformed",
                self.0.display()
            ))
        };
        Token::parse(kept.token.reveal())
            .map(Some)
            .map_err(|error| malformed(error).hint("`serverledge-cli login` makes another"))
    }

    /// Keeps a credential, or with `None` forgets it; gives back the one before.
    pub(crate) fn set(
        &self,
        endpoint: &Endpoint,
        credential: Option<Credential>,
    ) -> Result<Option<Credential>, Failure> {
        let mut content = self.read()?;
        let node = endpoint.to_string();
        let before = match credential {
            Some(credential) => content.servers.insert(node, credential),
            None => content.servers.remove(&node),
        };
        self.write(&content)
            .map_err(|fault| self.failed("write", &fault))?;
        Ok(before)
    }

    fn read(&self) -> Result<Content, Failure> {
        let file = match fs::File::open(&self.0) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
            Err(fault) => return Err(self.failed("read", &fault)),
        };
        let mode = file
            .metadata()
            .map_err(|fault| self.failed("read", &fault))?
            .permissions()
            .mode();
        if mode & OTHERS != 0 {
            let shown = self.0.display();
            let words = format!(
                "{shown} holds tokens, and others may read or write it (mode {:o})",
                mode & 0o777
            );
            let way = format!("chmod 600 {shown}; if others could read it, revoke its tokens");
            return Err(Failure::usage(words).hint(way));
        }
        let bytes =
            files::read_from(file, FILE_BYTES_MAX).map_err(|fault| self.failed("read", &fault))?;
        // The parser's words may repeat a line, and with it a token.
        let malformed =
            || Failure::usage(format!("{} is no list of credentials", self.0.display()));
        let text = String::from_utf8(bytes).map_err(|_| malformed())?;
        toml::from_str(&text).map_err(|_| malformed().hint("delete it, and log in again"))
    }

    /// Replaces the file: whoever reads it sees the old one or the new one, also after a crash.
    fn write(&self, content: &Content) -> io::Result<()> {
        let folder = self.0.parent().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let text = toml::to_string(content).map_err(io::Error::other)?;
        let fresh = folder.join(format!(".credentials.{}.tmp", std::process::id()));
        // One that a crash left is nobody else's: the number is this process's.
        let _ = fs::remove_file(&fresh);
        let written = replace(&fresh, &self.0, text.as_bytes());
        if written.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        written
    }

    fn failed(&self, action: &str, fault: &io::Error) -> Failure {
        Failure::new(
            Exit::Usage,
            format!(
                "failed to {action} the credentials in {}: {fault}",
                self.0.display()
            ),
        )
    }
}

fn replace(fresh: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(token: &str) -> Credential {
        Credential {
            token: Secret(token.to_owned()),
            id: "t1".to_owned(),
            email: "ada@example.org".to_owned(),
        }
    }

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::new("127.0.0.1", port).unwrap()
    }

    #[test]
    fn tokens_are_kept_by_node_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::below(&folder.path().join("config"));
        assert_eq!(file.get(&endpoint(1)).unwrap(), None);
        assert_eq!(
            file.set(&endpoint(1), Some(credential("slt_one"))).unwrap(),
            None
        );
        assert_eq!(
            file.set(&endpoint(2), Some(credential("slt_two"))).unwrap(),
            None
        );
        assert_eq!(
            file.token(&endpoint(1)).unwrap().unwrap().reveal(),
            "slt_one"
        );
        // The same address over TLS is another node.
        assert_eq!(file.get(&endpoint(1).over_tls(true)).unwrap(), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(file.path()), mode(file.path().parent().unwrap())),
            (0o600, 0o700)
        );
        assert_eq!(
            file.set(&endpoint(1), Some(credential("slt_new"))).unwrap(),
            Some(credential("slt_one"))
        );
        assert_eq!(
            file.set(&endpoint(1), None).unwrap(),
            Some(credential("slt_new"))
        );
        assert_eq!(file.get(&endpoint(1)).unwrap(), None);
        assert_eq!(file.get(&endpoint(2)).unwrap(), Some(credential("slt_two")));
        assert_eq!(
            fs::read_dir(file.path().parent().unwrap()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::below(folder.path());
        file.set(&endpoint(1), Some(credential("slt_one"))).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let shown = file.token(&endpoint(1)).unwrap_err().render(false);
            assert!(
                shown.contains(&format!("(mode {mode:o})")) && shown.contains("chmod 600"),
                "{shown}"
            );
            assert!(
                file.set(&endpoint(2), Some(credential("slt_two"))).is_err(),
                "nor is it written"
            );
        }
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(file.token(&endpoint(1)).unwrap().is_some());
    }

    #[test]
    fn malformed_files_are_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::below(folder.path());
        file.set(&endpoint(1), None).unwrap();
        for text in [
            "slt_secret",
            "[servers]\n\"http://127.0.0.1:1\" = \"slt_secret\"",
            "\u{feff}[",
        ] {
            fs::write(file.path(), text).unwrap();
            let shown = file.token(&endpoint(1)).unwrap_err().render(false);
            assert!(
                shown.contains("no list of credentials") && !shown.contains("slt_secret"),
                "{shown}"
            );
        }
        let text = "[servers.\"http://127.0.0.1:1\"]\ntoken = \"secret\\nvalue\"\nid = \"t\"\nemail = \"e\"\n";
        fs::write(file.path(), text).unwrap();
        let shown = file.token(&endpoint(1)).unwrap_err().render(false);
        assert!(
            shown.contains("malformed") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
