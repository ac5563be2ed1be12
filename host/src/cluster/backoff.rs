//! The pauses between two tries to reach Redis.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause. After an outage, events reach other nodes again within it and the time of connecting.
const LONGEST: Duration = Duration::from_secs(2);
/// The pause after a refusal that lasts until somebody changes a setting.
const REFUSED: Duration = Duration::from_secs(5);

/// Pauses that double from 100 ms to 2 s, each shortened by up to a quarter at random, so that nodes which lost Redis
/// together do not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Begins with the shortest pause again.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// Returns the next pause. `is_refusal` is true if Redis was reached and refused this node. `random` is any number.
    pub(super) fn next(&mut self, is_refusal: bool, random: u8) -> Duration {
        if is_refusal {
            return REFUSED;
        }
        let whole = FIRST.saturating_mul(1 << self.tries.min(16)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        whole - whole / 4 * u32::from(random) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r11_pauses_double_up_to_two_seconds() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..7).map(|_| backoff.next(false, 0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
        for _ in 0..1000 {
            assert_eq!(backoff.next(false, 0), LONGEST);
        }
        backoff.reset();
        assert_eq!(backoff.next(false, 0), FIRST);
    }

    #[test]
    fn r11_chance_shortens_a_pause_by_a_quarter_at_most() {
        for random in [0, 1, 128, 255] {
            let pause = Backoff { tries: 9 }.next(false, random);
            assert!((LONGEST * 3 / 4..=LONGEST).contains(&pause), "{pause:?}");
        }
        assert_eq!(Backoff { tries: 9 }.next(false, 255), LONGEST * 3 / 4);
    }

    #[test]
    fn r13_after_a_refusal_the_pause_is_long() {
        assert_eq!(Backoff::default().next(true, 255), REFUSED);
    }
}
