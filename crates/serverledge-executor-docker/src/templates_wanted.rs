//! The number of template containers to keep ready: more while starts come in quick succession.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The time for which a start counts. A function that grows starts again within seconds; a template that nobody needs
/// costs some megabytes until then.
pub(crate) const COUNTED_FOR: Duration = Duration::from_secs(30);

/// The starts of the recent past, and the bounds on what they may lead to.
#[derive(Debug)]
pub(crate) struct TemplatesWanted {
    usual: usize,
    most: usize,
    starts: VecDeque<Instant>,
}

impl TemplatesWanted {
    /// `usual` without starts, and never more than `most`; none at all if the former is zero.
    pub(crate) fn new(usual: usize, most: usize) -> Self {
        Self {
            usual,
            most: if usual == 0 { 0 } else { most.max(usual) },
            starts: VecDeque::new(),
        }
    }

    /// A start asked for a template.
    pub(crate) fn start(&mut self, now: Instant) {
        self.starts.push_back(now);
        while self.starts.len() > self.most {
            self.starts.pop_front();
        }
    }

    /// As many as were asked for in the recent past, within the bounds.
    pub(crate) fn number(&mut self, now: Instant) -> usize {
        while self
            .starts
            .front()
            .is_some_and(|start| now.saturating_duration_since(*start) >= COUNTED_FOR)
        {
            self.starts.pop_front();
        }
        self.starts.len().clamp(self.usual, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rises_with_starts_and_falls_back() {
        let mut wanted = TemplatesWanted::new(2, 6);
        let numbers: Vec<usize> = (0..8)
            .map(|_| {
                wanted.start(Instant::now());
                wanted.number(Instant::now())
            })
            .collect();
        assert_eq!(numbers, [2, 2, 3, 4, 5, 6, 6, 6]);
        tokio::time::advance(COUNTED_FOR / 2).await;
        wanted.start(Instant::now());
        tokio::time::advance(COUNTED_FOR / 2).await;
        assert_eq!(wanted.number(Instant::now()), 2, "only the last counts");
        tokio::time::advance(COUNTED_FOR).await;
        assert_eq!(wanted.number(Instant::now()), 2);
    }

    #[test]
    fn bounds_hold() {
        let now = Instant::now();
        let mut none = TemplatesWanted::new(0, 8);
        let mut low = TemplatesWanted::new(3, 1);
        (0..9).for_each(|_| none.start(now));
        (0..9).for_each(|_| low.start(now));
        assert_eq!((none.number(now), low.number(now)), (0, 3));
    }
}
