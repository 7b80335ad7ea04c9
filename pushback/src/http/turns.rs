//! When a refused caller should come back: when its turn would come if it stood in line.
//!
//! ```text
//! now             first turn       turns, one each S/L            what this caller is told
//!  ├────── S ──────────┼────┼────┼────┼────┼───────────────────────────▶
//!  all that is in flight    └─ told to callers before ─┘ its own
//!  has ended by then
//! ```
//!
//! S is how long a place is held, and somewhat more, and L the limit, so that a place comes back each S/L. Each refused caller is told a turn of its own
//! behind those told before, so that callers who do as they are told find the place that they were told of, and do not all come back
//! at once. Where calls wait in the gauge's line, the first turn is behind all of them, by the forecast by which the line itself refuses
//! whose turn would come too late. Turns are moments and not spans, so the line is shorter by each second that passes; and if those whose turns have come
//! did not, it is forgotten.

use std::{sync::Arc, time::Instant};

use super::hold_time::HoldTime;
use crate::{
    gauge::PressureGauge,
    sync::{Mutex, locked},
};

/// The most that a caller is told, in seconds, and the least in answers that know whole seconds only.
const WAIT_MAX: f64 = 60.0;
const SECONDS_MIN: u64 = 1;
/// How much further apart turns are than places come back: so a fifth of them is left for those who come for the first time, and
/// a call may take longer than the mean.
const LATER: f64 = 1.25;
/// If fewer than this part of those came whose turns had come, the others are not waited for either.
const SHOWED_UP: f64 = 0.5;

/// The line in which refused callers stand as if they waited.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pub(super) hold_time: Arc<HoldTime>,
    told: Mutex<Told>,
}

/// How long to stay away, in the units that answers can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// For `Retry-After`, which knows whole seconds only.
    pub(super) seconds: u64,
    /// For `grpc-retry-pushback-ms`.
    pub(super) milliseconds: u64,
}

#[cfg(feature = "axum")]
impl Wait {
    /// The least that anybody is told.
    pub(super) const LEAST: Wait = Wait { seconds: SECONDS_MIN, milliseconds: 1_000 * SECONDS_MIN };
}

/// What callers were told. Times are in seconds from the first word on: the path of a refusal must be cheap.
#[derive(Debug, Default)]
struct Told {
    began: Option<Instant>,
    /// The first turn that has not come yet, and the last.
    turns: Option<(f64, f64)>,
    /// When somebody was last refused, and how many had been admitted by then.
    last: Option<(f64, u64)>,
    /// Those who are refused together come back together where they are told whole seconds: since when, and how many places they
    /// need.
    together: (f64, f64),
}

impl Turns {
    /// How long a caller should stay away that is refused now and asks for so many places.
    pub(super) fn wait(&self, gauge: &PressureGauge, cost: u32, limit: u32) -> Wait {
        let now = gauge.now();
        let held = LATER * self.hold_time.mean(now).as_secs_f64();
        let line = LATER * gauge.line_wait().as_secs_f64();
        let limit = f64::from(limit.max(1));
        let part = f64::from(cost.max(1)) / limit;
        let mut told = locked(&self.told);
        let now = now.saturating_duration_since(*told.began.get_or_insert(now)).as_secs_f64();
        told.forget_who_did_not_come(now, gauge.admitted(), held, limit);
        let wait = told.turn(now, held, held.max(line), part) - now;
        let rounds = told.rounds(now, held, part);
        drop(told);
        Wait {
            seconds: whole(wait.ceil()).max(SECONDS_MIN + rounds).min(whole(WAIT_MAX)),
            milliseconds: whole((1_000.0 * wait).ceil()).max(1),
        }
    }
}

impl Told {
    /// After a while in which nobody was refused, so that there was a place for everybody who came: if fewer came than had been told
    /// to, nobody is waited for any more.
    fn forget_who_did_not_come(&mut self, now: f64, admitted: u64, held: f64, limit: f64) {
        let last = self.last.replace((now, admitted));
        let (Some((since, before)), Some((first, end))) = (last, self.turns) else { return };
        if now - since <= held {
            return;
        }
        let due = (end.min(now) - first.max(since)) * limit / held;
        let came = admitted.saturating_sub(before) as f64;
        if due >= 1.0 && came < SHOWED_UP * due {
            self.turns = None;
        }
    }

    /// The next turn, behind all others and after this wait at least, of a call that takes this part of all places.
    fn turn(&mut self, now: f64, held: f64, wait_min: f64, part: f64) -> f64 {
        let earliest = now + wait_min;
        let (first, last) = match self.turns {
            Some((first, last)) if last > now => (first.max(now), last + part.min(1.0) * held),
            _ => (earliest, earliest),
        };
        let last = last.clamp(earliest, now + WAIT_MAX.max(wait_min));
        self.turns = Some((first, last));
        last.min(now + WAIT_MAX)
    }

    /// How many times all places are needed by those before it who are refused at the same time.
    fn rounds(&mut self, now: f64, held: f64, part: f64) -> u64 {
        let (since, before) = self.together;
        let (since, before) = if now - since < held { (since, before) } else { (now, 0.0) };
        self.together = (since, before + part);
        whole(before)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and is not negative"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use std::{
        collections::VecDeque,
        future::Future,
        pin::Pin,
        task::{Context, Poll, Waker},
        time::Duration,
    };

