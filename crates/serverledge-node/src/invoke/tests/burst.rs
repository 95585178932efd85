//! Bursts on one warm sandbox, under a paused clock: calls wait in line or start more, whichever is quicker.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::*;

const START: Duration = Duration::from_millis(600);

impl InvokeLab {
    /// A function with one warm sandbox, which has served a few calls; starts take [`START`] and runs so long.
    async fn warm(run: Duration) -> Self {
        let lab = Self::new();
        lab.deploy(
            "f",
            &Behaviour::Echo,
            json!({"MemoryMB": 32, "CPUDemand": 0.05}),
        )
        .await;
        tokio::time::pause();
        lab.fake.take_time(START, run);
        for _ in 0..4 {
            lab.invoke("f").await.unwrap();
        }
        assert_eq!(lab.fake.counts().started, 1);
        lab
    }

    /// The times of so many calls at once, the longest last.
    async fn burst(&self, calls: usize) -> Vec<Duration> {
        let begun = Instant::now();
        let call = || async {
            self.invoke("f").await.unwrap();
            begun.elapsed()
        };
        let mut times = join_all((0..calls).map(|_| call())).await;
        times.sort_unstable();
        times
    }

    /// Nobody waits, and nothing is leased or starting.
    async fn at_rest(&self) {
        self.fake
            .wait_for("the end of all", |counts| {
                counts.running == 0 && counts.starting == 0
            })
            .await;
        tokio::task::yield_now().await;
        let snapshot = self.node.base.resources.admissions.snapshot();
        assert_eq!(
            (
                snapshot.running,
                snapshot.waiting.total(),
                snapshot.unclaimed
            ),
            (0, 0, 0),
            "{snapshot:?}"
        );
        assert_eq!(
            (snapshot.pooled.starting, snapshot.pooled.busy),
            (0, 0),
            "{snapshot:?}"
        );
    }
}

#[tokio::test]
async fn short_calls_wait_in_line() {
    let run = Duration::from_millis(20);
    let lab = InvokeLab::warm(run).await;
    let times = lab.burst(8).await;
    assert!(times[7] <= 8 * run + Duration::from_millis(16), "{times:?}");
    lab.at_rest().await;
    assert_eq!(lab.fake.counts().started, 1, "no call is worth a start");
}

#[tokio::test]
async fn long_calls_start_more() {
    let run = Duration::from_secs(5);
    let lab = InvokeLab::warm(run).await;
    let times = lab.burst(8).await;
    assert!(times[7] <= run + 2 * START, "{times:?}");
    lab.at_rest().await;
    assert_eq!(lab.fake.counts().started, 8);
}

/// Calls that start a sandbox take the warm one where that is free before.
#[tokio::test]
async fn no_call_is_bound_to_its_start() {
    let lab = InvokeLab::warm(Duration::from_millis(100)).await;
    lab.fake.hold_starts();
    let times = lab.burst(12).await;
    assert!(
        times[11] <= Duration::from_millis(1_300),
        "the starts never end: {times:?}"
    );
    let begun = lab.fake.counts().starting;
    assert!(begun >= 1, "the line was longer than a start");
    lab.fake.release_starts();
    lab.at_rest().await;
    assert_eq!(
        lab.fake.counts().started,
        1 + begun,
        "what was started is the pool's"
    );
}

/// A call whose start fails goes on in line; one that has nothing else to wait for is told.
#[tokio::test]
async fn a_failed_start_is_told_to_whom_has_nothing_else() {
    let lab = InvokeLab::warm(Duration::from_secs(2)).await;
    let fault = || StartError::Unavailable {
        code: "docker_unavailable",
        what: "it",
        source: "x".into(),
    };
    lab.fake.fail_start(fault());
    let times = lab.burst(2).await;
    assert!(times[1] <= Duration::from_secs(5), "{times:?}");
    lab.at_rest().await;
    lab.deploy("g", &Behaviour::Echo, json!({})).await;
    lab.fake.fail_start(fault());
    let told = lab.invoke("g").await;
    assert!(
        matches!(
            told,
            Err(InvocationError::Dependency {
                code: "docker_unavailable",
                ..
            })
        ),
        "{told:?}"
    );
    lab.at_rest().await;
}

#[tokio::test]
async fn callers_that_leave_leave_nothing() {
    let lab = InvokeLab::warm(Duration::from_secs(5)).await;
    for leave_after in [1, 300, 700, 3_000] {
        let leave = tokio::time::sleep(Duration::from_millis(leave_after));
        tokio::select! {
            _ = lab.burst(8) => panic!("they take five seconds"),
            () = leave => {}
        }
        lab.at_rest().await;
    }
}

#[tokio::test]
async fn a_deletion_in_the_middle_of_a_burst_ends_every_sandbox() {
    let lab = InvokeLab::warm(Duration::from_secs(5)).await;
    let delete = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        lab.node
            .deployer
            .delete(&SpaceId::default_space(), "f")
            .await
            .unwrap();
    };
    let (times, ()) = tokio::join!(lab.burst(8), delete);
    assert_eq!(times.len(), 8);
    lab.at_rest().await;
    lab.fake
        .wait_for("the end of all sandboxes", |counts| {
            counts.live == lab.idle()
        })
        .await;
}

impl InvokeLab {
    fn idle(&self) -> usize {
        self.node.base.resources.admissions.snapshot().pooled.idle
    }
}
