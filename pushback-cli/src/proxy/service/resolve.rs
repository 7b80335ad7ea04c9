//! What a service's name means.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::lookup_host, sync::watch, time::timeout};

/// A name, and its last known addresses.
pub(super) struct Name {
    ask: Ask,
    known: Mutex<Vec<SocketAddr>>,
    /// What is being asked. A question takes a thread and a file, which nobody gets back before there is an answer; so all who ask meanwhile share it.
    asking: Mutex<Option<Answer>>,
}

/// Nothing, as long as there is none. An error in its words.
type Answer = watch::Receiver<Option<Result<Vec<SocketAddr>, (io::ErrorKind, String)>>>;

/// Asks whoever knows; so that a test can say what a name means.
type Ask = Box<dyn Fn() -> Asked + Send + Sync>;
type Asked = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

impl Name {
    /// As the system knows it. An address means itself.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let host = host.to_owned();
        Name::asked_by(move || {
            let host = host.clone();
            async move { Ok(lookup_host((host.as_str(), port)).await?.collect()) }
        })
    }

    pub(super) fn asked_by<A>(ask: impl Fn() -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Name { ask: Box::new(move || Box::pin(ask())), known: Mutex::default(), asking: Mutex::default() }
    }

    /// Its addresses, within this time. While they cannot be found out, the last known ones hold: a name server that fails takes no
    /// service along.
    pub(super) async fn addresses(&self, max: Duration) -> io::Result<Vec<SocketAddr>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Where there are some, time must be left to connect to them.
        let patience = if known.is_empty() { max } else { max / 2 };
        let asked = timeout(patience, self.asked()).await;
        let error = match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(found) if !found.is_empty() => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&found);
                return Ok(found);
            }
            Ok(_) => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
            Err(error) => error,
        };
        if known.is_empty() {
            return Err(error);
        }
        tracing::debug!(%error, "cannot look up the service's name; its last known addresses are used");
        Ok(known)
    }

    /// What whoever knows says, to a question that is under way or else is put now.
    async fn asked(&self) -> io::Result<Vec<SocketAddr>> {
        let mut answer = self.question();
        let answer = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
        match answer {
            Ok(Some(Ok(found))) => Ok(found),
            Ok(Some(Err((kind, words)))) => Err(io::Error::new(kind, words)),
            _ => Err(io::Error::other("whoever was to ask has gone")),
        }
    }

    fn question(&self) -> Answer {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |answer: &&Answer| answer.has_changed().is_ok() && answer.borrow().is_none();
        if let Some(under_way) = asking.as_ref().filter(is_open) {
            return under_way.clone();
        }
        let (tell, answer) = watch::channel(None);
        let asked = (self.ask)();
        // A task of its own: whoever put the question may go away.
        tokio::spawn(async move {
            let found = asked.await.map_err(|error| (error.kind(), error.to_string()));
            tell.send_replace(Some(found));
        });
        *asking = Some(answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    const MAX: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_question_whoever_of_them_goes_away() {
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, answered) = watch::channel(false);
        let counts = Arc::clone(&asked);
        let name = Name::asked_by(move || {
            counts.fetch_add(1, Ordering::Relaxed);
            let mut answered = answered.clone();
            async move {
                let _ = answered.wait_for(|is| *is).await;
                Ok(vec!["192.0.2.1:80".parse().unwrap()])
            }
        });
        for _ in 0..3 {
            assert!(name.addresses(MAX).await.is_err(), "nobody answers in time");
        }
        let asks = || name.addresses(Duration::from_secs(10));
        let (one, other, ()) = tokio::join!(asks(), asks(), async {
            answer.send_replace(true);
        });
        assert_eq!((one.unwrap().len(), other.unwrap().len()), (1, 1));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        asks().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2, "later, it may mean something else");
    }

    #[tokio::test]
    async fn while_a_name_cannot_be_looked_up_its_last_known_addresses_hold() {
        let first: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let second: SocketAddr = "192.0.2.2:80".parse().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let name = Name::asked_by(move || {
            let count = asked.fetch_add(1, Ordering::Relaxed);
            async move {
                match count {
                    0 | 5 => Err(io::ErrorKind::NotFound.into()),
                    1 => Ok(vec![first]),
                    2 => Err(io::Error::other("the name server is away")),
                    3 => Ok(vec![]),
                    4 => Ok(vec![second]),
                    _ => std::future::pending().await,
                }
            }
        });
        assert_eq!(name.addresses(MAX).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        for (means, why) in [
            (first, "it is found out"),
            (first, "the name server fails"),
            (first, "it knows none"),
            (second, "it has changed"),
            (second, "the name is gone"),
            (second, "the name server says nothing"),
        ] {
            assert_eq!(name.addresses(MAX).await.unwrap(), [means], "{why}");
        }
    }
}
