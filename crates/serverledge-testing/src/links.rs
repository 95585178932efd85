//! Sites with links between them, for tests of what a bad network does: a network namespace for each site, and an
//! emulator in the test's own process that carries packets from one to another with delay, jitter, loss and cuts. Real
//! TCP sees real loss. Nothing touches the machine's own network. Needs root, `ip` and `nsenter` (Debian: iproute2,
//! util-linux) and /dev/net/tun; where one is missing, [`Links::new`] fails and says which.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::Ipv4Addr;

use anyhow::{Context, ensure};

mod carrier;
mod leftovers;
mod line;
mod site;

pub use line::{Condition, Counts};
pub use site::Site;

use carrier::Carrier;

/// Sites of one emulator: they share a network of 24 bits, and every one may talk to every other.
const SITES_MAX: usize = 200;
/// 10.213.0.0, with 24 bits: inside the namespaces only, so that it is in nobody's way.
const NETWORK: u32 = 0x0ad5_0000;
/// Its bits.
const NETWORK_BITS: u8 = 24;
/// The seed of the losses if a test does not set one: the same packets in the same order meet the same fate in every
/// run.
const SEED: u64 = 0x5e17_ed6e;

/// Sites, and the links between all of them. Dropping it stops the links and removes the namespaces; programs that a test
/// has started inside are the test's to end.
#[derive(Debug)]
pub struct Links {
    sites: Sites,
    carrier: Carrier,
}

/// Removes its sites when dropped. Their devices go with the emulator.
#[derive(Debug)]
struct Sites(Vec<Site>);

// === impl Links ===

impl Links {
    /// Makes a site of each name (letters, digits and `_`), with perfect links between all of them. Removes what crashed
    /// runs have left behind.
    ///
    /// # Errors
    /// If the machine does not allow it: no root, a program or the tun device is missing. Nothing is left then.
    pub fn new(names: &[&str]) -> anyhow::Result<Self> {
        Self::seeded(names, SEED)
    }

    /// The same, with another beginning of what is lost and how packets jitter.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn seeded(names: &[&str], seed: u64) -> anyhow::Result<Self> {
        ensure!(
            (1..=SITES_MAX).contains(&names.len()),
            "{} sites are not 1 to {SITES_MAX}",
            names.len()
        );
        leftovers::sweep()?;
        let run = RandomState::new().build_hasher().finish();
        let mut sites = Sites(Vec::new());
        let mut devices = Vec::new();
        for (name, index) in names.iter().zip(1..) {
            let (site, device) = Site::make(name, run, Ipv4Addr::from(NETWORK + index))
                .with_context(|| {
                    format!("make the site {name} (needs root, iproute2, util-linux, /dev/net/tun)")
                })?;
            sites.0.push(site);
            devices.push(device);
        }
        Ok(Self {
            sites,
            carrier: Carrier::start(devices, seed)?,
        })
    }

    /// The site with this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn site(&self, name: &str) -> &Site {
        &self.sites.0[self.index(name)]
    }

    /// Sets the condition between two sites from now on, in both directions. When this returns, no packet passes any
    /// more that the condition cuts off, also none that was on its way.
    ///
    /// # Panics
    /// If there is no such site, or the loss is no probability.
    pub fn set(&self, a: &str, b: &str, condition: Condition) {
        self.set_one_way(a, b, condition);
        self.set_one_way(b, a, condition);
    }

    /// The same in one direction only.
    ///
    /// # Panics
    /// As [`Self::set`].
    pub fn set_one_way(&self, from: &str, to: &str, condition: Condition) {
        assert!(
            (0.0..=1.0).contains(&condition.loss),
            "{} is no probability",
            condition.loss
        );
        self.carrier
            .set(self.index(from), self.index(to), condition);
    }

    /// Cuts all links of a site, in both directions.
    ///
    /// # Panics
    /// If there is no such site.
    pub fn isolate(&self, name: &str) {
        for other in self
            .sites
            .0
            .iter()
            .map(Site::name)
            .filter(|other| *other != name)
        {
            self.set(name, other, Condition::CUT);
        }
    }

    /// Makes all links perfect again.
    pub fn heal(&self) {
        for from in 0..self.sites.0.len() {
            for to in 0..self.sites.0.len() {
                self.carrier.set(from, to, Condition::PERFECT);
            }
        }
    }

    /// The counts of all packets so far in one direction.
    ///
    /// # Panics
    /// If there is no such site.
    #[must_use]
    pub fn counts(&self, from: &str, to: &str) -> Counts {
        self.carrier.counts(self.index(from), self.index(to))
    }

    fn index(&self, name: &str) -> usize {
        let found = self.sites.0.iter().position(|site| site.name() == name);
        found.unwrap_or_else(|| panic!("there is no site {name}"))
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        for site in &self.0 {
            site.remove();
        }
    }
}
