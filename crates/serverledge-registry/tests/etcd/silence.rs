//! A network that drops everything: connections stay open, and nothing comes through.

use std::net::SocketAddr;

use serverledge_core::kv::Kv;
use serverledge_registry::{Etcd, EtcdFault, EtcdOptions};
use serverledge_testing::etcd_process::EtcdProcess;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{SHORT, options, put, store, values, write};

/// A way to etcd that can be cut without anybody being told. Dropping it ends its connections.
struct Way {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Way {
    async fn to(etcd: &EtcdProcess) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, target) = (listener.local_addr().unwrap(), etcd.address());
        let (cut, is_cut) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                relays.spawn(relay(from_client, to_server, is_cut.clone()));
                relays.spawn(relay(from_server, to_client, is_cut.clone()));
            }
        });
        Self {
            address,
            cut,
            _tasks: tasks,
        }
    }
}

async fn relay(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut is_cut: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        let open = is_cut.wait_for(|cut| !cut).await.is_ok();
        if !open || to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_cut_connection_is_noticed_and_another_way_taken() {
    let etcd = EtcdProcess::start().await;
    let way = Way::to(&etcd).await;
    let endpoints = vec![way.address.to_string(), etcd.address()];
    let kv = Etcd::new(EtcdOptions {
        endpoints,
        request_timeout: 2 * SHORT,
        ..options(&etcd)
    })
    .unwrap();
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "1").await;
    assert_eq!(values(&mut watch, 1).await, ["1"]);

    way.cut.send_replace(true);
    let error = kv.txn(put("k", "lost")).await.unwrap_err();
    assert!(
        EtcdFault::of(&error).is_some_and(EtcdFault::may_have_happened),
        "{error:?}"
    );
    assert_eq!(
        &kv.get(b"k").await.unwrap().unwrap().value[..],
        b"1",
        "the next request goes the other way"
    );
    write(&store(&etcd), "k", "2").await;
    assert_eq!(
        values(&mut watch, 1).await,
        ["2"],
        "the watch finds out by itself"
    );
}
