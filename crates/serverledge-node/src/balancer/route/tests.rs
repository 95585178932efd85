//! Decisions over nodes that are made up, and over peers as a balancer knows them.

use std::collections::{BTreeMap, BTreeSet};

use serverledge_core::{
    Archs, CpuMilli, Digest, Flags, FunctionLimits, FunctionName, Interface, MemoryMib, Network,
    ProgramIo, Runtime, Secrets, SpaceId, Version,
};
use serverledge_wire::peer::PeerLoad;
use serverledge_wire::records::{NodeRecord, Record};

use super::*;

fn function(name: &str, runtime: Runtime, archs: &[&str]) -> Function {
    let limits = FunctionLimits {
        memory: MemoryMib::new(128),
        cpu: CpuMilli::new(500),
        ..FunctionLimits::default()
    };
    Function {
        space: SpaceId::default_space(),
        name: FunctionName::parse(name).unwrap(),
        version: Arc::new(Version {
            digest: Digest::new([1; 32]),
            runtime,
            code: Digest::new([1; 32]),
            handler: String::new(),
            env: BTreeMap::new(),
            secrets: Secrets::default(),
            network: Network::None,
            outbound: BTreeSet::new(),
            image: String::new(),
            io: ProgramIo::default(),
            limits,
        }),
        interface: Interface::Json,
        flags: Flags {
            archs: Archs::parse(archs.iter().copied()).unwrap(),
            ..Flags::default()
        },
        signature: None,
    }
}

fn record(arch: &str, runtimes: &[&str]) -> NodeRecord {
    NodeRecord {
        schema: NodeRecord::SCHEMA,
        epoch: "life".to_owned(),
        kind: NodeRecord::NODE.to_owned(),
        url: "http://127.0.0.1:1".to_owned(),
        arch: arch.to_owned(),
        version: String::new(),
        memory_mib: 1024,
        cpu_milli: 1000,
        runtimes: runtimes.iter().map(|&runtime| runtime.to_owned()).collect(),
        draining: false,
        started_unix_ms: 0,
    }
}

fn load(free_memory_mib: u64, free_cpu_milli: u64) -> PeerLoad {
    PeerLoad {
        epoch: "life".to_owned(),
        free_memory_mib,
        free_cpu_milli,
        ..PeerLoad::default()
    }
}

/// The candidate that such a node is for a call of a Python function for amd64: own area, room, warm.
fn found(
    area: &str,
    cloud: bool,
    record: &NodeRecord,
    load: Option<&PeerLoad>,
    warm: &[&str],
) -> Option<[bool; 3]> {
    let warm = warm.iter().map(|&name| (name.to_owned(), 1)).collect();
    let standing = PeerSnapshot {
        id: PeerId(1),
        name: "n",
        area,
        cloud,
        record,
        load,
        warm: &warm,
    };
    let found = candidate(
        &standing,
        &function("f", Runtime::Python, &["amd64"]),
        "EDGE",
    )?;
    Some([found.own, found.room, found.warm])
}

#[test]
fn only_nodes_that_can_run_a_call_are_candidates() {
    let fits = record("amd64", &["wasm", "python"]);
    let roomy = load(128, 500);
    assert_eq!(
        found("EDGE", false, &fits, Some(&roomy), &["f"]),
        Some([true, true, true])
    );
    assert_eq!(
        found("EDGE", false, &fits, Some(&load(127, 500)), &["g"]),
        Some([true, false, false])
    );
    assert_eq!(
        found("EDGE", false, &fits, Some(&load(128, 499)), &[]),
        Some([true, false, false])
    );
    assert_eq!(
        found("CLOUD", true, &fits, Some(&roomy), &[]),
        Some([false, true, false])
    );
    assert_eq!(
        found("OTHER", false, &fits, Some(&roomy), &[]),
        None,
        "neither of this area nor of the cloud"
    );
    assert_eq!(
        found("EDGE", false, &fits, None, &[]),
        None,
        "not heard of lately, or draining"
    );
    assert_eq!(
        found(
            "EDGE",
            false,
            &record("arm64", &["python"]),
            Some(&roomy),
            &[]
        ),
        None,
        "another architecture"
    );
    assert_eq!(
        found(
            "EDGE",
            false,
            &record("amd64", &["wasm"]),
            Some(&roomy),
            &[]
        ),
        None,
        "no executor for it"
    );
}