    use super::*;
    use crate::{Acquire, Line, OwnedPermit, clock::ManualClock};

    const S: Duration = Duration::from_secs(2);

    fn setting(limit: u32, held: Duration) -> (PressureGauge, ManualClock, Turns) {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(limit).clock(clock.clone()).build().unwrap();
        let turns = Turns::default();
        turns.hold_time.learn(held);
        (gauge, clock, turns)
    }

    /// Refuses so many at once; what they are told.
    fn refuse(gauge: &PressureGauge, turns: &Turns, count: usize) -> Vec<Wait> {
        (0..count).map(|_| turns.wait(gauge, 1, gauge.snapshot().limit)).collect()
    }

    #[test]
    fn each_is_told_a_turn_behind_the_others() {
        let (gauge, _, turns) = setting(10, S);
        let told = refuse(&gauge, &turns, 40);
        for (number, wait) in told.iter().enumerate() {
            let turn = 2_000.0 + 200.0 * number as f64;
            let expected = LATER * turn;
            assert!((wait.milliseconds as f64 - expected).abs() <= 1.0, "{number}: {wait:?}");
            assert_eq!(wait.seconds, wait.milliseconds.div_ceil(1_000), "{number}: never earlier");
        }
    }

    #[test]
    fn those_who_are_refused_together_are_not_told_the_same_second_beyond_the_limit() {
        let (gauge, clock, turns) = setting(8, Duration::from_millis(20));
        let seconds = |told: Vec<Wait>| told.iter().map(|wait| wait.seconds).collect::<Vec<_>>();
        let expected: Vec<u64> = (0..16).map(|number| 1 + number / 8).collect();
        assert_eq!(seconds(refuse(&gauge, &turns, 16)), expected);
        clock.advance(Duration::from_millis(25));
        assert_eq!(seconds(refuse(&gauge, &turns, 8)), [1; 8], "others come back at another time");
    }

    #[test]
    fn a_turn_is_a_moment_and_the_line_is_shorter_after_a_while() {
        let (gauge, clock, turns) = setting(10, S);
        refuse(&gauge, &turns, 40);
        // All come who are due.
        for _ in 0..45 {
            clock.advance(Duration::from_millis(100));
            for _ in 0..2 {
                drop(gauge.try_acquire().unwrap());
            }
        }
        let wait = refuse(&gauge, &turns, 1)[0];
        let turn = LATER * (2_000.0 + 200.0 * 40.0) - 4_500.0;
        assert!((wait.milliseconds as f64 - turn).abs() <= 1.0, "{wait:?}");
    }

    /// It used to say five to six seconds where a place was free in two.
    #[test]
    fn those_who_did_not_come_are_not_waited_for() {
        let (gauge, clock, turns) = setting(10, S);
        refuse(&gauge, &turns, 100);
        clock.advance(Duration::from_secs(5));
        let wait = refuse(&gauge, &turns, 1)[0];
        assert_eq!(wait.milliseconds, 2_500);
    }

    /// Ten places, and a place comes back each 100 ms.
    #[test]
    fn those_who_wait_in_line_come_first() {
        let clock = ManualClock::new();
        let line = Line::fifo(100).wait_at_most(Duration::MAX);
        let gauge = PressureGauge::builder().limit(10).line(line).clock(clock.clone()).build().unwrap();
        let turns = Turns::default();
        turns.hold_time.learn(Duration::from_secs(1));
        let mut held: VecDeque<OwnedPermit> =
            (0..10).map(|_| gauge.try_acquire().unwrap().into_owned()).collect();
        let poll =
            |acquire: &mut Acquire<'static>| Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop()));
        let mut waiting: VecDeque<Acquire<'static>> =
            (0..100).map(|_| gauge.acquire().into_owned()).collect();
        waiting.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
        for _ in 0..80 {
            clock.advance(Duration::from_millis(100));
            drop(held.pop_front());
            let Poll::Ready(permit) = poll(&mut waiting.pop_front().unwrap()) else { panic!("its turn") };
            held.push_back(permit.unwrap());
        }
        let wait = refuse(&gauge, &turns, 1)[0];
        assert_eq!(wait.milliseconds, 2_500, "twenty wait, for two seconds");
    }

    #[test]
    fn nobody_is_told_more_than_a_minute() {
        let (gauge, _, turns) = setting(1, S);
        let told = refuse(&gauge, &turns, 1_000);
        assert!(told.iter().all(|wait| wait.seconds <= 60 && wait.milliseconds <= 60_000));
        assert_eq!(told[999].seconds, 60);
    }

    #[test]
    fn the_dearer_a_call_the_longer_those_behind_it_wait() {
        let (gauge, _, turns) = setting(10, S);
        turns.wait(&gauge, 1, 10);
        turns.wait(&gauge, 5, 10);
        let wait = turns.wait(&gauge, 1, 10);
        assert_eq!(wait.milliseconds, 2_500 + 1_250 + 250);
    }
}
