//! XEP-0502: how much is said in a room: messages of the last 24 whole hours, counted by the hour.

use std::collections::VecDeque;

const HOUR_MS: u64 = 60 * 60 * 1000;
/// Hours that are counted, the one that has begun besides.
const HOURS: usize = 24;

/// The counters, the hour that has begun last.
#[derive(Default)]
pub struct Activity {
    hour: u64,
    counters: VecDeque<u32>,
}

impl Activity {
    /// Counts a message.
    pub fn count(&mut self, wall_ms: u64) {
        self.go_on(wall_ms);
        if let Some(now) = self.counters.back_mut() {
            *now = now.saturating_add(1);
        }
    }

    /// Messages an hour; `None` until a whole hour was seen.
    pub fn rate(&mut self, wall_ms: u64) -> Option<f64> {
        self.go_on(wall_ms);
        let whole = self.counters.len().checked_sub(1).filter(|n| *n > 0)?;
        let sum: u32 = self.counters.iter().take(whole).sum();
        Some(f64::from(sum) / whole as f64)
    }

    fn go_on(&mut self, wall_ms: u64) {
        let hour = wall_ms / HOUR_MS;
        if self.counters.is_empty() || hour < self.hour || hour - self.hour > HOURS as u64 {
            self.counters.clear();
            self.counters.push_back(0);
            self.hour = hour;
        }
        while self.hour < hour {
            self.hour += 1;
            self.counters.push_back(0);
            if self.counters.len() > HOURS + 1 {
                self.counters.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_count() {
        let mut activity = Activity::default();
        for _ in 0..6 {
            activity.count(5);
        }
        assert_eq!(activity.rate(10), None);
        assert_eq!(activity.rate(HOUR_MS), Some(6.0));
        assert_eq!(activity.rate(3 * HOUR_MS), Some(2.0));
        assert_eq!(activity.rate(24 * HOUR_MS), Some(0.25));
        assert_eq!(activity.rate(25 * HOUR_MS), Some(0.0));
        assert_eq!(activity.rate(500 * HOUR_MS), None);
    }
}
