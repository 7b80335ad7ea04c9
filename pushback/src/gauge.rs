//! The gauge: admits, queues or refuses a call.

mod acquire;
mod adaptive;
#[cfg(feature = "http")]
mod answered;
mod awaiting;
#[cfg(feature = "http")]
mod awaiting_client;
mod builder;
mod core;
mod drain;
mod enter;
#[cfg(all(test, not(pushback_loom)))]
mod faults;
mod head_room;
mod held;
#[cfg(feature = "metrics")]
mod label;
mod locked;
#[cfg(all(test, pushback_loom))]
mod models;
mod modes;
mod names;
mod operate;
mod pacing;
mod patience;
mod permit;
#[cfg(feature = "metrics")]
mod publish;
#[cfg(feature = "metrics")]
mod publishing;
mod ranks;
mod rest;
mod sampling;
mod settle;
mod span;
mod take;
mod tally;
mod thread_waker;
mod turn;

#[cfg(feature = "http")]
use std::time::Duration;
use std::{fmt, sync::Arc, time::Instant};

pub use acquire::Acquire;
#[cfg(feature = "http")]
pub(crate) use answered::ToTell;
#[cfg(feature = "http")]
pub(crate) use awaiting_client::{AwaitingClient, Client};
pub use builder::Builder;
pub use drain::Drain;
pub use permit::{OwnedPermit, Permit};
#[cfg(feature = "metrics")]
pub use publishing::PublishMetrics;
#[cfg(feature = "http")]
pub(crate) use span::Span;
#[cfg(feature = "http")]
pub(crate) use tally::stripe as thread_stripe;

use self::core::Core;
#[cfg(feature = "http")]
use crate::telemetry;
use crate::{
    arrival::Arrival, clock::SystemClock, limit::Auto, line::Line, outcome::Outcome, rejected::Rejected,
    snapshot::Snapshot,
};

/// Limits the work in flight: a call is admitted, waits in a bounded line, or is refused at once.
///
/// Cheap to clone; all clones are one gauge. `try_*` and `process*` never wait; `acquire*` wait in
/// the line.
///
/// | | never waits | waits in line |
/// |---|---|---|
/// | runs your work | [`process`](Self::process), [`process_async`](Self::process_async) | |
/// | hands you the permit | [`try_acquire`](Self::try_acquire) | [`acquire`](Self::acquire), [`acquire_blocking`](Self::acquire_blocking) |
///
/// # A trap: two permits of one gauge
///
/// Do not wait for a second permit of a gauge while you hold a first. When all places are held by
/// calls that wait for their second, nobody gives one back. All of them stand still until the
/// line's longest wait has passed. This holds for any semaphore.
///
/// Take all you need at once with [`Arrival::cost`], or give inner work a gauge of its own.
/// [`try_acquire`](Self::try_acquire) is safe: it refuses instead of waiting.
#[derive(Clone)]
pub struct PressureGauge {
    core: Arc<Core>,
}

/// Whether a gauge admits all calls, and only counts whom it would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DryRunMode {
    /// The limit is enforced.
    #[default]
    Off,
    /// All calls are admitted. Those that did not fit run as *phantoms* beside the limit.
    On,
}

impl PressureGauge {
    /// A gauge for at most `limit` places in flight, 0 to [`u32::MAX`]. 0 admits nothing.
    ///
    /// Its name is `gauge`, its line as long as the limit, and its longest wait 1 s.
    /// [`builder`](Self::builder) has all settings:
    /// `PressureGauge::builder().name("database").limit(10).build()?`.
    pub fn new(limit: u32) -> Self {
        PressureGauge { core: Core::new("gauge", limit, None, Line::default(), SystemClock::shared()) }
    }

    /// A gauge whose limit finds itself, by [`Auto`]. For when you do not know how much the service
    /// can do.
    ///
    /// ```
    /// let gauge = pushback::PressureGauge::auto();
    /// let answer = gauge.process(|| "done")?;
    /// println!("{answer}, {:?}", gauge.snapshot().why); // why the limit stands where it does
    /// # Ok::<(), pushback::Rejected>(())
    /// ```
    pub fn auto() -> Self {
        let build = PressureGauge::builder().limit(Auto::new()).build();
        build.expect("the settings of `Auto::new` are right, and so is the gauge's name")
    }

