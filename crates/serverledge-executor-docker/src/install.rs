//! Dependencies: installed once, in a container of their own with network and limits, into a folder that is named by what was
//! asked for and mounted read-only into every container that needs it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::{CpuMilli, MemoryMib, PrepareError, Progress, Runtime};
use tokio::process::Command;
use tokio::time::Instant;

use crate::container::{Container, Hub, new_name};
use crate::executor::{internal, prepare_error};
use crate::network::Reach;
use crate::prepared::PreparedStore;
use crate::profile::{Recipe, Share, USER_ID};
use crate::template_containers::agent_recipe;
use crate::wanted::InstallList;

/// The interval at which an installation is checked.
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
/// The place of the folder in the container.
const OUT: &str = "/out";
/// The place of the certificate authorities in the container.
const CA: &str = "/run/ca.pem";

/// The script that runs when npm has installed packages of the upload's own folders.
const SETTLE_LINKS: &str = include_str!("settle_links.js");

fn tool(runtime: Runtime) -> &'static str {
    if runtime == Runtime::Python {
        "pip"
    } else {
        "npm"
    }
}

/// The folder of the lists and of what they name, in which the tool runs as it would in the upload. npm installs into the same.
fn working_folder(runtime: Runtime) -> String {
    if runtime == Runtime::Python {
        format!("{OUT}/source")
    } else {
        OUT.to_owned()
    }
}

fn command(wanted: &InstallList, hub: &Hub) -> Vec<String> {
    let install = &hub.config.install;
    let mut words = if wanted.runtime == Runtime::Python {
        words(
            "python3 -m pip install --no-input --disable-pip-version-check --no-cache-dir --progress-bar off --no-color --root-user-action ignore --target /out/python -r requirements.txt",
        )
    } else {
        let how = if wanted.has_lock() { "ci" } else { "install" };
        words(&format!(
            "npm {how} --omit=dev --no-audit --no-fund --no-update-notifier --loglevel=http --prefix /out"
        ))
    };
    match (wanted.runtime, &install.pip_index, &install.npm_registry) {
        (Runtime::Python, Some(index), _) => {
            words.extend(["--index-url".to_owned(), index.clone()])
        }
        (Runtime::NodeJs, _, Some(registry)) => words.push(format!("--registry={registry}")),
        _ => {}
    }
    if wanted.runtime == Runtime::NodeJs && wanted.has_local {
        let both = r#""$@" && exec node -e "$SERVERLEDGE_SETTLE_LINKS""#;
        let shell = ["sh", "-c", both, "sh"].map(str::to_owned);
        words.splice(0..0, shell);
    }
    words
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(ToOwned::to_owned).collect()
}

/// The mounts of a layer's folders in a function's container.
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
    wanted: &InstallList,
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
    progress.step(&format!(
        "installing dependencies with {}",
        tool(wanted.runtime)
    ));
    let begun = Instant::now();
    let folder = out_folder(hub, store.layers(), wanted)
        .map_err(|error| internal("make a folder for dependencies", error))?;
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
    wanted: &InstallList,
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
        Err(error) => Err(internal("keep the installed dependencies", error)),
    }
}

/// The folder of a layer that functions see.
fn inner_folder(layer: &Path, runtime: Runtime) -> PathBuf {
    layer.join(inner_name(runtime))
}

/// Refuses a layer in which a package's scripts replaced the folder: a link would be mounted instead, whatever of this
/// machine it names.
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

fn out_folder(hub: &Arc<Hub>, layers: &Path, wanted: &InstallList) -> std::io::Result<OutFolder> {
    let path = tempfile::Builder::new()
        .prefix("installing-")
        .tempdir_in(layers)?
        .keep();
    let folder = OutFolder {
        path,
        hub: Arc::clone(hub),
    };
    write_files(&folder.path, wanted)?;
    // An application without packages has a folder all the same, so that it can be mounted.
    let inner = inner_folder(&folder.path, wanted.runtime);
    std::fs::create_dir(&inner)?;
    for path in [&folder.path, &inner] {
        open_to_all(path, 0o777)?;
    }
    Ok(folder)
}

