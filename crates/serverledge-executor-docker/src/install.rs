//! Dependencies: installed once, in a container of their own with network and limits, into a folder that is named by what was
//! asked for and mounted read-only into every container that needs it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::{CpuMilli, MemoryMib, Network, PrepareError, Progress, Runtime};
use tokio::process::Command;
use tokio::time::Instant;

use crate::bundle::Bundle;
use crate::container::{Container, Hub, new_name};
use crate::engine::EngineError;
use crate::prepared::PreparedStore;
use crate::profile::{Recipe, Share};

/// Separates this use of BLAKE3 from all others; also the version of the layers' form.
const LAYER_DOMAIN: &str = "serverledge 2026 dependency layer 1";
/// How often an installation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Every so many looks its size is measured and its output shown.
const LOOKS_PER_MEASURE: u32 = 5;
/// Lines of the tool's output in the error of a failed installation.
const LOG_LINES: u32 = 25;
/// Files in a layer: a folder of a million is more than a machine should be asked to keep.
const FILES_MAX: u64 = 200_000;
/// Deepest folder in a layer: packages of packages of packages need a third of it.
const DEPTH_MAX: usize = 64;
/// Free disk below which an installation is stopped.
const DISK_FREE_MIN: u64 = 512 << 20;
/// Processes of an installation: npm starts many.
const PIDS_MAX: u32 = 512;
/// Where the folder lies in the container.
const OUT: &str = "/out";
/// Where the certificate authorities lie in the container.
const CA: &str = "/run/ca.pem";

