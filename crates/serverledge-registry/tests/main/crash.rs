//! Killed in mid-write, the store keeps everything that it acknowledged, and opens again at once.

#![expect(
    clippy::print_stdout,
    reason = "the parent reads what the child prints"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serverledge_core::kv::{Compare, Kv, Op, RangeRequest, Revision, Txn};
use serverledge_registry::{Embedded, Options};
use tokio::time::Instant;

/// Set for the child only: where the store lies.
const DIR: &str = "SERVERLEDGE_TEST_CRASH_DIR";
const ROUNDS: usize = 20;
const WRITERS: usize = 4;

/// Runs as a child of the test below; by itself it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let store = Arc::new(Embedded::open(Path::new(&dir), &Options::default()).unwrap());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| write_for_ever(store.clone(), writer))
        .collect();
    let mut all = tokio::task::JoinSet::new();
    for writer in writers {
        all.spawn(writer);
    }
    all.join_all().await;
}

/// Appends `<writer>/<n>` and a counter in one transaction, and prints what was acknowledged.
async fn write_for_ever(store: Arc<Embedded>, writer: usize) {
    let mut next = count(&store, writer).await;
    loop {
        let counter = format!("count/{writer}");
        let txn = Txn::new()
            .when(Compare::missing(format!("{writer}/{next:06}")))
            .then(Op::put(
                format!("{writer}/{next:06}"),
                vec![b'x'; next % 3000],
            ))
            .then(Op::put(counter, (next + 1).to_string()));
        let reply = store.txn(txn).await.unwrap();
        assert!(reply.succeeded);
        println!("ack {writer} {next} {}", reply.revision);
        next += 1;
    }
}

async fn count(store: &Embedded, writer: usize) -> usize {
    let entry = store
        .get(format!("count/{writer}").as_bytes())
        .await
        .unwrap();
    entry.map_or(0, |entry| {
        std::str::from_utf8(&entry.value).unwrap().parse().unwrap()
    })
}

/// Starts a child, kills it after so many acknowledgements, and returns all that it printed: writer, number, revision.
fn killed_after(dir: &Path, acknowledgements: usize) -> Vec<[u64; 3]> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while let Some(line) = lines.next().transpose().unwrap() {
        let words: Vec<_> = line.split(' ').collect();
        if let ["ack", numbers @ ..] = words.as_slice() {
            let numbers: Vec<u64> = numbers
                .iter()
                .map(|number| number.parse().unwrap())
                .collect();
            acknowledged.push(numbers.try_into().unwrap());
        }
        if acknowledged.len() == acknowledgements {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[tokio::test]
async fn acknowledged_writes_survive_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut slowest = std::time::Duration::ZERO;
    for round in 0..ROUNDS {
        let acknowledged = killed_after(dir.path(), 1 + round * 13);
        assert!(acknowledged.len() > round * 13, "the child ended by itself");
        let begun = Instant::now();
        let store = Embedded::open(dir.path(), &Options::default()).unwrap();
        slowest = slowest.max(begun.elapsed());
        check(&store, &acknowledged).await;
    }
    println!("slowest opening after a kill: {slowest:?}");
}

async fn check(store: &Embedded, acknowledged: &[[u64; 3]]) {
    let newest = store.status().await.unwrap().revision;
    for [writer, number, revision] in acknowledged {
        let key = format!("{writer}/{number:06}");
        let entry = store
            .get(key.as_bytes())
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("{key} is lost"));
        assert_eq!(entry.mod_revision, Revision::new(*revision));
        assert_eq!(entry.value.len() as u64, number % 3000);
        assert!(entry.mod_revision <= newest);
    }
    for writer in 0..WRITERS {
        let request = RangeRequest::prefix(format!("{writer}/")).keys_only();
        let mut keys = Vec::new();
        let mut page = store.range(request.clone()).await.unwrap();
        while page.more {
            let rest = request.span.after(&page.entries.last().unwrap().key);
            keys.append(&mut page.entries);
            page = store
                .range(RangeRequest::new(rest).keys_only())
                .await
                .unwrap();
        }
        keys.append(&mut page.entries);
        assert_eq!(
            keys.len(),
            count(store, writer).await,
            "a transaction was torn"
        );
    }
}
