//! An open loop: requests are sent at the moments of a schedule, whether or not earlier ones were answered.
//!
//! So come the requests of many users, who do not wait for each other. Times count from the moment in the schedule and
//! not from the sending: otherwise a sender that is held up would not count the very time that its users wait, which is
//! known as coordinated omission.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};

use super::{
    Call, Load, Run, Target,
    client::{Client, RunEnd},
    pacer::Pacer,
};
use crate::arrivals::Arrivals;

/// An open loop: how many requests a second, and for how long.
#[derive(Debug, Clone)]
pub struct Open {
    /// Where they go.
    pub target: Target,
    /// How they come.
    pub arrivals: Arrivals,
    /// How many a second on average.
    pub rate: f64,
    /// Another one is another schedule of the same kind.
    pub seed: u64,
    /// For how long they are sent; their answers may take longer.
    pub duration: Duration,
    /// After how long a caller gives up, from the moment in the schedule.
    pub timeout: Duration,
    /// How many may be in flight at once. Those above are lost, and the run is invalid.
    pub in_flight_max: usize,
}

impl Open {
    /// When requests are to be sent: as calls come in the simulator with the same kind, rate and seed.
    pub fn moments(&self) -> impl Iterator<Item = Duration> {
        let duration = self.duration;
        self.arrivals.schedule(self.rate, self.seed).take_while(move |moment| *moment < duration)
    }

    pub(super) async fn run(
        &self,
        stop: impl Future<Output = ()>,
        each: impl Fn(&Call) + Send + Sync + 'static,
    ) -> io::Result<Run> {
        let (moments, duration): (Vec<_>, _) = (self.moments().collect(), self.duration);
        let client = Arc::new(Client::new(&self.target, self.timeout, self.in_flight_max as u64, each));
        let begin = client.begin();
        let mut sender = Sender {
            client: Arc::clone(&client),
            runtime: Handle::current(),
            in_flight: JoinSet::new(),
            in_flight_max: self.in_flight_max,
        };
        let (sent, all_sent) = oneshot::channel();
        let pacer = Pacer::start(move |pace| {
            for start in moments.into_iter().map(|moment| begin + moment) {
                if pace.wait_until(start).is_err() {
                    return;
                }
                sender.send(start);
            }
            // A run is as long as it was meant to be, also when its last request is answered before.
            if pace.wait_until(begin + duration).is_ok() {
                let _ = sent.send(sender.in_flight);
            }
        })?;
        let all_ended = async {
            if let Ok(in_flight) = all_sent.await {
                in_flight.join_all().await;
            }
        };
        let end = tokio::select! {
            () = all_ended => RunEnd::Finished,
            () = stop => RunEnd::Stopped,
        };
        drop(pacer);
        Ok(client.run(Load::Open(self.clone()), end))
    }
}

/// Hands requests to the runtime. Dropping it ends those in flight.
struct Sender<F> {
    client: Arc<Client<F>>,
    runtime: Handle,
    in_flight: JoinSet<()>,
    in_flight_max: usize,
}

impl<F: Fn(&Call) + Send + Sync + 'static> Sender<F> {
    fn send(&mut self, start: Instant) {
        while self.in_flight.try_join_next().is_some() {}
        if self.in_flight.len() >= self.in_flight_max {
            self.client.give_up(start, &TooMany(self.in_flight_max));
            return;
        }
        let client = Arc::clone(&self.client);
        self.in_flight.spawn_on(async move { client.call(start).await }, &self.runtime);
    }
}

/// Why a request is not sent.
#[derive(Debug)]
struct TooMany(usize);

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} were in flight at once, the most that load keeps", self.0)
    }
}

impl std::error::Error for TooMany {}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, sync::Mutex};

    use tokio::sync::mpsc;

    use super::*;
    use crate::load::End;

    /// Ten requests within a tenth of a second, of which three may be in flight.
    fn open(listener: &TcpListener) -> Open {
        Open {
            target: Target::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap(),
            arrivals: Arrivals::Steady,
            rate: 100.0,
            seed: 1,
            duration: Duration::from_millis(100),
            timeout: Duration::from_secs(3600),
            in_flight_max: 3,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_for_answers_and_what_is_too_much_is_lost() {
        // Nobody accepts, so that no answer ever comes.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (lost, mut losses) = mpsc::unbounded_channel();
        let stop = async { while losses.recv().await != Some(7) {} };
        let count = Mutex::new(0);
        let each = move |_: &Call| {
            let mut count = count.lock().unwrap();
            *count += 1;
            lost.send(*count).unwrap();
        };
        let run = open(&listener).run(stop, each).await.unwrap();
        assert!(run.calls.iter().all(|call| (call.end, call.lag) == (End::NotSent, None)), "{:?}", run.calls);
        let starts: Vec<_> = run.calls.iter().map(|call| call.start).collect();
        assert_eq!(starts, [30, 40, 50, 60, 70, 80, 90].map(Duration::from_millis));
        // One that was handed over in this very moment may not have begun.
        assert!(run.unfinished.unwrap() <= 3, "{:?}", run.unfinished);
        assert!(run.causes[&End::NotSent].starts_with("3 were in flight"), "{:?}", run.causes);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_lasts_as_long_as_it_was_meant_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = Open { timeout: Duration::from_millis(1), in_flight_max: 10, ..open(&listener) };
        let run = open.run(std::future::pending(), |_| ()).await.unwrap();
        assert_eq!((run.calls.len(), run.unfinished), (10, None));
        assert!(run.time >= open.duration, "{:?}", run.time);
        assert!(
            run.calls.iter().all(|call| call.time >= open.timeout && call.lag.is_some()),
            "{:?}",
            run.calls
        );
    }

    #[tokio::test]
    async fn time_counts_from_the_moment_in_the_schedule() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = Open { timeout: Duration::from_secs(1), ..open(&listener) };
        let client = Client::new(&open.target, open.timeout, 1, |_| ());
        // A second late, it has no time left.
        client.call(client.begin() - open.timeout).await;
        let run = client.run(Load::Open(open.clone()), RunEnd::Finished);
        let [call] = run.calls[..] else { panic!("{:?}", run.calls) };
        assert_eq!(call.end, End::TimedOut);
        assert!(call.lag.unwrap() >= open.timeout && call.time >= call.lag.unwrap(), "{call:?}");
    }
}
