//! A real etcd and real nodes, on loopback or each in a site of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::etcd_process::{EtcdProcess, EtcdSettings};
use serverledge_testing::links::Links;
use tokio::runtime::Runtime;

use super::relay::Relay;
use super::turn::Turn;
use crate::e2e::http::Dial;
use crate::e2e::node::Ended;
use crate::e2e::wait::PATIENCE;
use crate::e2e::{Connection, Node, Request, Response, Setup, wait_for};

/// The area of nodes at the edge.
pub(crate) const EDGE: &str = "edge";
/// The area that they use as their cloud.
pub(crate) const CLOUD: &str = "cloud";
/// The site where etcd is reached.
pub(crate) const ETCD: &str = "etcd";
/// Memory of a function that declares none, in MiB.
const FUNCTION_MIB: u64 = 128;
/// The name of the call with which nodes are seen to be ready.
const READY: &str = "ready";
const KEY: &str = "a key that only the nodes of this test know";

/// A cluster. Everything ends with it.
#[derive(Debug)]
pub(crate) struct Cluster {
    members: BTreeMap<String, Member>,
    url: String,
    relay: Option<Relay>,
    pub(crate) etcd: EtcdProcess,
    links: Option<Arc<Links>>,
    runtime: Runtime,
    _turn: Turn,
}

/// A node of the cluster, in one of its states.
#[derive(Debug)]
enum Member {
    Running(Box<Node>),
    Ended(Box<Ended>),
}

/// The way to send requests to a node; it outlives the node.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) node: String,
    address: SocketAddr,
    dial: Dial,
}

// === impl Cluster ===

impl Cluster {
    /// An etcd, and no nodes yet, all on loopback.
    pub(crate) fn on_loopback() -> Result<Self> {
        Self::with_etcd(EtcdSettings::default())
    }

    pub(crate) fn with_etcd(settings: EtcdSettings) -> Result<Self> {
        let turn = Turn::take();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let etcd = runtime.block_on(EtcdProcess::start_with(settings));
        let url = format!("etcd://{}/cluster/", etcd.address());
        Ok(Self {
            members: BTreeMap::new(),
            url,
            relay: None,
            etcd,
            links: None,
            runtime,
            _turn: turn,
        })
    }

    /// Sites with perfect links for these nodes, which join with [`Self::join`], and one more for etcd.
    pub(crate) fn on_links(nodes: &[&str]) -> Result<Self> {
        let mut cluster = Self::on_loopback()?;
        let links = Links::new(&[nodes, &[ETCD]].concat())?;
        let site = links.site(ETCD);
        let listener = site.inside(|| TcpListener::bind((site.address(), 0)))??;
        let relay = Relay::start(listener, dial_from(&links, ETCD))?;
        relay.lead_to(cluster.etcd.address().parse()?);
        cluster.url = format!("etcd://{}/cluster/", relay.address);
        cluster.relay = Some(relay);
        cluster.links = Some(Arc::new(links));
        Ok(cluster)
    }

    pub(crate) fn links(&self) -> &Links {
        self.links.as_ref().expect("the cluster has links")
    }

