//! A site: a network namespace with one device, whose other end is the emulator's.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::{NETWORK_BITS, leftovers};

/// The device inside.
const DEVICE: &str = "link0";
/// Packets that wait for the emulator: more than a burst of some connections.
const QUEUE_PACKETS: u32 = 5_000;
/// Every site has the same TCP, whatever the machine is set to, and it remembers nothing about earlier conditions. Of all ways
/// to control congestion, reno is the one that every kernel has and allows in a namespace.
const PREPARE: &str = "
set -e
ip link set lo up
echo reno > /proc/sys/net/ipv4/tcp_congestion_control
echo 1 > /proc/sys/net/ipv4/tcp_no_metrics_save
[ ! -e /proc/sys/net/ipv6/conf/all ] || echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
";

/// A place with an address of its own. A clone is the same place; it is gone when its [`super::Links`] are.
#[derive(Debug, Clone)]
pub struct Site(Arc<SiteNamespace>);

#[derive(Debug)]
struct SiteNamespace {
    name: String,
    namespace: String,
    address: Ipv4Addr,
}

// === impl Site ===

impl Site {
    /// On failure nothing is left.
    pub(crate) fn make(
        name: &str,
        run: u64,
        address: Ipv4Addr,
    ) -> anyhow::Result<(Self, (Ipv4Addr, SyncDevice))> {
        ensure!(
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "a bad name"
        );
        let namespace = leftovers::namespace(run, name)?;
        run_ip(&["netns", "add", &namespace])?;
        let site = Self(Arc::new(SiteNamespace {
            name: name.to_owned(),
            namespace,
            address,
        }));
        let device = site.prepare();
        if device.is_err() {
            site.remove();
        }
        Ok((site, (address, device?)))
    }

    fn prepare(&self) -> anyhow::Result<SyncDevice> {
        let output = self
            .command("sh")
            .args(["-c", PREPARE])
            .stdin(Stdio::null())
            .output()
            .context("run nsenter")?;
        ensure_success("prepare the namespace", &output)?;
        let device = self.inside(|| {
            let device = DeviceBuilder::new()
                .name(DEVICE)
                .tx_queue_len(QUEUE_PACKETS);
            let device = device
                .ipv4(self.0.address, NETWORK_BITS, None)
                .build_sync()?;
            device.set_nonblocking(true).map(|()| device)
        })?;
        device.context("make a tun device")
    }

    /// As given to [`super::Links::new`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Under which the other sites reach it.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.0.address
    }

    /// Puts a program and its first arguments in front of any other: what follows them runs inside.
    #[must_use]
    pub fn prefix(&self) -> [String; 3] {
        // Not `ip netns exec`, which also mounts another /sys, without control groups.
        [
            "nsenter".to_owned(),
            format!("--net={}", self.path().display()),
            "--".to_owned(),
        ]
    }

    /// A command that runs the program inside. The process that is started becomes the program, so that signals reach it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let [nsenter, net, end] = self.prefix();
        let mut command = Command::new(nsenter);
        command.arg(net).arg(end).arg(program);
        command
    }

    /// Runs `work` inside, on a thread of its own, and waits for it. Sockets made there stay there, whoever uses them later.
    ///
    /// # Errors
    /// If the site is gone.
    ///
    /// # Panics
    /// If `work` does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let namespace =
            File::open(self.path()).with_context(|| format!("find the site {}", self.0.name))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("enter a site")?;
                Ok(work())
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A connection from here.
    ///
    /// # Errors
    /// If there is none after this time, or it is refused.
    pub fn connect(&self, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        self.inside(|| TcpStream::connect_timeout(&to, patience))
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    pub(crate) fn remove(&self) {
        leftovers::remove(&self.0.namespace);
    }

    fn path(&self) -> PathBuf {
        leftovers::folder().join(&self.0.namespace)
    }
}

pub(crate) fn run_ip(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("run ip")?;
    ensure_success(&format!("ip {}", arguments.join(" ")), &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ensure_success(what: &str, output: &Output) -> anyhow::Result<()> {
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what}: {}", words.trim());
    Ok(())
}
