//! How many places each rank leaves free for those above it, by who is refused and by how few places are free at times.

use std::time::{Duration, Instant};

use crate::arrival::RANKS;

/// A rank leaves this part of the limit more free at a time, and one place at least.
const STEP: f64 = 1.0 / 8.0;
/// It does so once while this part of the limit is admitted, for only then can the step before have helped.
const ROUND: f64 = 0.5;
/// Where nobody was refused for longer than this, half of it is left after each such time, in seconds.
const AT_REST: f64 = 2.0;
/// How few are free at times is judged after so many looks in so long: where it is more than this part of what is left free, that is
/// too much.
const LOOKS: u32 = 256;
const SPAN: Duration = Duration::from_secs(5);
const SPARE: f64 = 0.25;
/// Where a place was free all the time and nobody was refused for want of one, half of what is left free is too much after so long.
const CALM: Duration = Duration::from_secs(60);
/// Nothing is left free for ranks that did not come for so long.
const REMEMBERED: Duration = Duration::from_secs(60);
#[derive(Debug)]
pub(super) struct Ranks {
    looked: Instant,
    /// How often it was looked since then, and the fewest places that were free.
    since: Instant,
    looks: u32,
    fewest: u32,
    /// Since when a place was always free.
    calm: Instant,
    each: [Rank; RANKS as usize],
}

#[derive(Debug, Clone, Copy)]
struct Rank {
    /// How many places it leaves free.
    free: f64,
    /// How many calls had been admitted when it last left more free.
    raised: Option<u64>,
    came: Option<Instant>,
}

/// What a gauge is like when a call is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) limit: u32,
    pub(super) free: u32,
    pub(super) admitted: u64,
}

impl Ranks {
    pub(super) fn new(now: Instant) -> Self {
        let rank = Rank { free: 0.0, raised: None, came: None };
        Ranks { looked: now, since: now, looks: 0, fewest: u32::MAX, calm: now, each: [rank; RANKS as usize] }
    }

    /// Time has passed, and these came in it. Says whether calls of several ranks come.
    pub(super) fn look(&mut self, moment: Moment, came: u32) -> bool {
        let passed = moment.now.saturating_duration_since(self.looked).as_secs_f64();
        self.looked = moment.now;
        let left = if passed > AT_REST { (-passed / AT_REST).exp2() } else { 1.0 };
        let mut coming = 0;
        for (number, rank) in self.each.iter_mut().enumerate() {
            rank.leaves(if coming == 0 { 0.0 } else { rank.free * left });
            if came & (1 << number) != 0 {
                rank.came = Some(moment.now);
            }
            coming += u32::from(rank.comes(moment.now));
        }
        self.looks += 1;
        self.fewest = self.fewest.min(moment.free);
        if moment.free == 0 {
            self.calm = moment.now;
        } else if moment.now.saturating_duration_since(self.calm) >= CALM {
            self.calm = moment.now;
            self.leave_fewer(|free| free / 2.0);
        }
        if self.looks >= LOOKS && moment.now.saturating_duration_since(self.since) >= SPAN {
            self.judge(moment);
        }
        coming > 1
    }

    /// Where all places were taken at times, somebody will be refused soon; where many were always free, more may come.
    fn judge(&mut self, moment: Moment) {
        let fewest = f64::from(self.fewest);
        (self.since, self.looks, self.fewest) = (moment.now, 0, u32::MAX);
        let Some(rank) = self.each.iter().find(|rank| rank.free > 0.0) else { return };
        if fewest > (SPARE * rank.free).max(1.5) {
            self.leave_fewer(|free| free - fewest / 2.0);
        } else if fewest < 1.0 {
            // Nobody is above the most important that come.
            let first = (0..RANKS).find(|rank| self.each[usize::from(*rank)].comes(self.looked));
            self.raise_below(first.unwrap_or(0), moment);
        }
    }

    /// The last that had to leave some free is the first that may leave fewer.
    fn leave_fewer(&mut self, fewer: impl Fn(f64) -> f64) {
        if let Some(rank) = self.each.iter_mut().find(|rank| rank.free > 0.0) {
            rank.leaves(fewer(rank.free));
        }
    }

    pub(super) fn unseen_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.looked)
    }

    /// How many places each rank leaves free; `looked_at` of them at least the least important of those that come, none the most
    /// important, and the others in between, while a limit looks at fewer in flight.
    pub(super) fn left_free(&self, looked_at: u32) -> impl Iterator<Item = u32> + '_ {
        let others = self.coming().saturating_sub(1).max(1);
        let mut above = 0;
        self.each.iter().map(move |rank| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is below a limit"
            )]
            let usually = rank.free.round() as u32;
            let left = usually.max(looked_at.saturating_mul(above.min(others)) / others);
            above += u32::from(rank.comes(self.looked));
            left
        })
    }

    /// How many ranks come.
    fn coming(&self) -> u32 {
        self.each.iter().map(|rank| u32::from(rank.comes(self.looked))).sum()
    }

    /// The least important rank below this one leaves more free; once it leaves nearly all, the one above it does.
    pub(super) fn raise_below(&mut self, rank: u8, moment: Moment) {
        if moment.free == 0 {
            self.calm = moment.now;
        }
        let (limit, looked) = (f64::from(moment.limit), self.looked);
        let most = (limit - 1.0).max(0.0);
        let below = self.each.iter_mut().skip(usize::from(rank) + 1).rev();
        let Some(rank) = below.filter(|rank| rank.comes(looked)).find(|rank| rank.free < most) else {
            return;
        };
        let admitted = rank.raised.map(|admitted| moment.admitted.saturating_sub(admitted) as f64);
        if admitted.is_none_or(|admitted| admitted >= ROUND * limit) {
            rank.raised = Some(moment.admitted);
            rank.free = (rank.free + (STEP * limit).max(1.0)).min(most);
        }
    }
}

