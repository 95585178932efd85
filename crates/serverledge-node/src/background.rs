//! Tasks that belong to no request.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks that belong to no request: they end with the node. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Runs a task until it ends or the node stops, whichever comes first.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(
            self.tasks
                .spawn(self.stop.clone().run_until_cancelled_owned(task)),
        );
    }

    /// Ends all tasks and waits for that.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