    /// Starts a node with room for so many invocations.
    pub(crate) fn join(
        &mut self,
        name: &str,
        area: &str,
        slots: u64,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Result<()> {
        let setup = self
            .setup(name, area)?
            .with("container.enabled", false)
            .with("container.pool.cpus", slots)
            .with("container.pool.memory", slots * FUNCTION_MIB);
        let setup = match &self.links {
            Some(links) => within(setup, links, name),
            None => setup,
        };
        self.run(name, change(setup))
    }

    fn setup(&self, name: &str, area: &str) -> Result<Setup> {
        Ok(Setup::new()?
            .with("registry.url", &self.url)
            .with("registry.area", area)
            .with("registry.node.id", name)
            .with(
                "registry.remote.area",
                if area == CLOUD { "" } else { CLOUD },
            )
            .with("registry.nearby.interval", "200ms")
            .with("registry.monitoring.interval", "1s")
            // Longer than a slow machine lets a node wait for its turn.
            .with("registry.ttl", "10s")
            .with("cluster.key", KEY))
    }

    /// Starts a load balancer on loopback for the nodes of an area, and waits until it knows so many of all nodes to live.
    pub(crate) fn balance(&self, area: &str, nodes: usize) -> Result<Node> {
        let balancer = self.start_balancer(area, |setup| setup)?;
        wait_for("a load balancer that knows its nodes", || {
            let known = peers(&balancer)?;
            Ok((known
                .values()
                .filter(|peer| peer["offloadable"] == true)
                .count()
                == nodes)
                .then_some(()))
        })?;
        Ok(balancer)
    }

    /// Starts a load balancer on loopback.
    pub(crate) fn start_balancer(
        &self,
        area: &str,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Result<Node> {
        change(self.setup("balancer", area)?)
            .under_shell("exec \"$0\" lb")
            .start()
    }

    fn run(&mut self, name: &str, setup: Setup) -> Result<()> {
        let node = setup
            .start()
            .with_context(|| format!("failed to start {name}"))?;
        self.members
            .insert(name.to_owned(), Member::Running(Box::new(node)));
        Ok(())
    }

    /// A node that runs.
    pub(crate) fn node(&self, name: &str) -> &Node {
        match &self.members[name] {
            Member::Running(node) => node,
            Member::Ended(_) => panic!("{name} does not run"),
        }
    }

    fn running(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.members
            .iter()
            .filter_map(|(name, member)| match member {
                Member::Running(node) => Some((name.as_str(), &**node)),
                Member::Ended(_) => None,
            })
    }

    pub(crate) fn door(&self, name: &str) -> Door {
        let node = self.node(name);
        Door {
            node: name.to_owned(),
            address: node.address,
            dial: node.dial.clone(),
        }
    }

    /// Of all nodes that run.
    pub(crate) fn doors(&self) -> Vec<Door> {
        self.running().map(|(name, _)| self.door(name)).collect()
    }

    fn take(&mut self, name: &str) -> Result<Node> {
        match self.members.remove(name) {
            Some(Member::Running(node)) => Ok(*node),
            _ => anyhow::bail!("{name} does not run"),
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, name: &str) -> Result<()> {
        let ended = self.take(name)?.kill()?;
        self.members
            .insert(name.to_owned(), Member::Ended(Box::new(ended)));
        Ok(())
    }

    /// SIGTERM; it must end well.
    pub(crate) fn stop(&mut self, name: &str) -> Result<()> {
        let ended = self.take(name)?.stop()?;
        self.members
            .insert(name.to_owned(), Member::Ended(Box::new(ended)));
        Ok(())
    }

    /// The node again, on the same data, with changes.
    pub(crate) fn restart(
        &mut self,
        name: &str,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Result<()> {
        let Some(Member::Ended(ended)) = self.members.remove(name) else {
            anyhow::bail!("{name} has not ended")
        };
        self.run(name, change(ended.into_setup()))
    }

    /// SIGSTOP: its connections stay, nothing answers.
    pub(crate) fn freeze(&self, name: &str) -> Result<()> {
        self.node(name).signal("STOP")
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self, name: &str) -> Result<()> {
        self.node(name).signal("CONT")
    }

    /// Does something with etcd.
    pub(crate) fn etcd<T>(&mut self, work: impl AsyncFnOnce(&mut EtcdProcess) -> T) -> T {
        self.runtime.block_on(work(&mut self.etcd))
    }

    /// Waits until every node that runs knows exactly the others, and how far they are.
    pub(crate) fn wait_until_acquainted(&self) -> Result<()> {
        let all: BTreeSet<&str> = self.running().map(|(name, _)| name).collect();
        for (name, node) in self.running() {
            wait_for(&format!("{name} to know the others"), || {
                let peers = peers(node)?;
                let met = |name: &&&str| {
                    peers
                        .get(**name)
                        .is_some_and(|peer| peer["round_trip_ms"].is_number())
                };
                Ok(
                    (peers.len() == all.len() - 1 && all.iter().filter(met).count() == peers.len())
                        .then_some(()),
                )
            })?;
        }
        Ok(())
    }

    /// Deploys the function of [`super::guest::effect`] through one node, and waits until all that run can run it: each has
    /// run the call [`READY`] then, except where its policy keeps nothing at home.
    pub(crate) fn deploy(&self, function: &str, module: &str) -> Result<()> {
        self.deploy_with(function, module, &json!({}))
    }

    /// The same with further members of the request, and for any function that takes such parameters.
    pub(crate) fn deploy_with(
        &self,
        function: &str,
        module: impl AsRef<[u8]>,
        more: &Value,
    ) -> Result<()> {
        let (_, first) = self.running().next().context("no node runs")?;
        first.deploy_with(function, module, more)?;
        let body = json!({ "Params": {"name": READY}, "CanDoOffloading": false });
        for (name, node) in self.running() {
            wait_for(&format!("{function} on {name}"), || {
                let response = node.post(&format!("/invoke/{function}"), &body)?;
                match response.code().as_str() {
                    "" if response.status == 200 => Ok(Some(())),
                    // It knows the function, and would not run it at home.
                    "no_peer" | "exceeds_node" => Ok(Some(())),
                    "function_unknown" | "function_not_prepared" => Ok(None),
                    _ => anyhow::bail!("{function} on {name}: {}", response.text()),
                }
            })?;
        }
        self.wait_until_free()
    }

    /// Waits until nothing runs anywhere, and every node has heard that.
    pub(crate) fn wait_until_free(&self) -> Result<()> {
        self.running()
            .try_for_each(|(_, node)| node.wait_until_free())?;
        for (name, node) in self.running() {
            wait_for(&format!("{name} to hear that the others are free"), || {
                for (peer, seen) in peers(node)? {
                    // One that has ended is known for a while.
                    let Some(Member::Running(peer)) = self.members.get(&peer) else {
                        return Ok(None);
                    };
                    if seen["free_memory_mib"] != peer.status()?["TotalMemory"] {
                        return Ok(None);
                    }
                }
                Ok(Some(()))
            })?;
        }
        Ok(())
    }

    /// The lines of a function's log on all nodes that run, in no order.
    pub(crate) fn log(&self, function: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (_, node) in self.running() {
            let request = Request::get(&format!("/functions/{function}/logs?tail=10000"));
            let response = node.ask(&request.header("accept", "application/x-ndjson"))?;
            ensure!(
                response.status == 200,
                "{}: {}",
                response.status,
                response.text()
            );
            for line in response.text().lines() {
                let line: Value = serde_json::from_str(line)?;
                lines.push(
                    line["Text"]
                        .as_str()
                        .context("a line has a text")?
                        .to_owned(),
                );
            }
        }
        Ok(lines)
    }
}

/// The peers that a node lists, by name.
pub(crate) fn peers(node: &Node) -> Result<BTreeMap<String, Value>> {
    let response = node.get("/peers")?;
    ensure!(
        response.status == 200,
        "{}: {}",
        response.status,
        response.text()
    );
    let peers: Vec<Value> = serde_json::from_slice(&response.body)?;
    Ok(peers
        .into_iter()
        .filter_map(|peer| Some((peer["node"].as_str()?.to_owned(), peer)))
        .collect())
}

/// A node in its site. It is asked from its own site, so that no link stands between it and the test.
fn within(setup: Setup, links: &Arc<Links>, name: &str) -> Setup {
    let site = links.site(name);
    let address: Ipv4Addr = site.address();
    let mut setup = setup
        .under_shell(format!("exec {} \"$0\"", site.prefix().join(" ")))
        .with("api.ip", address)
        .with("api.allow_insecure", true)
        .with("cluster.allow_plain", true);
    setup.dial = dial_from(links, name);
    setup
}

fn dial_from(links: &Links, name: &str) -> Dial {
    let site = links.site(name).clone();
    Dial(Some(Arc::new(move |address| {
        site.connect(address, PATIENCE)
    })))
}

// === impl Door ===

impl Door {
    pub(crate) fn ask(&self, request: &Request) -> Result<Response> {
        self.dial.ask(self.address, request)
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open_by(&self.dial, self.address)
    }

    pub(crate) fn get(&self, target: &str) -> Result<Response> {
        self.ask(&Request::get(target))
    }
}
