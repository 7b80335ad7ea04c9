//! A thread that waits for moments.
//!
//! The runtime's timers tick in milliseconds, which is too coarse for a schedule. A thread of its own is woken within
//! some 0.1 ms, and it never spins: on a small machine that would take a core from the service that is measured.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Instant,
};

use pushback::{Clock, SystemClock};

/// The thread's owner; dropping it ends the thread's waits.
pub(super) struct Pacer {
    pace: Pace,
    thread: Thread,
}

impl Pacer {
    /// Begins a thread that does this work.
    pub(super) fn start(work: impl FnOnce(&Pace) + Send + 'static) -> io::Result<Self> {
        let pace = Pace { stopped: Arc::default() };
        let theirs = pace.clone();
        let thread = thread::Builder::new().name("pushback-pacer".into()).spawn(move || work(&theirs))?;
        Ok(Pacer { pace, thread: thread.thread().clone() })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.pace.stopped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// The thread's side.
#[derive(Clone)]
pub(super) struct Pace {
    stopped: Arc<AtomicBool>,
}

/// Nobody wants what the thread does any more.
#[derive(Debug)]
pub(super) struct Stopped;

impl Pace {
    /// Waits until this moment has come.
    pub(super) fn wait_until(&self, moment: Instant) -> Result<(), Stopped> {
        loop {
            if self.stopped.load(Ordering::Acquire) {
                return Err(Stopped);
            }
            let left = moment.saturating_duration_since(SystemClock.now());
            if left.is_zero() {
                return Ok(());
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn a_moment_never_comes_early_and_a_past_one_at_once() {
        let (sender, receiver) = mpsc::channel();
        let begin = SystemClock.now();
        let pacer = Pacer::start(move |pace| {
            for moment in [Duration::ZERO, Duration::from_millis(3), Duration::from_millis(2)] {
                pace.wait_until(begin + moment).unwrap();
                sender.send((moment, SystemClock.now() - begin)).unwrap();
            }
        });
        let came: Vec<_> = receiver.iter().collect();
        assert_eq!(came.len(), 3);
        assert!(came.iter().all(|(moment, came)| came >= moment), "{came:?}");
        drop(pacer);
    }

    #[test]
    fn a_wait_ends_with_the_pacer() {
        let (sender, receiver) = mpsc::channel();
        let far = SystemClock.now() + Duration::from_secs(3600);
        let pacer = Pacer::start(move |pace| sender.send(pace.wait_until(far)).unwrap()).unwrap();
        drop(pacer);
        assert!(receiver.recv().unwrap().is_err());
    }
}
