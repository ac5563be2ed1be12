//! The processor time of calls.
//!
//! A call is charged with what the processor clock of its thread shows while the call is polled: for the guest's code
//! and for the host's work on behalf of the guest. Time in which the call waits, in which the system gives the
//! processor to others, or in which a nested call is polled, is not charged.
//!
//! Reading that clock is a system call of half a microsecond, and an ordinary call is too short to be measured. Its
//! beginning is therefore taken from the last reading of the thread if that reading is younger than a tick, and nothing
//! is read at its end unless it is nested. So a call may be charged with up to one tick too much.

use std::cell::Cell;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::runtime::engine::TICK;

thread_local! {
    // A variable of the thread because the clock is one. A call sets it for each poll and leaves nothing of itself in
    // it.
    static THREAD: Cell<Thread> = const {
        Cell::new(Thread {
            last: None,
            polled: None,
        })
    };
}

/// The processor clock of a thread, and the call that is polled there.
#[derive(Clone, Copy)]
struct Thread {
    /// The last reading of the clock, and its time.
    last: Option<(Duration, Instant)>,
    /// The innermost call that is polled on the thread.
    polled: Option<Polled>,
}

/// A call that is polled.
#[derive(Clone, Copy)]
struct Polled {
    /// What the call has been charged until `since`.
    charged: Duration,
    /// The reading of the clock from which on the call is charged.
    since: Duration,
}

impl Thread {
    /// Reads the clock.
    fn read(&mut self) -> Duration {
        let reading = processor_clock();
        self.last = Some((reading, Instant::now()));
        reading
    }

    /// Returns the last reading of the clock if it is younger than a tick at the time `now`, and else reads the clock.
    fn read_about(&mut self, now: Instant) -> Duration {
        match self.last {
            Some((reading, at)) if now.saturating_duration_since(at) < TICK => reading,
            _ => self.read(),
        }
    }
}

/// Returns the processor time that this thread has used.
fn processor_clock() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl Polled {
    /// Returns what the call has been charged when the clock shows `reading`.
    fn charged_at(self, reading: Duration) -> Duration {
        self.charged + reading.saturating_sub(self.since)
    }

    /// Returns the call as it is when the clock shows `reading`.
    fn charged_until(self, reading: Duration) -> Self {
        Self {
            charged: self.charged_at(reading),
            since: reading,
        }
    }
}

/// Returns the processor time that the innermost call polled on this thread has used.
pub(super) fn used() -> Duration {
    THREAD.with(|cell| {
        let mut thread = cell.get();
        let reading = thread.read();
        cell.set(thread);
        let polled = thread.polled;
        polled.map_or(Duration::ZERO, |call| call.charged_at(reading))
    })
}

/// Does work for others than the call that is polled on this thread, which is not charged for it. The work must neither
/// panic nor poll a call.
pub(super) fn uncharged<T>(work: impl FnOnce() -> T) -> T {
    // A call that has not begun to be polled is charged from its first poll on.
    let Some(call) = charge_until_now() else {
        return work();
    };
    let done = work();
    THREAD.with(|cell| {
        let mut thread = cell.get();
        let since = thread.read();
        thread.polled = Some(Polled { since, ..call });
        cell.set(thread);
    });
    done
}

/// Reads the clock if a call is polled on this thread, and returns the call as it is now.
fn charge_until_now() -> Option<Polled> {
    THREAD.with(|cell| {
        let mut thread = cell.get();
        let call = thread.polled?;
        let reading = thread.read();
        cell.set(thread);
        Some(call.charged_until(reading))
    })
}

/// Measures the processor time of one call.
pub(super) struct Meter {
    charged: Duration,
    /// The time at which the call began, until it is polled for the first time.
    began: Option<Instant>,
}

impl Meter {
    /// Makes the meter of a call that began at `began`, which is at most some microseconds ago.
    pub(super) fn new(began: Instant) -> Self {
        Self {
            charged: Duration::ZERO,
            began: Some(began),
        }
    }

