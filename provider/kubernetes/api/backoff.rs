//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt as _;

use crate::entropy::draw;

/// Delays that double, with jitter, so that many callers don't come back at once. Endless.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    const FIRST_DELAY: Duration = Duration::from_millis(100);
    const MAX_DELAY: Duration = Duration::from_secs(5);
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let full = Self::FIRST_DELAY.saturating_mul(1 << self.attempts.min(10)).min(Self::MAX_DELAY);
        self.attempts += 1;
        Some(full.mul_f64(draw(|rng| rng.random_range(0.5..=1.0))))
    }
}

impl kube::runtime::utils::Backoff for Backoff {
    fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_longest() {
        let delays: Vec<_> = Backoff::default().take(20).collect();
        assert!(delays[0] <= Backoff::FIRST_DELAY && delays[0] >= Backoff::FIRST_DELAY / 2);
        assert!(delays[19] <= Backoff::MAX_DELAY && delays[19] >= Backoff::MAX_DELAY / 2);
    }
}
