//! How many requests a client may make.

use std::time::Instant;

/// Requests that may come now.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            left: 2.0 * per_second,
            at: Instant::now(),
        }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = passed
            .mul_add(self.per_second, self.left)
            .min(2.0 * self.per_second);
        let passes = self.left >= 1.0;
        if passes {
            self.left -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_rate_allows_twice_a_seconds_requests_at_once() {
        let mut rate = Rate::new(10);
        let start = rate.at;
        assert_eq!((0..100).filter(|_| rate.take(start)).count(), 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rate.take(later)).count(), 5);
        let late = start + Duration::from_secs(100);
        assert_eq!((0..100).filter(|_| rate.take(late)).count(), 20);
    }
}