/// Packages are built where they lie: what is written here is the container's to write.
fn write_files(out: &Path, wanted: &InstallList) -> std::io::Result<()> {
    let working = working_folder(wanted.runtime);
    let root = out.join(
        working
            .strip_prefix(OUT)
            .unwrap_or_default()
            .trim_start_matches('/'),
    );
    for file in &wanted.files {
        let path = root.join(&file.path);
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != out) {
            std::fs::create_dir_all(folder)?;
            open_to_all(folder, 0o777)?;
        }
        std::fs::write(&path, &file.contents)?;
        open_to_all(&path, if file.executable { 0o777 } else { 0o666 })?;
    }
    Ok(())
}

/// The folder above is the node's alone. Tools set modes themselves, which only an owner may: the container's user is made the
/// owner, where it is not the node's own.
fn open_to_all(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(USER_ID), Some(USER_ID))?;
    }
    Ok(())
}

fn recipe(hub: &Hub, wanted: &InstallList, image: &str, out: &Path) -> Recipe {
    let install = &hub.config.install;
    let cpu = CpuMilli::new(hub.config.cpus_max.get().max(1000));
    let mut env = vec![
        "HOME=/tmp".to_owned(),
        "npm_config_cache=/tmp/npm".to_owned(),
    ];
    if wanted.runtime == Runtime::NodeJs && wanted.has_local {
        env.push(format!("SERVERLEDGE_SETTLE_LINKS={SETTLE_LINKS}"));
    }
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
    let uid = rustix::process::geteuid();
    let gid = rustix::process::getegid();
    let user = (!uid.is_root()).then(|| format!("{}:{}", uid.as_raw(), gid.as_raw()));
    Recipe {
        // Counts as memory: caches and unpacked sources.
        tmp: MemoryMib::new(install.memory.get() / 2),
        pids_max: PIDS_MAX,
        reach: Reach::World,
        mounts,
        agent: false,
        env,
        command: Some(command(wanted, hub)),
        folder: Some(working_folder(wanted.runtime)),
        user,
        ..agent_recipe(
            hub,
            "install",
            image,
            Share {
                memory: install.memory,
                cpu,
            },
        )
    }
}

async fn run(
    hub: &Arc<Hub>,
    wanted: &InstallList,
    image: &str,
    out: &Path,
    progress: &dyn Progress,
) -> Result<(), PrepareError> {
    hub.ensure_swept().await.map_err(prepare_error)?;
    let name = new_name().map_err(|error| internal("draw a random name", error))?;
    let recipe = recipe(hub, wanted, image, out);
    // In a task of its own: the engine may create it although nobody waits any more.
    let owner = Arc::clone(hub);
    let created = hub
        .tasks
        .spawn(async move { Container::create(&owner, name, &recipe).await })
        .await;
    let created = created.map_err(|_| internal("create a container", "the node stops"))?;
    let container = created.map_err(prepare_error)?;
    hub.engine
        .start(&container.id)
        .await
        .map_err(prepare_error)?;
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
    wanted: &InstallList,
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
            .map_err(prepare_error)?
            .state;
        if !state.running {
            if state.exit_code == 0 {
                return check_size(install.layer_max, out).await;
            }
            let log = hub.engine.last_output(&container.id, LOG_LINES).await;
            let why = if state.oom_killed {
                format!("it used more than {}", install.memory)
            } else {
                format!("it ended with code {}", state.exit_code)
            };
            return fault(
                "install_failed",
                format!(
                    "{} did not install the dependencies: {why}\n{}",
                    tool(wanted.runtime),
                    log.trim_end()
                ),
            );
        }
        if Instant::now() >= limit {
            let log = hub.engine.last_output(&container.id, LOG_LINES).await;
            return fault(
                "install_timeout",
                format!(
                    "{} did not end within {:?}\n{}",
                    tool(wanted.runtime),
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

fn fault<T>(code: &'static str, message: String) -> Result<T, PrepareError> {
    Err(PrepareError::Invalid { code, message })
}