/// What is to be installed, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    runtime: Runtime,
    /// Name and contents, in the order that counts.
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Wanted {
    /// What an upload asks for; `None` if nothing.
    pub(crate) fn of(bundle: &Bundle, runtime: Runtime) -> Option<Self> {
        let names: &[&'static str] = match runtime {
            Runtime::Python => &["requirements.txt"],
            Runtime::NodeJs => &["package.json", "package-lock.json"],
            _ => return None,
        };
        let file = |name: &&'static str| {
            bundle
                .at_root(name)
                .map(|contents| (*name, contents.to_vec()))
        };
        let files: Vec<(&'static str, Vec<u8>)> = names.iter().filter_map(file).collect();
        let first = files.first().filter(|(name, _)| *name == names[0])?;
        let asks = match runtime {
            Runtime::Python => String::from_utf8_lossy(&first.1)
                .lines()
                .any(is_requirement),
            _ => has_dependencies(&first.1),
        };
        asks.then_some(Self { runtime, files })
    }

    /// The name of the layer: equal requests for the same image are installed once.
    pub(crate) fn layer(&self, image_id: &str) -> String {
        let mut hasher = blake3::Hasher::new_derive_key(LAYER_DOMAIN);
        for part in [self.runtime.name().as_bytes(), image_id.as_bytes()] {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
        for (name, contents) in &self.files {
            hasher
                .update(&(name.len() as u64).to_le_bytes())
                .update(name.as_bytes());
            hasher
                .update(&(contents.len() as u64).to_le_bytes())
                .update(contents);
        }
        hasher.finalize().to_hex().to_string()
    }

    fn tool(&self) -> &'static str {
        if self.runtime == Runtime::Python {
            "pip"
        } else {
            "npm"
        }
    }

    fn command(&self, hub: &Hub) -> Vec<String> {
        let install = &hub.config.install;
        let mut words: Vec<String> = if self.runtime == Runtime::Python {
            words(
                "python3 -m pip install --no-input --disable-pip-version-check --no-cache-dir --progress-bar off --no-color --root-user-action ignore --target /out/python -r /out/requirements.txt",
            )
        } else {
            let how = if self.files.len() > 1 {
                "ci"
            } else {
                "install"
            };
            words(&format!(
                "npm {how} --omit=dev --no-audit --no-fund --no-update-notifier --loglevel=http --prefix /out"
            ))
        };
        match (self.runtime, &install.pip_index, &install.npm_registry) {
            (Runtime::Python, Some(index), _) => {
                words.extend(["--index-url".to_owned(), index.clone()])
            }
            (Runtime::NodeJs, _, Some(registry)) => words.push(format!("--registry={registry}")),
            _ => {}
        }
        words
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(ToOwned::to_owned).collect()
}

fn is_requirement(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn has_dependencies(package_json: &[u8]) -> bool {
    // A malformed file is npm's to complain about.
    let Ok(package) = serde_json::from_slice::<serde_json::Value>(package_json) else {
        return true;
    };
    ["dependencies", "optionalDependencies"]
        .iter()
        .any(|member| {
            package
                .get(member)
                .and_then(|all| all.as_object())
                .is_some_and(|all| !all.is_empty())
        })
}

/// Where a layer's folders are mounted in a function's container.
pub(crate) fn mounts(layer: &Path, runtime: Runtime) -> Vec<(String, String, bool)> {
    let source = inner_folder(layer, runtime).to_string_lossy().into_owned();
    vec![(source, format!("/app/{}", inner_name(runtime)), true)]
}

/// Of the folder within a layer, and within `/app`.
fn inner_name(runtime: Runtime) -> &'static str {
    if runtime == Runtime::Python {
        "python"
    } else {
        "node_modules"
    }
}

/// Installs what is wanted, unless it is there; the layer's name. If the future is dropped, nothing is kept.
pub(crate) async fn install(
    hub: &Arc<Hub>,
    store: &PreparedStore,
    wanted: &Wanted,
    image: &str,
    image_id: &str,
    progress: &dyn Progress,
) -> Result<String, PrepareError> {
    let name = wanted.layer(image_id);
    let layer = store.layer(&name);
    if layer.is_dir() {
        progress.step("dependencies are installed already");
        return Ok(name);
    }
    progress.step(&format!("installing dependencies with {}", wanted.tool()));
    let begun = Instant::now();
    let folder = out_folder(hub, store.layers(), wanted)
        .map_err(|error| machine("make a folder for dependencies", error))?;
    let outcome = install_in(hub, wanted, image, &folder.path, &layer, progress).await;
    folder.remove().await;
    let bytes = outcome?;
    progress.step(&format!(
        "installed {} MiB of dependencies in {:.1} s",
        bytes >> 20,
        begun.elapsed().as_secs_f64()
    ));
    Ok(name)
}

/// Installs into a folder that becomes the layer; its size in bytes.
async fn install_in(
    hub: &Arc<Hub>,
    wanted: &Wanted,
    image: &str,
    folder: &Path,
    layer: &Path,
    progress: &dyn Progress,
) -> Result<u64, PrepareError> {
    run(hub, wanted, image, folder, progress).await?;
    check_inner(&inner_folder(folder, wanted.runtime))?;
    let bytes = measure(folder).await.map_or(0, |size| size.bytes);
    match std::fs::rename(folder, layer) {
        Ok(()) => Ok(bytes),
        // Somebody else installed the same meanwhile.
        Err(_) if layer.is_dir() => Ok(bytes),
        Err(error) => Err(machine("keep the installed dependencies", error)),
    }
}

/// The folder of a layer that functions see.
fn inner_folder(layer: &Path, runtime: Runtime) -> PathBuf {
    layer.join(inner_name(runtime))
}

/// What a package's scripts put in the folder's place would be mounted instead: a link, whatever of this machine it names.
fn check_inner(inner: &Path) -> Result<(), PrepareError> {
    match std::fs::symlink_metadata(inner) {
        Ok(meta) if meta.is_dir() => Ok(()),
        _ => fault(
            "install_failed",
            "the packages' own scripts replaced the folder that they are installed into".to_owned(),
        ),
    }
}

/// A folder that packages' scripts have written into, removed when dropped, if it is still there. By `rm`: what they
/// made may be nested more deeply than a recursive removal has stack or descriptors for.
struct OutFolder {
    path: PathBuf,
    hub: Arc<Hub>,
}

impl OutFolder {
    async fn remove(mut self) {
        remove_tree(&std::mem::take(&mut self.path)).await;
    }
}

impl Drop for OutFolder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        if !path.as_os_str().is_empty() {
            drop(
                self.hub
                    .tasks
                    .spawn(async move { remove_tree(&path).await }),
            );
        }
    }
}

async fn remove_tree(path: &Path) {
    let removed = Command::new("rm")
        .args(["-rf", "--one-file-system", "--"])
        .arg(path)
        .status()
        .await;
    if !removed.is_ok_and(|status| status.success()) {
        tracing::warn!(path = %path.display(), "failed to remove a folder of dependencies");
    }
}

fn out_folder(hub: &Arc<Hub>, layers: &Path, wanted: &Wanted) -> std::io::Result<OutFolder> {
    let path = tempfile::Builder::new()
        .prefix("installing-")
        .tempdir_in(layers)?
        .keep();
    let folder = OutFolder {
        path,
        hub: Arc::clone(hub),
    };
    for (name, contents) in &wanted.files {
        std::fs::write(folder.path.join(name), contents)?;
    }
    // An application without packages has a folder all the same, so that it can be mounted.
    let inner = inner_folder(&folder.path, wanted.runtime);
    std::fs::create_dir(&inner)?;
    for path in [&folder.path, &inner] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    }
    Ok(folder)
}

