//! Futures whose task has little of its budget left.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::coop;

/// Units of a whole budget, which a task has each time that it is polled (tokio 1.54, `task::coop`).
const WHOLE: usize = 128;

/// A future that is left so many units of its task's budget at each poll, one at least. With few of them a channel or a
/// socket is not ready where what it carries is there.
#[derive(Debug)]
pub struct Budgeted<F> {
    units: usize,
    work: Pin<Box<F>>,
}

impl<F> Budgeted<F> {
    /// `work`, polled with so many units.
    pub fn new(units: usize, work: F) -> Self {
        let units = units.max(1);
        Self {
            units,
            work: Box::pin(work),
        }
    }
}

impl<F: Future> Future for Budgeted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        for _ in self.units..WHOLE {
            let _ = std::pin::pin!(coop::consume_budget()).poll(cx);
        }
        self.work.as_mut().poll(cx)
    }
}
