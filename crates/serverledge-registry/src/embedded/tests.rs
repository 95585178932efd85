//! Tests that need access to the inside: disks that are full or fail, quotas, history that is cut by itself.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redb::StorageBackend;
use serverledge_core::kv::{Compare, Event, Op, WatchError};

use super::*;

/// Memory that behaves like a sparse file on a disk with a limit.
#[derive(Debug, Clone, Default)]
struct Disk {
    memory: Memory,
    /// The end of what was written.
    written: Arc<AtomicU64>,
    limit: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is broken")),
            false => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        if end
            > self
                .written
                .load(Ordering::SeqCst)
                .max(self.limit.load(Ordering::SeqCst))
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.fetch_max(end, Ordering::SeqCst);
        self.memory.write(offset, data)
    }
}

impl Storage for Disk {
    fn open(&self) -> Result<Database, redb::Error> {
        let fresh = self.len()? == 0;
        let database = storage::builder(64 * 1024).create_with_backend(self.clone())?;
        if fresh {
            storage::initialize(&database)?;
        }
        Ok(database)
    }

    fn room_bytes(&self) -> Option<u64> {
        None
    }
}

fn disk() -> (Disk, Embedded) {
    let disk = Disk::default();
    disk.limit.store(u64::MAX, Ordering::SeqCst);
    let store = Embedded::on(
        Box::new(disk.clone()),
        Path::new("disk"),
        &Options::default(),
    )
    .unwrap();
    (disk, store)
}

fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Txn {
    Txn::new().then(Op::put(key, value))
}

