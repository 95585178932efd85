//! `poll`: the result of an asynchronous invocation, now or when it comes.

use std::time::Duration;

use serverledge_client::{ClientError, Poll};
use tokio::time;

use super::invoke;
use super::session::Session;
use crate::arguments::PollArgs;
use crate::exit::Exit;
use crate::failure::{Failure, failed_to};
use crate::progress;

/// Waits between two questions: short at first, since most functions are, then longer, to spare the node.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(50);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Runs the command.
pub(super) async fn poll(session: &Session, args: &PollArgs) -> Result<(), Failure> {
    let id = args.id()?;
    let answer = if args.wait {
        let work = within(args.timeout, until_done(session, id));
        progress::during(&format!("waiting for {id}"), work)
            .await
            .unwrap_or(Ok(Poll::Pending))
    } else {
        progress::during(&format!("asking for {id}"), session.client.poll(id)).await
    };
    match answer.map_err(failed_to(format!("get the result of {id:?}")))? {
        Poll::Done(result) => invoke::show_result(session, &result),
        Poll::Pending => {
            let failure = Failure::new(
                Exit::Pending,
                format!("invocation {id:?} has not ended yet"),
            );
            Err(failure.hint("`--wait` waits for it"))
        }
        Poll::Unknown => {
            let node = session.client.endpoint();
            let failure = Failure::new(Exit::Request, format!("{node} knows no invocation {id:?}"));
            Err(failure.hint("results expire after a while; was it another node?"))
        }
    }
}

/// Does the work; `None` if it takes longer than this.
pub(super) async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

async fn until_done(session: &Session, id: &str) -> Result<Poll, ClientError> {
    let mut pause = PAUSE_MIN;
    loop {
        match session.client.poll(id).await? {
            Poll::Pending => time::sleep(pause).await,
            answer => return Ok(answer),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
