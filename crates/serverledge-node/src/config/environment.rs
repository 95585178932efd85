//! The environment of the process, behind a trait: tests pass pairs and never set variables.

use std::ffi::OsString;
use std::path::PathBuf;

/// A source of environment variables.
pub trait Environment {
    /// All variables, in any order. Called a few times at start, never later.
    fn variables(&self) -> Vec<(OsString, OsString)>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

impl<const N: usize> Environment for [(&str, &str); N] {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect()
    }
}

/// A variable's value, unless it is empty.
fn variable(env: &dyn Environment, wanted: &str) -> Option<OsString> {
    env.variables()
        .into_iter()
        .find(|(name, value)| name == wanted && !value.is_empty())
        .map(|(_, value)| value)
}

/// The directories searched for an unnamed configuration file, in this order: the working directory, `$HOME`,
/// `/etc/serverledge`.
#[must_use]
pub fn search_directories(env: &dyn Environment) -> Vec<PathBuf> {
    let home = variable(env, "HOME").map(PathBuf::from);
    [
        Some(PathBuf::from(".")),
        home,
        Some(PathBuf::from("/etc/serverledge")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The default of `data.dir`. A relative `$XDG_DATA_HOME` is ignored, as its specification demands.
pub(super) fn data_directory(env: &dyn Environment) -> PathBuf {
    let xdg = variable(env, "XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let home = || variable(env, "HOME").map(|home| PathBuf::from(home).join(".local/share"));
    xdg.or_else(home).map_or_else(
        || PathBuf::from("serverledge-data"),
        |dir| dir.join("serverledge"),
    )
}

/// The default of `container.docker_socket`: Docker's own variable, if it names a socket of this machine.
pub(super) fn docker_socket(env: &dyn Environment) -> PathBuf {
    let host = variable(env, "DOCKER_HOST").and_then(|host| host.into_string().ok());
    let path = host.and_then(|host| host.strip_prefix("unix://").map(PathBuf::from));
    path.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_follows_xdg_then_home() {
        let check = |env: &dyn Environment, expected: &str| {
            assert_eq!(data_directory(env), PathBuf::from(expected));
        };
        check(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")], "/x/serverledge");
        check(
            &[("XDG_DATA_HOME", "x"), ("HOME", "/h")],
            "/h/.local/share/serverledge",
        );
        check(
            &[("XDG_DATA_HOME", ""), ("HOME", "/h")],
            "/h/.local/share/serverledge",
        );
        check(&[("HOME", "")], "serverledge-data");
    }

    #[test]
    fn the_engine_is_where_docker_says() {
        let check = |env: &dyn Environment, expected: &str| {
            assert_eq!(docker_socket(env), PathBuf::from(expected))
        };
        check(&[("DOCKER_HOST", "unix:///x/d.sock")], "/x/d.sock");
        check(
            &[("DOCKER_HOST", "tcp://1.2.3.4:2375")],
            "/var/run/docker.sock",
        );
        check(&[("PATH", "/bin")], "/var/run/docker.sock");
    }

    #[test]
    fn the_working_directory_comes_first() {
        let shown = |env: &dyn Environment| {
            search_directories(env)
                .iter()
                .map(|d| d.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&[("HOME", "/h")]), [".", "/h", "/etc/serverledge"]);
        assert_eq!(shown(&[("PATH", "/bin")]), [".", "/etc/serverledge"]);
    }
}