#[test]
fn who_declares_no_architecture_runs_on_all() {
    for (archs, arch, runs) in [
        (&[][..], "arm64", true),
        (&[], "riscv64", true),
        (&["arm64"], "arm64", true),
        (&["arm64"], "amd64", false),
        (&["amd64", "arm64"], "riscv64", false),
    ] {
        let record = record(arch, &["wasm"]);
        let warm = BTreeMap::new();
        let load = load(128, 500);
        let standing = PeerSnapshot {
            id: PeerId(1),
            name: "n",
            area: "EDGE",
            cloud: false,
            record: &record,
            load: Some(&load),
            warm: &warm,
        };
        let found = candidate(&standing, &function("f", Runtime::Wasm, archs), "EDGE");
        assert_eq!(found.is_some(), runs, "{archs:?} on {arch}");
    }
}

struct Field {
    ring: Ring,
    candidates: Vec<Candidate>,
    in_flight: [u32; 4],
}

impl Field {
    /// Four equal nodes with room, of the own area.
    fn new() -> Self {
        let mut ring = Ring::new(128);
        ring.set_members(&[
            (MemberId(0), 1, "EDGE/a"),
            (MemberId(1), 1, "EDGE/b"),
            (MemberId(2), 1, "EDGE/c"),
            (MemberId(3), 1, "EDGE/d"),
        ]);
        let one = |id| Candidate {
            id: PeerId(id),
            own: true,
            room: true,
            warm: false,
        };
        Self {
            ring,
            candidates: (0..4).map(one).collect(),
            in_flight: [0; 4],
        }
    }

    fn choose(&self, function: &str) -> Option<usize> {
        let load = |id: PeerId| self.in_flight[id.0 as usize];
        let position = position(&self::function(function, Runtime::Wasm, &[]));
        choose(&self.ring, position, &self.candidates, &load, 1.25).map(|id| id.0 as usize)
    }

    /// The nodes that calls of a function choose when all of the calls stay in progress.
    fn pile_up(&mut self, function: &str, calls: usize) -> Vec<usize> {
        let chosen = (0..calls).map(|_| {
            let at = self.choose(function).unwrap();
            self.in_flight[at] += 1;
            at
        });
        chosen.collect()
    }
}

#[test]
fn a_function_has_a_home_and_functions_are_spread() {
    let field = Field::new();
    let homes: Vec<_> = (0..40)
        .map(|n| field.choose(&format!("f{n}")).unwrap())
        .collect();
    assert_eq!(
        homes,
        (0..40)
            .map(|n| field.choose(&format!("f{n}")).unwrap())
            .collect::<Vec<_>>()
    );
    for node in 0..4 {
        let share = homes.iter().filter(|home| **home == node).count();
        assert!(
            (4..=20).contains(&share),
            "node {node} is home of {share} of 40 functions"
        );
    }
}

#[test]
fn calls_in_progress_spread_within_their_bound() {
    let mut field = Field::new();
    let home = field.choose("f").unwrap();
    let chosen = field.pile_up("f", 16);
    assert_eq!(chosen[0], home);
    // 1.25 times the average of four.
    assert_eq!(
        field.in_flight.iter().max(),
        Some(&5),
        "{:?}",
        field.in_flight
    );
    assert_eq!(field.in_flight[home], 5, "the home has the most");
}

#[test]
fn warm_nodes_go_first_within_their_bound() {
    let mut field = Field::new();
    let home = field.choose("f").unwrap();
    let warm = (home + 1) % 4;
    field.candidates[warm].warm = true;
    assert_eq!(field.choose("f"), Some(warm));
    field.in_flight[warm] = 1;
    assert_eq!(field.choose("f"), Some(home), "its bound is one call");
}

#[test]
fn room_goes_first_and_a_full_area_queues_at_home() {
    let mut field = Field::new();
    let home = field.choose("f").unwrap();
    field.candidates[home].room = false;
    assert!(field.choose("f").is_some_and(|other| other != home));
    field.candidates.iter_mut().for_each(|one| one.room = false);
    assert_eq!(field.choose("f"), Some(home));
}

#[test]
fn the_cloud_is_for_areas_without_a_node() {
    let one = |id, own| Candidate {
        id: PeerId(id),
        own,
        room: !own,
        warm: false,
    };
    for (nodes, kept) in [
        (&[true, false, true][..], &[0, 2][..]),
        (&[false, false], &[0, 1]),
        (&[], &[]),
    ] {
        let mut candidates: Vec<_> = nodes
            .iter()
            .zip(0..)
            .map(|(own, id)| one(id, *own))
            .collect();
        keep_nearest(&mut candidates);
        assert_eq!(
            candidates.iter().map(|one| one.id.0).collect::<Vec<_>>(),
            kept,
            "{nodes:?}"
        );
    }
}
