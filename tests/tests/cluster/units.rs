//! The units of `deploy/systemd`: their command lines start what they say, with the file that they name.

use anyhow::{Context, Result, ensure};

use crate::e2e::programs::root;
use crate::e2e::{Setup, wait_for};
use crate::support::Cluster;

const FOLDER: &str = "deploy/systemd";
/// The folder of configuration files in the units.
const CONFIGURED: &str = "/etc/serverledge/";

/// Name and arguments of the command line of every unit.
fn command_lines() -> Result<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(FOLDER))? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "service")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="))
            .context("a unit starts something")?;
        let name = path
            .file_name()
            .context("a unit has a name")?
            .to_string_lossy()
            .into_owned();
        found.push((
            name,
            line.split_whitespace().skip(1).map(str::to_owned).collect(),
        ));
    }
    Ok(found)
}

#[test]
fn each_unit_starts_with_the_file_that_it_names() -> Result<()> {
    let cluster = Cluster::on_loopback()?;
    let command_lines = command_lines()?;
    ensure!(command_lines.len() >= 2, "{command_lines:?}");
    for (unit, arguments) in command_lines {
        let setup = Setup::new()?;
        let file = arguments
            .iter()
            .find_map(|word| word.strip_prefix(CONFIGURED))
            .context("a unit names a file")?;
        let file = setup.home().join(file);
        let registry = format!("etcd://{}/{unit}/", cluster.etcd.address());
        std::fs::write(&file, configuration(&registry, &unit))?;
        let words = arguments
            .iter()
            .map(|word| match word.strip_prefix(CONFIGURED) {
                Some(_) => file.display().to_string(),
                None => word.clone(),
            });
        let words = words.collect::<Vec<_>>().join(" ");
        let running = setup
            .under_shell(format!("exec \"$0\" {words}"))
            .start()
            .with_context(|| unit.clone())?;
        let read = format!("configuration from {}", file.display());
        wait_for(&format!("{unit}: {read}"), || {
            Ok(running.stderr().contains(&read).then_some(()))
        })?;
        // Only the file says so.
        ensure!(
            running.status()?["Area"] == unit.as_str(),
            "{unit} has another area than its file says"
        );
        running.stop()?;
    }
    Ok(())
}

fn configuration(registry: &str, area: &str) -> String {
    format!(
        "registry.url = \"{registry}\"\nregistry.area = \"{area}\"\ncluster.key = \"a key that only the nodes of this test know\"\ncontainer.enabled = false\n"
    )
}