fn recipe(hub: &Hub, wanted: &Wanted, image: &str, network: String, out: &Path) -> Recipe {
    let install = &hub.config.install;
    let mut env = vec![
        "HOME=/tmp".to_owned(),
        "npm_config_cache=/tmp/npm".to_owned(),
    ];
    let mut mounts = vec![(out.to_string_lossy().into_owned(), OUT.to_owned(), false)];
    if let Some(ca) = &install.ca_file {
        mounts.push((ca.to_string_lossy().into_owned(), CA.to_owned(), true));
        for name in [
            "PIP_CERT",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
            "npm_config_cafile",
        ] {
            env.push(format!("{name}={CA}"));
        }
    }
    if let Some(proxy) = &install.proxy {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            env.push(format!("{name}={proxy}"));
        }
    }
    // A node that is not root must be able to remove what was installed.
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let user = (!uid.is_root()).then(|| format!("{}:{}", uid.as_raw(), gid.as_raw()));
    Recipe {
        image: image.to_owned(),
        node_id: hub.config.node_id.clone(),
        kind: "install",
        limits: Share {
            memory: install.memory,
            cpu: CpuMilli::new(hub.config.cpus_max.get().max(1000)),
        },
        // Counts as memory: caches and unpacked sources.
        tmp: MemoryMib::new(install.memory.get() / 2),
        pids_max: PIDS_MAX,
        network,
        dns: Vec::new(),
        mounts,
        agent: false,
        env,
        command: Some(wanted.command(hub)),
        user,
    }
}

async fn run(
    hub: &Arc<Hub>,
    wanted: &Wanted,
    image: &str,
    out: &Path,
    progress: &dyn Progress,
) -> Result<(), PrepareError> {
    hub.ensure_swept()
        .await
        .map_err(|error| unavailable(hub, error))?;
    let network = crate::network::ensure(hub, Network::Bridge)
        .await
        .map_err(|error| unavailable(hub, error))?;
    let name =
        new_name().map_err(|error| machine("draw a random name", std::io::Error::other(error)))?;
    let body = recipe(hub, wanted, image, network, out).body();
    // In a task of its own: the engine may create it although nobody waits any more.
    let (owner, created) = (Arc::clone(hub), tokio::sync::oneshot::channel());
    let (sender, receiver) = created;
    drop(hub.tasks.spawn(async move {
        let _ = sender.send(Container::create(&owner, name, body).await);
    }));
    let created = receiver.await.map_err(|_| {
        machine(
            "create a container",
            std::io::Error::other("the node stops"),
        )
    })?;
    let container = created.map_err(|error| unavailable(hub, error))?;
    hub.engine
        .start(&container.id)
        .await
        .map_err(|error| unavailable(hub, error))?;
    let outcome = watch(hub, &container, wanted, out, progress).await;
    if let Err(error) = container.remove().await {
        tracing::warn!(%error, "failed to remove a container that installed dependencies");
    }
    outcome
}

/// Until the tool has ended, or met a limit.
async fn watch(
    hub: &Hub,
    container: &Container,
    wanted: &Wanted,
    out: &Path,
    progress: &dyn Progress,
) -> Result<(), PrepareError> {
    let install = &hub.config.install;
    let limit = Instant::now() + install.timeout;
    let mut shown = String::new();
    for look in 1.. {
        tokio::time::sleep(LOOK_EVERY).await;
        let state = hub
            .engine
            .inspect(&container.id)
            .await
            .map_err(|error| unavailable(hub, error))?
            .state
            .unwrap_or_default();
        if state.running != Some(true) {
            if state.exit_code == Some(0) {
                return check_size(install.layer_max, out).await;
            }
            let log = hub
                .engine
                .logs(&container.id, LOG_LINES)
                .await
                .unwrap_or_default();
            let code = state.exit_code.unwrap_or(-1);
            let why = if state.oom_killed == Some(true) {
                format!("it used more than {}", install.memory)
            } else {
                format!("it ended with code {code}")
            };
            return fault(
                "install_failed",
                format!(
                    "{} did not install the dependencies: {why}\n{}",
                    wanted.tool(),
                    log.trim_end()
                ),
            );
        }
        if Instant::now() >= limit {
            let log = hub
                .engine
                .logs(&container.id, LOG_LINES)
                .await
                .unwrap_or_default();
            return fault(
                "install_timeout",
                format!(
                    "{} did not end within {:?}\n{}",
                    wanted.tool(),
                    install.timeout,
                    log.trim_end()
                ),
            );
        }
        if look % LOOKS_PER_MEASURE == 0 {
            check_size(install.layer_max, out).await?;
            let log = hub.engine.logs(&container.id, 1).await.unwrap_or_default();
            if !log.trim().is_empty() && log != shown {
                progress.step(log.trim());
                shown = log;
            }
        }
    }
    Ok(())
}