    /// Runs one poll of the call, which must not panic.
    pub(super) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let outer = self.enter();
        let polled = poll();
        self.leave(outer, polled.is_pending());
        polled
    }

    /// Begins to charge this call. Returns the call that was charged until now, if this one is nested.
    fn enter(&mut self) -> Option<Polled> {
        THREAD.with(|cell| {
            let mut thread = cell.get();
            let since = match self.began.take() {
                Some(began) => thread.read_about(began),
                None => thread.read(),
            };
            let call = Polled {
                charged: self.charged,
                since,
            };
            let outer = thread.polled.replace(call);
            cell.set(thread);
            outer.map(|outer| outer.charged_until(since))
        })
    }

    /// Ends to charge this call and charges `outer` again. A call that `goes_on` keeps what it was charged.
    fn leave(&mut self, outer: Option<Polled>, goes_on: bool) {
        THREAD.with(|cell| {
            let mut thread = cell.get();
            let call = thread.polled.take();
            if goes_on || outer.is_some() {
                let reading = thread.read();
                self.charged = call.map_or(self.charged, |call| call.charged_at(reading));
                thread.polled = outer.map(|outer| Polled {
                    since: reading,
                    ..outer
                });
            }
            cell.set(thread);
        });
    }
}

/// Uses the processor of this thread for this long.
#[cfg(test)]
pub(super) fn compute(time: Duration) {
    let until = processor_clock() + time;
    while processor_clock() < until {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn i11_27_a_call_is_charged_for_its_polls_and_for_nothing_between_them() {
        let mut meter = Meter::new(Instant::now());
        let poll = |meter: &mut Meter| {
            let _ = meter.poll(|| {
                compute(10 * MS);
                Poll::<()>::Pending
            });
        };
        poll(&mut meter);
        compute(50 * MS);
        std::thread::sleep(20 * MS);
        poll(&mut meter);
        assert!(meter.charged >= 20 * MS, "{:?}", meter.charged);
        assert!(meter.charged < 40 * MS, "{:?}", meter.charged);
    }

    #[test]
    fn i11_27_a_nested_call_is_charged_apart() {
        let (mut outer, mut inner) = (Meter::new(Instant::now()), None);
        let _ = outer.poll(|| {
            compute(10 * MS);
            let mut nested = Meter::new(Instant::now());
            let _ = nested.poll(|| {
                compute(60 * MS);
                inner = Some(used());
                Poll::Ready(())
            });
            compute(10 * MS);
            let used = used();
            assert!(used >= 20 * MS && used < 50 * MS, "{used:?}");
            Poll::<()>::Pending
        });
        let inner = inner.expect("it was polled");
        assert!(inner >= 60 * MS && inner < 90 * MS, "{inner:?}");
        assert!(outer.charged < 50 * MS, "{:?}", outer.charged);
    }

    #[test]
    fn i13_1_work_for_others_is_not_charged() {
        let mut meter = Meter::new(Instant::now());
        let _ = meter.poll(|| {
            compute(10 * MS);
            uncharged(|| compute(60 * MS));
            compute(10 * MS);
            let used = used();
            assert!(used >= 20 * MS && used < 50 * MS, "{used:?}");
            Poll::<()>::Pending
        });
        assert!(meter.charged < 50 * MS, "{:?}", meter.charged);
        assert_eq!(uncharged(|| 1), 1, "without a call");
    }

    #[test]
    fn i11_27_what_a_thread_did_before_a_call_is_not_charged() {
        let _ = used();
        compute(50 * MS);
        let mut meter = Meter::new(Instant::now());
        let _ = meter.poll(|| {
            assert!(used() < 10 * MS, "{:?}", used());
            Poll::Ready(())
        });
    }

    #[test]
    fn i11_27_an_ordinary_call_reads_no_clock() {
        let _ = used();
        let last = || THREAD.with(|cell| cell.get().last.map(|(reading, _)| reading));
        let (before, at) = (last(), Instant::now());
        for _ in 0..100 {
            // The same time for all calls stands for calls that begin within one tick.
            let _ = Meter::new(at).poll(|| Poll::Ready(()));
        }
        assert_eq!(last(), before);
    }
}
