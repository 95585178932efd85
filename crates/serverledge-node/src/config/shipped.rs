//! The text of the shipped `serverledge-conf.toml`, generated from the table of keys.

use super::keys::{INERT, toml_name};
use super::kind::Key;
use super::parts::{Config, KEYS};
use super::raw::quoted;

const HEAD: &str = "\
# Configuration of a Serverledge node: every key at its default.
#
# The node reads serverledge-conf.{toml,yaml,yml,json} from the working directory, $HOME or /etc/serverledge, the first
# one found, or the file named on the command line. To set a key, remove the # before it. A variable overrides the file:
# SERVERLEDGE_API_PORT=8080 overrides api.port. Plain numbers are seconds for durations, MiB for keys about memory, bytes
# for other sizes; with a unit they are texts (\"500ms\", \"64 MiB\"). See docs/configuration.md.
";
const INERT_HEAD: &str = "
# Keys of Serverledge's which this version accepts and which do nothing yet.
";

/// The default as TOML.
pub(super) fn default_of(key: &Key) -> String {
    if key.auto.is_some() {
        quoted("auto")
    } else {
        key.kind.show(&mut Config::base())
    }
}

fn shipped_lines(key: &Key) -> String {
    let auto = key
        .auto
        .as_ref()
        .map(|auto| format!(" auto: {}.", auto.said))
        .unwrap_or_default();
    format!(
        "# {}{auto}\n#{} = {}\n",
        key.doc,
        toml_name(key.name),
        default_of(key)
    )
}

/// The file `serverledge-conf.toml` as shipped: every key at its default, commented out, with its description. Without
/// the `#` before them the lines are TOML that gives the defaults.
#[must_use]
pub fn shipped_file() -> String {
    let mut text = String::from(HEAD);
    let mut group = "";
    for key in KEYS {
        let own = key.name.split('.').next().unwrap_or_default();
        if own != group {
            text.push('\n');
            group = own;
        }
        text.push_str(&shipped_lines(key));
    }
    text.push_str(INERT_HEAD);
    INERT
        .iter()
        .for_each(|key| text.push_str(&shipped_lines(key)));
    text
}
