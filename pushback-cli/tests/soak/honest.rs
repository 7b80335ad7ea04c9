//! Clients that ask at a steady pace, whatever happens to their calls.

use std::{
    ops::Sub,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout_at},
};

use crate::raw::Raw;

const CLIENTS: u32 = 32;
/// How often each of them asks: together a hundred times a second, which is little, for it is not the processors that are measured. No more
/// often than an answer may take, so that one in time keeps no other call from being made.
const PACE: Duration = Duration::from_millis(320);
const PATH: &str = "/?ms=20";
/// An answer is of use for so long after its call was due, which leaves room for a machine whose processors others use. From when it was
/// due, and not from when it was asked for, or a client that is held up would not notice what it could not ask.
const IN_TIME: Duration = Duration::from_millis(300);

/// What became of calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) in_time: u32,
    pub(crate) late: u32,
    pub(crate) refused: u32,
    /// Of the proxy's own, or none at all.
    pub(crate) failed: u32,
}

impl Sub for Answers {
    type Output = Answers;

    fn sub(self, before: Answers) -> Answers {
        Answers {
            in_time: self.in_time - before.in_time,
            late: self.late - before.late,
            refused: self.refused - before.refused,
            failed: self.failed - before.failed,
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    in_time: AtomicU32,
    late: AtomicU32,
    refused: AtomicU32,
    failed: AtomicU32,
}

pub(crate) struct Honest {
    counts: Arc<Counts>,
    clients: JoinSet<()>,
}

impl Honest {
    pub(crate) fn start(address: &str) -> Self {
        let counts = Arc::new(Counts::default());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (address, counts) = (address.to_owned(), Arc::clone(&counts));
            clients.spawn(async move {
                sleep(PACE * number / CLIENTS).await; // not all at once
                ask_again_and_again(&address, &counts).await;
            });
        }
        Honest { counts, clients }
    }

    pub(crate) fn answers(&self) -> Answers {
        let Counts { in_time, late, refused, failed } = &*self.counts;
        let [in_time, late, refused, failed] =
            [in_time, late, refused, failed].map(|count| count.load(Ordering::Relaxed));
        Answers { in_time, late, refused, failed }
    }

    /// Waits until so many more are served.
    pub(crate) async fn serve(&self, more: u32) {
        let enough = self.answers().in_time + more;
        while self.answers().in_time < enough {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn stop(self) {
        crate::stop(self.clients).await;
    }
}

async fn ask_again_and_again(address: &str, counts: &Counts) {
    // What could not be asked when it was due is lost, as it is for somebody who has given up: or a moment without a processor would make
    // all answers late until all that was due in it is asked.
    let mut due = interval(PACE);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let mut client = Raw::connect(address).await;
        let mut is_connected = true;
        while is_connected {
            let useful_until = due.tick().await + IN_TIME;
            let mut asked = pin!(client.get(address, PATH));
            let in_time = timeout_at(useful_until, &mut asked).await;
            let is_in_time = in_time.is_ok();
            let answer = match in_time {
                Ok(answer) => answer,
                Err(_) => asked.await,
            };
            is_connected = answer.is_ok();
            let count = match answer.map(|answer| answer.status) {
                Ok(200) if is_in_time => &counts.in_time,
                Ok(200) => &counts.late,
                Ok(429) => &counts.refused,
                _ => &counts.failed,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