#[tokio::test]
async fn a_full_disk_refuses_puts_and_serves_reads() {
    let (disk, store) = disk();
    store.txn(put("k", "1")).await.unwrap();
    let mut watch = store.watch(b"k", None).await.unwrap();
    disk.limit.store(0, Ordering::SeqCst);
    let mut refused = 0;
    for i in 0..40 {
        match store.txn(put(format!("large/{i}"), vec![0; 100_000])).await {
            Ok(_) => {}
            Err(KvError::RegistryFull) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(store.get(b"k").await.unwrap().unwrap().value, "1");
    }
    assert!(refused > 10, "{refused}");
    disk.limit.store(u64::MAX, Ordering::SeqCst);
    let revision = store.txn(put("k", "2")).await.unwrap().revision;
    let events = watch.next().await.unwrap();
    assert_eq!(
        events.iter().map(Event::revision).collect::<Vec<_>>(),
        [revision]
    );
}

#[tokio::test]
async fn after_a_fault_the_store_goes_on() {
    let (disk, store) = disk();
    store.txn(put("k", "1")).await.unwrap();
    disk.broken.store(true, Ordering::SeqCst);
    assert!(matches!(
        store.txn(put("k", "2")).await,
        Err(KvError::Unavailable { .. })
    ));
    assert!(matches!(
        store.txn(put("k", "2")).await,
        Err(KvError::Unavailable { .. })
    ));
    disk.broken.store(false, Ordering::SeqCst);
    store.txn(put("k", "3")).await.unwrap();
    assert_eq!(store.get(b"k").await.unwrap().unwrap().value, "3");
}

#[tokio::test]
async fn the_quota_holds_and_deleting_makes_room() {
    let options = Options {
        bytes_max: 1_000_000,
        ..Options::default()
    };
    let store = Embedded::in_memory(&options).unwrap();
    let mut written = 0;
    while store
        .txn(put(format!("k/{written:02}"), vec![0; 50_000]))
        .await
        .is_ok()
    {
        written += 1;
    }
    assert_eq!(written, 19);
    let status = store.status().await.unwrap();
    assert!(
        status.bytes_used <= 1_000_000 && status.bytes_used > 900_000,
        "{status:?}"
    );
    store
        .txn(Txn::new().then(Op::delete_prefix("k/0")))
        .await
        .unwrap();
    // The first turns after the deletion compact and sweep; then there is room.
    while matches!(
        store.txn(put("new", vec![0; 50_000])).await,
        Err(KvError::RegistryFull)
    ) {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        store
            .range(RangeRequest::prefix("k/").keys_only())
            .await
            .unwrap()
            .entries
            .len(),
        9
    );
}

#[tokio::test]
async fn a_full_store_takes_what_leaves_no_more_than_it_found() {
    let options = Options {
        bytes_max: 1_000_000,
        ..Options::default()
    };
    let store = Embedded::in_memory(&options).unwrap();
    store.txn(put("large", vec![0; 20_000])).await.unwrap();
    for key in ["a", "b", "many/1", "many/2"] {
        store.txn(put(key, vec![0; 100])).await.unwrap();
    }
    let mut written = 0;
    for bytes in [100_000, 1_000, 0] {
        while store
            .txn(put(format!("f{written}"), vec![0; bytes]))
            .await
            .is_ok()
        {
            written += 1;
        }
    }
    // The history of what follows is too short to be forgotten.
    let refused = async |txn: Txn| {
        let refused = store.txn(txn).await;
        assert!(matches!(refused, Err(KvError::RegistryFull)), "{refused:?}");
    };
    refused(put("a", vec![0; 101])).await;
    refused(put("newer", "")).await;
    refused(put("large", vec![0; 20_000])).await;
    refused(put("new", vec![0; 100]).then(Op::delete("a"))).await;
    // Twice the same key makes room once.
    let twice = Txn::new()
        .then(Op::delete("many/1"))
        .then(Op::delete_prefix("many/1"));
    refused(twice.then(Op::put("new", vec![0; 200]))).await;
    store.txn(put("a", vec![1; 100])).await.unwrap();
    store.txn(put("a", vec![2; 99])).await.unwrap();
    let exchange = Txn::new().then(Op::delete_prefix("many/"));
    store
        .txn(exchange.then(Op::put("new", vec![0; 200])))
        .await
        .unwrap();
    let deletion = Txn::new().then(Op::delete("b"));
    store
        .txn(deletion.then(Op::put("a", vec![3; 150])))
        .await
        .unwrap();
    refused(put("newer", "")).await;
    let found = store.get(b"a").await.unwrap().unwrap();
    assert_eq!(found.value, vec![3; 150]);
}

#[tokio::test]
async fn history_is_cut_by_itself() {
    let options = Options {
        history_revisions: 10,
        ..Options::default()
    };
    let store = Embedded::in_memory(&options).unwrap();
    let mut late = store.watch(b"", Some(Revision::new(2))).await.unwrap();
    for i in 0..100 {
        store.txn(put("k", i.to_string())).await.unwrap();
    }
    assert!(matches!(late.next().await, Err(WatchError::Compacted(at)) if at > Revision::new(80)));
    let now = store.status().await.unwrap().revision;
    let recent = RangeRequest::prefix("k").at(Revision::new(now.get() - 9));
    assert_eq!(store.range(recent).await.unwrap().entries[0].value, "90");
    store.compact(now).await.unwrap();
    // One more turn sweeps what is left.
    while store.status().await.unwrap().bytes_used > 200 {
        store.txn(Txn::new().then(Op::get("k"))).await.unwrap();
    }
}

#[tokio::test]
async fn bytes_of_history_are_bounded() {
    let options = Options {
        history_bytes_max: 1_000_000,
        ..Options::default()
    };
    let store = Embedded::in_memory(&options).unwrap();
    for _ in 0..200 {
        store.txn(put("k", vec![0; 50_000])).await.unwrap();
    }
    assert!(store.status().await.unwrap().bytes_used < 1_300_000);
}

#[tokio::test]
async fn leases_get_their_full_time_after_reopening() {
    const TTL: Duration = Duration::from_secs(10);
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default();
    let store = Embedded::open(dir.path(), &options).unwrap();
    let lease = store.lease_grant(TTL).await.unwrap();
    let txn = Txn::new()
        .then(Op::put_leased("k", "leased", lease.id))
        .then(Op::put("other", "x"));
    store.txn(txn).await.unwrap();
    drop(store);
    let reopened = tokio::time::Instant::now();
    let store = Embedded::open(dir.path(), &options).unwrap();
    assert_eq!(store.lease_keep_alive(lease.id).await.unwrap(), lease.ttl);
    let mut watch = store.watch(b"k", None).await.unwrap();
    let events = tokio::time::timeout(Duration::from_secs(60), watch.next())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(events.as_slice(), [Event::Delete { .. }]));
    assert!(reopened.elapsed() >= TTL);
    let next = store.lease_grant(TTL).await.unwrap();
    assert_ne!(next.id, lease.id, "numbers are not used again");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Options::default()).unwrap();
    let mut watch = store.watch(b"", None).await.unwrap();
    let error = Embedded::open(dir.path(), &Options::default()).unwrap_err();
    assert!(
        matches!(&error, OpenError::InUse(path) if path.ends_with("registry.redb")),
        "{error}"
    );
    let (ended, ()) = tokio::join!(watch.next(), async {
        tokio::task::yield_now().await;
        store.close();
    });
    assert!(matches!(ended, Err(WatchError::Unavailable { .. })));
    store.close();
    assert!(matches!(
        store.get(b"k").await,
        Err(KvError::Unavailable { .. })
    ));
    assert!(matches!(
        store.txn(put("k", "1")).await,
        Err(KvError::Unavailable { .. })
    ));
    Embedded::open(dir.path(), &Options::default()).unwrap();
}

#[tokio::test]
async fn the_file_is_private_and_damage_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    drop(Embedded::open(&dir, &Options::default()).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&dir), mode(&RegistryFile::path(&dir))),
        (0o700, 0o600)
    );
    assert_eq!(
        std::fs::read_dir(&dir).unwrap().count(),
        1,
        "no draft is left"
    );
    std::fs::write(
        RegistryFile::path(&dir),
        "this is no database, but long enough to look at",
    )
    .unwrap();
    let error = Embedded::open(&dir, &Options::default()).unwrap_err();
    assert!(
        matches!(&error, OpenError::File { path, .. } if path.ends_with("registry.redb")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_write_does_no_harm() {
    let store = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
    for i in 0..200_u64 {
        let txn = store.txn(put("k", i.to_string()));
        let _maybe = tokio::time::timeout(Duration::from_micros(i % 7), txn).await;
    }
    // It waits in the queue behind all that was dropped.
    let entry = store
        .txn(Txn::new().when(Compare::exists("k")).then(Op::get("k")))
        .await
        .unwrap();
    assert!(entry.succeeded);
    assert_eq!(
        store.places.available_permits(),
        QUEUE_MAX,
        "all places are given back once the queue is empty"
    );
}