async fn check_size(max: MemoryMib, out: &Path) -> Result<(), PrepareError> {
    let within = |size: Size| size.bytes <= max.bytes() && size.files <= FILES_MAX;
    if !measure(out).await.is_some_and(within) {
        return fault(
            "install_too_large",
            format!(
                "the dependencies are larger than {max}, more than {FILES_MAX} files, or nested too deeply"
            ),
        );
    }
    // What is open and has no name any more is not measured, but fills the disk as well.
    let free = rustix::fs::statvfs(out)
        .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    if free < DISK_FREE_MIN {
        return fault("install_too_large", "the disk is nearly full".to_owned());
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Size {
    bytes: u64,
    files: u64,
}

/// `None` if it cannot be measured, which packages' scripts may want.
async fn measure(folder: &Path) -> Option<Size> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || size_of(folder).ok())
        .await
        .ok()
        .flatten()
}

/// Fails for whatever hides something: a folder that cannot be read, or is nested too deeply. What goes away meanwhile is
/// not counted.
fn size_of(folder: PathBuf) -> std::io::Result<Size> {
    let mut size = Size::default();
    let mut folders = vec![(folder, 0)];
    while let Some((folder, depth)) = folders.pop() {
        if depth > DEPTH_MAX {
            return Err(std::io::Error::other("nested too deeply"));
        }
        let entries = match open_folder(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            size.files += 1;
            let entry = entry?;
            // Of the entry itself: links are not followed.
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push((entry.path(), depth + 1)),
                Ok(meta) => size.bytes += meta.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(size)
}

/// Not through a link that has taken the folder's place.
fn open_folder(folder: &Path) -> std::io::Result<std::fs::ReadDir> {
    if std::fs::symlink_metadata(folder)?.is_dir() {
        std::fs::read_dir(folder)
    } else {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn unavailable(hub: &Hub, error: EngineError) -> PrepareError {
    crate::executor::prepare_error(hub, error.into())
}

fn machine(attempt: &str, error: std::io::Error) -> PrepareError {
    PrepareError::Internal {
        attempt: attempt.to_owned(),
        source: Box::new(error),
    }
}

fn fault<T>(code: &'static str, message: String) -> Result<T, PrepareError> {
    Err(PrepareError::Invalid { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::FileEntry;

    fn bundle(files: &[(&str, &str)]) -> Bundle {
        let entry = |(path, text): &(&str, &str)| FileEntry {
            path: (*path).to_owned(),
            bytes: text.len() as u64,
            executable: false,
        };
        Bundle {
            files: files.iter().map(entry).collect(),
            contents: files.iter().flat_map(|(_, text)| text.bytes()).collect(),
        }
    }

    #[test]
    fn only_real_requests_are_installed() {
        let wants = |files: &[(&str, &str)], runtime| Wanted::of(&bundle(files), runtime).is_some();
        assert!(wants(
            &[("requirements.txt", "# none\nsix==1.16.0\n")],
            Runtime::Python
        ));
        assert!(!wants(
            &[("requirements.txt", "# none\n\n")],
            Runtime::Python
        ));
        assert!(!wants(&[("requirements.txt", "six")], Runtime::NodeJs));
        assert!(wants(
            &[
                ("f/package.json", r#"{"dependencies":{"a":"1"}}"#),
                ("f/x.js", "")
            ],
            Runtime::NodeJs
        ));
        assert!(!wants(
            &[("package.json", r#"{"main":"x.js","dependencies":{}}"#)],
            Runtime::NodeJs
        ));
        assert!(!wants(&[("package-lock.json", "{}")], Runtime::NodeJs));
    }

    #[test]
    fn a_layer_is_named_by_all_that_counts() {
        let of = |files: &[(&str, &str)]| Wanted::of(&bundle(files), Runtime::Python).unwrap();
        let (one, two) = (
            of(&[("requirements.txt", "six")]),
            of(&[("requirements.txt", "six==1")]),
        );
        assert_eq!(
            one.layer("i"),
            of(&[("a.py", "x"), ("requirements.txt", "six")]).layer("i")
        );
        assert_ne!(one.layer("i"), two.layer("i"));
        assert_ne!(one.layer("i"), one.layer("j"));
    }
}