    /// Begins the settings of a gauge.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs `work` now, on this thread, or refuses now. A panic in `work` gives the place back.
    ///
    /// ```
    /// let gauge = pushback::PressureGauge::new(10);
    /// let answer = gauge.process(|| 6 * 7)?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), pushback::Rejected>(())
    /// ```
    #[inline]
    pub fn process<T>(&self, work: impl FnOnce() -> T) -> Result<T, Rejected> {
        let _permit = self.try_acquire()?;
        Ok(work())
    }

    /// Like [`process`](Self::process), for work whose answer tells how it went. `classify` looks
    /// at the answer.
    ///
    /// ```
    /// use pushback::{Outcome, PressureGauge};
    ///
    /// let gauge = PressureGauge::new(10);
    /// let answer: Result<u32, &str> = gauge.process_with(
    ///     || Err("503 from the database"),
    ///     |answer| if answer.is_ok() { Outcome::Success } else { Outcome::Overload },
    /// )?;
    /// assert_eq!(gauge.snapshot().overloaded, 1);
    /// # let _ = answer;
    /// # Ok::<(), pushback::Rejected>(())
    /// ```
    #[inline]
    pub fn process_with<T>(
        &self,
        work: impl FnOnce() -> T,
        classify: impl FnOnce(&T) -> Outcome,
    ) -> Result<T, Rejected> {
        let mut permit = self.try_acquire()?;
        let answer = work();
        permit.record(classify(&answer));
        Ok(answer)
    }

    /// Runs asynchronous `work` now, or refuses now.
    ///
    /// When it is refused, the work is not even built. A future that is dropped before its end
    /// gives the place back and counts as [`Outcome::Cancelled`].
    ///
    /// ```
    /// # async fn work() -> u32 { 42 }
    /// # smol::block_on(async {
    /// let gauge = pushback::PressureGauge::new(10);
    /// let answer = gauge.process_async(async || work().await).await?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), pushback::Rejected>(())
    /// # }).unwrap();
    /// ```
    pub async fn process_async<T>(&self, work: impl AsyncFnOnce() -> T) -> Result<T, Rejected> {
        let mut permit = self.try_acquire()?;
        permit.record(Outcome::Cancelled);
        let answer = work().await;
        permit.record(Outcome::Success);
        Ok(answer)
    }