impl Rank {
    /// Half a place is none.
    fn leaves(&mut self, free: f64) {
        self.free = if free <= 0.5 { 0.0 } else { free };
    }

    fn comes(&self, now: Instant) -> bool {
        self.came.is_some_and(|came| now.saturating_duration_since(came) < REMEMBERED)
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    const CRITICAL: u8 = 0;
    const NORMAL: u8 = 4;
    const LOW: u8 = 6;
    const ALL: u32 = 1 << CRITICAL | 1 << NORMAL | 1 << LOW;

    /// A limit of 16 before which calls of three ranks come.
    struct Scene {
        ranks: Ranks,
        moment: Moment,
    }

    impl Scene {
        fn new() -> Self {
            let now = ManualClock::new().now();
            let mut scene =
                Scene { ranks: Ranks::new(now), moment: Moment { now, limit: 16, free: 0, admitted: 0 } };
            scene.look(Duration::ZERO, ALL);
            scene
        }

        fn look(&mut self, after: Duration, came: u32) -> bool {
            self.moment.now += after;
            self.ranks.look(self.moment, came)
        }

        /// So many calls are refused, while half of a limit is admitted between each two.
        fn refuse(&mut self, rank: u8, times: u32) {
            for _ in 0..times {
                self.moment.admitted += 8;
                self.ranks.raise_below(rank, self.moment);
            }
        }

        fn left(&self) -> [u32; 3] {
            let left: Vec<u32> = self.ranks.left_free(0).collect();
            [CRITICAL, NORMAL, LOW].map(|rank| left[usize::from(rank)])
        }
    }

    #[test]
    fn the_least_important_leave_more_first_and_all_but_the_last_place_at_most() {
        let mut scene = Scene::new();
        scene.refuse(CRITICAL, 1);
        assert_eq!(scene.left(), [0, 0, 2]);
        scene.refuse(CRITICAL, 7);
        assert_eq!(scene.left(), [0, 0, 15]);
        scene.refuse(CRITICAL, 1);
        assert_eq!(scene.left(), [0, 2, 15]);
        scene.refuse(LOW, 3);
        assert_eq!(scene.left(), [0, 2, 15], "nobody is below");
    }

    #[test]
    fn many_refused_at_once_are_one_reason() {
        let mut scene = Scene::new();
        scene.refuse(CRITICAL, 1);
        for _ in 0..100 {
            scene.ranks.raise_below(CRITICAL, scene.moment);
        }
        assert_eq!(scene.left(), [0, 0, 2]);
    }

    #[test]
    fn what_is_always_free_is_left_to_the_others() {
        let mut scene = Scene::new();
        scene.refuse(CRITICAL, 3);
        assert_eq!(scene.left(), [0, 0, 6]);
        scene.moment.free = 1;
        (0..300).for_each(|_| assert!(scene.look(Duration::from_millis(20), ALL)));
        assert_eq!(scene.left(), [0, 0, 6], "one is not many");
        scene.moment.free = 4;
        (0..600).for_each(|_| assert!(scene.look(Duration::from_millis(20), ALL)));
        assert_eq!(scene.left(), [0, 0, 4]);
        scene.moment.free = 0;
        scene.moment.admitted += 100;
        (0..600).for_each(|_| assert!(scene.look(Duration::from_millis(20), ALL)));
        assert_eq!(scene.left(), [0, 0, 6], "all were taken at times");
    }

    /// Low calls were shut out for ever by one place in two that is always taken.
    #[test]
    fn what_is_free_is_left_to_the_others_in_the_end_however_little_it_is() {
        for (limit, free) in [(2, 1), (4, 1), (16, 1), (16, 3)] {
            let mut scene = Scene::new();
            scene.moment.limit = limit;
            scene.refuse(CRITICAL, 20);
            assert!(scene.left()[2] >= limit - 1);
            scene.moment.free = free;
            (0..20 * 60 * 10).for_each(|_| assert!(scene.look(Duration::from_millis(100), ALL)));
            assert!(scene.left()[2] < free, "{free} of {limit} free: {:?}", scene.left());
        }
    }

    #[test]
    fn nothing_is_left_free_once_nobody_is_refused_or_nobody_comes_that_it_is_for() {
        let mut scene = Scene::new();
        scene.refuse(CRITICAL, 5);
        scene.look(Duration::from_secs(20), ALL);
        assert_eq!(scene.left(), [0, 0, 0], "nobody was refused for 20 s");
        scene.refuse(CRITICAL, 5);
        assert!(scene.look(Duration::from_secs(1), 1 << LOW));
        let is_ranked: Vec<bool> = (0..60).map(|_| scene.look(Duration::from_secs(1), 1 << LOW)).collect();
        assert_eq!((scene.left(), is_ranked[59]), ([0, 0, 0], false), "low alone came for a minute");
    }

    #[test]
    fn a_look_at_fewer_is_felt_by_the_least_important_most() {
        let scene = Scene::new();
        let left: Vec<u32> = scene.ranks.left_free(8).collect();
        assert_eq!([CRITICAL, NORMAL, LOW].map(|rank| left[usize::from(rank)]), [0, 4, 8]);
    }
}
