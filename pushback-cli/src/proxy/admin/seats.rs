//! Room for few connections, of which there is always one more for whoever comes.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::timeout,
};

use crate::proxy::attended::Initiative;

/// Until it is looked again whether somebody has nothing to do, while all have.
const PAUSE: Duration = Duration::from_millis(100);

/// If all are taken, the connection on which it has been the client's turn for longest is closed for the next one: clients that
/// stay and say nothing must not keep a probe from its answer.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Vec<Guest>,
}

struct Guest {
    initiative: Arc<Initiative>,
    task: AbortHandle,
}

/// Free again when it is dropped.
pub(super) struct Seat(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        Seats { free: Arc::new(Semaphore::new(count)), taken: Vec::new() }
    }

    /// Makes room if there is none. Waits only while it is our turn on every connection.
    pub(super) async fn next(&mut self) -> Seat {
        loop {
            if let Ok(seat) = Arc::clone(&self.free).try_acquire_owned() {
                return Seat(seat);
            }
            self.close_one();
            // The one that was closed is gone in no time.
            if let Ok(Ok(seat)) = timeout(PAUSE, Arc::clone(&self.free).acquire_owned()).await {
                return Seat(seat);
            }
        }
    }

    /// Whose task has a seat.
    pub(super) fn take(&mut self, initiative: Arc<Initiative>, task: AbortHandle) {
        self.taken.retain(|guest| !guest.task.is_finished());
        self.taken.push(Guest { initiative, task });
    }

    fn close_one(&self) {
        let here = self.taken.iter().filter(|guest| !guest.task.is_finished());
        let waiting = here.filter_map(|guest| Some((guest.initiative.client_s_since()?, &guest.task)));
        if let Some((_, task)) = waiting.min_by_key(|(since, _)| *since) {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::proxy::attended::{Attendant, Bounds};

    #[tokio::test]
    async fn whoever_has_been_silent_for_longest_makes_room() {
        let mut seats = Seats::new(2);
        let attendant = Attendant::new();
        let mut guests = Vec::new();
        for _ in 0..2 {
            let seat = seats.next().await;
            let initiative =
                attendant.begin(Bounds { head: Duration::MAX, idle: Duration::MAX }).initiative();
            let task = tokio::spawn(async move {
                let _seat = seat;
                pending::<()>().await;
            });
            seats.take(initiative, task.abort_handle());
            guests.push(task);
        }
        let _third = seats.next().await;
        let ended: Vec<_> = guests.iter().map(tokio::task::JoinHandle::is_finished).collect();
        assert_eq!(ended, [true, false]);
    }
}
