//! Tests of the fake executor.

use futures_util::FutureExt as _;

use super::*;
use crate::executor::{self, Fixtures};
use crate::fake_host::FakeHost;

fn fixtures() -> Fixtures {
    Fixtures {
        runtime: serverledge_core::Runtime::Wasm,
        handler: String::new(),
        echo: Behaviour::Echo.code(),
        fails: Behaviour::Fail {
            log: executor::FAILS_LOG.to_owned(),
            message: "it broke".to_owned(),
        }
        .code(),
        endless: Behaviour::Endless {
            log: executor::ENDLESS_LOG.to_owned(),
        }
        .code(),
        logs: Behaviour::Log {
            log: executor::LOGS_LOG.to_owned(),
        }
        .code(),
        large: Behaviour::Large {
            bytes: executor::LARGE_BYTES,
        }
        .code(),
        calls: Some(
            Behaviour::Call {
                function: executor::CALLEE.to_owned(),
            }
            .code(),
        ),
        pace: executor::Pace::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn conforms() {
    executor::conforms(&FakeExecutor::new().0, &fixtures()).await;
}

#[tokio::test(start_paused = true)]
async fn conforms_with_pooled_sandboxes() {
    let (executor, handle) = FakeExecutor::pooled();
    executor::conforms(
        &executor,
        &Fixtures {
            calls: None,
            ..fixtures()
        },
    )
    .await;
    assert_eq!(handle.counts().live, 0, "the suite leaves nothing behind");
    assert!(
        handle.counts().most_in_one > 1,
        "the suite shares sandboxes"
    );
}

fn version(code: u8) -> Arc<Version> {
    Arc::new(executor::version(
        &[code],
        serverledge_core::FunctionLimits::default(),
    ))
}

fn call() -> Call {
    executor::call_of("f", Payload::Json(Bytes::from_static(b"1")))
}

#[tokio::test(start_paused = true)]
async fn the_handle_holds_and_sees_drops() {
    let (fake, handle) = FakeExecutor::new();
    let (host, _) = FakeHost::new();
    fake.prepare(&version(1), Behaviour::Echo.code(), &())
        .await
        .unwrap();
    let sandbox = fake.start(&version(1)).await.unwrap().sandbox;
    handle.hold();
    {
        let mut dropped = Box::pin(sandbox.invoke(call(), host.clone()));
        assert!(dropped.as_mut().now_or_never().is_none());
        assert_eq!(handle.counts().running, 1);
    }
    assert_eq!((handle.counts().running, handle.counts().dropped), (0, 1));
    let mut held = Box::pin(sandbox.invoke(call(), host));
    assert!(held.as_mut().now_or_never().is_none());
    handle.release();
    held.await.unwrap();
    assert_eq!((handle.counts().ended, handle.calls().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn scripted_faults_come_once() {
    let (fake, handle) = FakeExecutor::new();
    handle.fail_prepare(PrepareError::TooComplex {
        message: "no".to_owned(),
    });
    handle.fail_start(StartError::Exhausted);
    assert!(
        fake.prepare(&version(1), Behaviour::Echo.code(), &())
            .await
            .is_err()
    );
    assert!(
        fake.prepare(&version(1), Behaviour::Echo.code(), &())
            .await
            .is_ok()
    );
    assert!(matches!(
        fake.start(&version(1)).await,
        Err(StartError::Exhausted)
    ));
    assert!(fake.start(&version(1)).await.is_ok());
    assert_eq!(handle.prepares().len(), 2);
    assert!(
        fake.prepare(&version(2), Bytes::from_static(b"?"), &())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn pooled_sandboxes_die_and_are_spoiled_as_told() {
    let (fake, handle) = FakeExecutor::pooled();
    fake.prepare(&version(1), Behaviour::Echo.code(), &())
        .await
        .unwrap();
    let start = || async { fake.start(&version(1)).await.unwrap().sandbox };
    let invoke = async |sandbox: &dyn Sandbox| sandbox.invoke(call(), FakeHost::new().0).await;
    let killed = start().await;
    let spoiled = start().await;
    handle.spoil();
    invoke(spoiled.as_ref()).await.unwrap();
    assert_eq!(
        (spoiled.reuse(), killed.reuse()),
        (Reuse::Once, Reuse::Pooled)
    );
    handle.kill();
    assert!(matches!(
        invoke(killed.as_ref()).await,
        Err(InvokeError::Gone)
    ));
    assert_eq!(killed.reuse(), Reuse::Once);
    let fresh = start().await;
    handle.fail_invoke(InvokeError::Gone);
    assert!(matches!(
        invoke(fresh.as_ref()).await,
        Err(InvokeError::Gone)
    ));
    assert_eq!((fresh.reuse(), handle.counts().live), (Reuse::Once, 3));
    fresh.stop().await.unwrap();
    fresh.stop().await.unwrap();
    assert_eq!(handle.counts().live, 2);
}

#[tokio::test(start_paused = true)]
async fn starts_are_held() {
    let (fake, handle) = FakeExecutor::pooled();
    fake.prepare(&version(1), Behaviour::Echo.code(), &())
        .await
        .unwrap();
    handle.hold_starts();
    let one = version(1);
    let mut start = Box::pin(fake.start(&one));
    assert!(start.as_mut().now_or_never().is_none());
    assert_eq!((handle.counts().starting, handle.counts().started), (1, 0));
    handle.release_starts();
    start.await.unwrap();
    assert_eq!((handle.counts().starting, handle.counts().started), (0, 1));
}
