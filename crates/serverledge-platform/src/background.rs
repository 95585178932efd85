//! Work that nobody waits for: mails, and what is looked up for them.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::AccountError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::errors::busy;
use crate::mail::{Mail, MailError};
use crate::platform::Platform;

/// Jobs that have been accepted and not finished.
const JOBS_MAX: usize = 256;
/// Jobs at once: connections to the mail server.
const RUNNING_MAX: usize = 4;
/// Pauses between the attempts to send one mail. After the last the link would soon be worth nothing.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
];
/// Time that a stopping node leaves to jobs that have been accepted.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// Jobs, bounded. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    tasks: TaskTracker,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            tasks: TaskTracker::new(),
            admitted: Arc::new(Semaphore::new(JOBS_MAX)),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            stop: CancellationToken::new(),
        }
    }
}

impl Jobs {
    /// Accepts a job, whose failure is logged.
    ///
    /// # Errors
    /// `TooMany` if there are too many already.
    pub(crate) fn begin(
        &self,
        what: &'static str,
        job: impl Future<Output = Result<(), AccountError>> + Send + 'static,
    ) -> Result<(), AccountError> {
        let admitted = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let running = Arc::clone(&self.running);
        let stop = self.stop.clone();
        drop(self.tasks.spawn(async move {
            let _admitted = admitted;
            let work = async {
                let Ok(_running) = running.acquire().await else {
                    return;
                };
                if let Err(error) = job.await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "failed to {what}");
                }
            };
            tokio::select! {
                () = stop.cancelled() => tracing::warn!("the node stops before it could {what}"),
                () = work => {}
            }
        }));
        Ok(())
    }

    /// Waits some seconds for what was accepted, and ends the rest.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        if tokio::time::timeout(FINISH_MAX, self.tasks.wait())
            .await
            .is_err()
        {
            self.stop.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Platform {
    /// Sends a mail, and tries again while the mail server is away.
    pub(crate) async fn send(&self, mail: Mail) -> Result<(), AccountError> {
        let mut pauses = PAUSES.iter();
        loop {
            let failed = match self.mailer.send(&mail).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let pause = pauses
                .next()
                .filter(|_| matches!(failed, MailError::Unavailable(_)));
            let Some(pause) = pause else {
                return Err(AccountError::Dependency {
                    what: "mail",
                    code: "mail_unavailable",
                    source: Box::new(failed),
                });
            };
            tracing::debug!(
                error = &failed as &dyn std::error::Error,
                "a mail was not sent; another attempt follows"
            );
            tokio::time::sleep(*pause).await;
        }
    }

    /// Tells somebody what has happened to their account. That it has happened does not depend on it.
    pub(crate) fn notify(&self, mail: Mail) {
        if !self.mailer.delivers() {
            return;
        }
        let platform = self.clone();
        let sent = self.jobs.begin("tell an owner of a change", async move {
            platform.send(mail).await
        });
        if sent.is_err() {
            tracing::warn!("too many mails wait; one that tells an owner of a change is left out");
        }
    }
}