    /// Takes a place now, or refuses now.
    ///
    /// # Errors
    ///
    /// [`Full`], [`CostAboveLimit`] with a limit of 0, [`Closed`].
    ///
    /// [`Full`]: crate::Reason::Full
    /// [`CostAboveLimit`]: crate::Reason::CostAboveLimit
    /// [`Closed`]: crate::Reason::Closed
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        self.try_acquire_for(Arrival::new())
    }

    /// [`try_acquire`](Self::try_acquire) for a call with a cost or a deadline.
    ///
    /// # Errors
    ///
    /// Those of [`try_acquire`](Self::try_acquire), and
    /// [`DeadlinePassed`](crate::Reason::DeadlinePassed).
    #[inline(always)]
    pub fn try_acquire_for(&self, arrival: Arrival) -> Result<Permit<'_>, Rejected> {
        self.core.admit(arrival).map(|held| Permit::new(self, held))
    }

    /// Takes a place, or waits for it in line. Works on any executor.
    ///
    /// # Errors
    ///
    /// [`LineFull`], [`TooLate`], [`WaitedTooLong`], [`Displaced`], [`CostAboveLimit`], [`Closed`].
    ///
    /// [`LineFull`]: crate::Reason::LineFull
    /// [`TooLate`]: crate::Reason::TooLate
    /// [`WaitedTooLong`]: crate::Reason::WaitedTooLong
    /// [`Displaced`]: crate::Reason::Displaced
    /// [`CostAboveLimit`]: crate::Reason::CostAboveLimit
    /// [`Closed`]: crate::Reason::Closed
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_for(Arrival::new())
    }

    /// [`acquire`](Self::acquire) for a call with a cost, a priority or a deadline.
    ///
    /// A call of high cost at the front waits until enough places are free; nobody of its priority
    /// or below overtakes it meanwhile. While more important calls keep coming, it may wait as long
    /// as the line lets anybody wait.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), and [`DeadlinePassed`](crate::Reason::DeadlinePassed).
    pub fn acquire_for(&self, arrival: Arrival) -> Acquire<'_> {
        Acquire::new(self, arrival)
    }

    /// [`acquire`](Self::acquire) for a plain thread, which sleeps in line.
    ///
    /// Not for asynchronous code: there it holds up all tasks of its worker. If one of them has the
    /// place that it waits for, it does so for as long as the line lets it wait. Nothing can warn
    /// of it, for no runtime tells its workers' threads from those of `spawn_blocking`, where this
    /// is right.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    pub fn acquire_blocking(&self) -> Result<OwnedPermit, Rejected> {
        self.acquire().blocking()
    }

    /// [`acquire_for`](Self::acquire_for) for a plain thread.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_for`](Self::acquire_for).
    pub fn acquire_blocking_for(&self, arrival: Arrival) -> Result<OwnedPermit, Rejected> {
        self.acquire_for(arrival).blocking()
    }

    /// Changes the limit, from now on.
    ///
    /// A lowered limit interrupts nobody. Until no more than the new limit is in flight, nobody new
    /// runs. Calls in line that cost more than the new limit are refused.
    ///
    /// A limit that moves goes on from there by itself, maybe a tenth of a second later;
    /// [`pin`](Self::pin) keeps it. A limit that is pinned stays pinned, at the new value. A limit
    /// of 0 admits nothing, so it stays until it is set again.
    pub fn set_limit(&self, limit: u32) {
        self.core.set_limit(limit);
    }

    /// Changes the limit, and keeps it there until [`unpin`](Self::unpin).
    ///
    /// It may be outside of the bounds in which the limit moves by itself. What moves it is not
    /// asked meanwhile, and no call is measured for it. On a fixed limit, this is
    /// [`set_limit`](Self::set_limit).
    ///
    /// ```
    /// let gauge = pushback::PressureGauge::auto();
    /// gauge.pin(30); // the service is being mended: nothing moves the limit now
    /// gauge.process(|| "done")?;
    /// let snapshot = gauge.snapshot();
    /// assert_eq!((snapshot.limit, snapshot.pinned), (30, true));
    /// assert_eq!(snapshot.why.unwrap().reason.as_deref(), Some("pinned by an operator"));
    /// gauge.unpin(); // goes on from 30 by itself
    /// # Ok::<(), pushback::Rejected>(())
    /// ```
    pub fn pin(&self, limit: u32) {
        self.core.pin(limit);
    }

    /// Lets a pinned limit move again.
    ///
    /// It goes on from where it is, by what is measured from now on. Does nothing if the limit is
    /// fixed or not pinned.
    pub fn unpin(&self) {
        self.core.unpin();
    }

    /// Switches the dry run on or off.
    ///
    /// When it goes on, calls in line are admitted. When it goes off, phantoms run to their end
    /// without counting against the limit.
    pub fn set_dry_run(&self, mode: DryRunMode) {
        self.core.set_dry_run(mode == DryRunMode::On);
    }

    /// Admits nobody until [`resume`](Self::resume), and keeps the line.
    ///
    /// What is in flight goes on. Who waits keeps the place in line, and who comes may join it.
    /// Deadlines and longest waits still count. Where nobody waits, calls are refused with
    /// [`Reason::Full`](crate::Reason::Full). A dry run goes on to admit. Contrast
    /// [`set_limit(0)`](Self::set_limit), under which all who wait are refused.
    ///
    /// ```
    /// use pushback::PressureGauge;
    ///
    /// let gauge = PressureGauge::new(10);
    /// gauge.pause();
    /// assert!(gauge.try_acquire().is_err());
    /// gauge.resume();
    /// assert!(gauge.try_acquire().is_ok());
    /// ```
    pub fn pause(&self) {
        self.core.set_paused(true);
    }

    /// Admits calls again, first those that wait.
    pub fn resume(&self) {
        self.core.set_paused(false);
    }

    /// Refuses all calls from now on, those in line too. What is in flight goes on.
    pub fn close(&self) {
        self.core.close();
    }

    /// Closes, and waits until the last permit is back. Put a bound of your own on the wait.
    pub fn drain(&self) -> Drain {
        Drain::new(self.clone())
    }

    /// [`drain`](Self::drain) on a plain thread.
    pub fn drain_blocking(&self) {
        self.drain().blocking();
    }

    /// The gauge at this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.core.snapshot()
    }

    /// The gauge's name.
    pub fn name(&self) -> &'static str {
        self.core.name()
    }

    /// The answer of [`acquire_for`](Self::acquire_for), if it needs no lock: a place, or a refusal at a full line. If
    /// not, nothing has happened, and whoever asks goes on to wait.
    #[cfg(feature = "http")]
    pub(crate) fn acquire_at_once(&self, arrival: Arrival) -> Option<Result<OwnedPermit, Rejected>> {
        let answer = self.core.at_once(arrival)?;
        self.core.note(arrival);
        Some(match answer {
            Ok(held) => Ok(OwnedPermit::new(self.clone(), held)),
            Err(reason) => Err(self.core.rejection(reason)),
        })
    }

    /// A retry comes that counts as a first attempt.
    #[cfg(feature = "http")]
    pub(crate) fn note_retry(&self) {
        self.core.note_retry();
    }

    /// Whether somebody wants to know how long its requests take. Telling the time costs several admissions.
    #[cfg(feature = "http")]
    pub(crate) fn wants_times(&self) -> bool {
        let is_measured = self.core.adaptive.as_ref().is_some_and(|adaptive| !adaptive.is_pinned());
        self.tells_times() || is_measured
    }

    /// Whether somebody else than its controller does.
    #[cfg(feature = "http")]
    fn tells_times(&self) -> bool {
        #[cfg(feature = "dashboard")]
        let is_watched = self.core.notebook.is_on();
        #[cfg(not(feature = "dashboard"))]
        let is_watched = false;
        cfg!(feature = "metrics") || is_watched
    }

    /// An admitted request that came then was answered now; it took `not_ours` of that to send its body.
    #[cfg(feature = "http")]
    pub(crate) fn served(&self, came: Instant, not_ours: Duration) {
        if !self.tells_times() {
            return;
        }
        let now = self.now();
        let time = now.saturating_duration_since(came).saturating_sub(not_ours);
        telemetry::served(self.name(), time);
        #[cfg(feature = "dashboard")]
        self.core.notebook.took(now, time);
    }

    /// Whether the other is a clone of it.
    #[cfg(feature = "dashboard")]
    pub(crate) fn is(&self, other: &PressureGauge) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// What is noted of its requests while somebody watches.
    #[cfg(feature = "dashboard")]
    pub(crate) fn notebook(&self) -> &crate::notebook::Notebook {
        &self.core.notebook
    }

    /// The time by the gauge's own clock.
    #[cfg(feature = "http")]
    pub(crate) fn now(&self) -> Instant {
        self.core.now()
    }

    /// Whether a call would not be refused now, for whoever has something to do before it asks. It counts nothing.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn may_take(&self, arrival: Arrival, waits: bool) -> bool {
        self.core.may_take(arrival, waits)
    }

    /// How many calls were admitted, of about now.
    #[cfg(feature = "http")]
    pub(crate) fn admitted(&self) -> u64 {
        self.core.admitted()
    }

    /// How long the line is at present: until all who wait have had their turn.
    #[cfg(feature = "http")]
    pub(crate) fn line_wait(&self) -> Duration {
        self.core.line_wait()
    }

    /// Faults of others that were recovered from on the gauge's behalf.
    #[cfg(feature = "http")]
    pub(crate) fn count_faults(&self, faults: u64) {
        self.core.count_faults(faults);
    }

    /// Wakes somebody later, by the gauge's own clock.
    #[cfg(feature = "http")]
    pub(crate) fn ring_at(&self, when: Instant, alarm: crate::clock::Alarm) -> bool {
        self.core.clock.ring_at(when, alarm)
    }

    /// When the next call in line will have waited long enough, for those who drive the time themselves.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.core.next_expiry()
    }

    /// Refuses the calls in line whose time is up at `now`, for those who drive the time themselves; others need not
    /// call it, for the [`Clock`](crate::Clock) sees to it.
    pub fn expire(&self, now: Instant) {
        self.core.expire(now);
    }
}

impl fmt::Debug for PressureGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("PressureGauge")
            .field("name", &snapshot.name)
            .field("limit", &snapshot.limit)
            .field("in_flight", &snapshot.in_flight)
            .field("in_line", &snapshot.in_line)
            .finish_non_exhaustive()
    }
}
