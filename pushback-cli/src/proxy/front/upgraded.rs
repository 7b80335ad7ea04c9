//! Connections that have become something else: they hold no place of their gauge any more, so they are counted and limited by
//! themselves, and live as long as both sides use them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use pushback::{BuildError, OwnedPermit, PressureGauge};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time::sleep,
};
use tracing::debug;

use crate::proxy::{
    attended::Keep,
    message::{error::Error, upgrade::Upgrade},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Those of one route.
#[derive(Clone)]
pub(super) struct Upgraded {
    /// Its name.
    route: Arc<str>,
    places: PressureGauge,
    /// How long nothing may move on one.
    idle: Duration,
}

/// One that may be.
pub(super) struct Upgrading {
    place: OwnedPermit,
    idle: Duration,
    keep: Keep,
}

impl Upgraded {
    /// Those that are open go on, whatever the settings were before.
    pub(super) fn new(
        route: &str,
        limit: u32,
        idle: Duration,
        before: Option<&Upgraded>,
    ) -> Result<Self, BuildError> {
        let places = match before {
            Some(before) => before.places.clone(),
            // No gauge of the settings can have this name, by which the log tells it from them.
            None => PressureGauge::builder().name(format!("{route} upgraded")).limit(limit).build()?,
        };
        if places.snapshot().limit != limit {
            places.set_limit(limit);
        }
        Ok(Upgraded { route: route.into(), places, idle })
    }

    /// A place for one more, which holds up the end of the proxy as calls do.
    pub(super) fn begin(&self, keep: &Keep) -> Result<Upgrading, Error> {
        let place = self.places.try_acquire().map_err(|_| Error::TooManyUpgrades)?.into_owned();
        Ok(Upgrading { place, idle: self.idle, keep: keep.clone() })
    }

    pub(super) fn route(&self) -> &str {
        &self.route
    }

    /// How many are open.
    pub(super) fn open(&self) -> u64 {
        u64::from(self.places.snapshot().in_flight)
    }

    pub(super) fn publish_metrics(&self) {
        describe_gauge!(
            "pushback_upgraded_connections",
            "Upgraded connections, such as WebSockets, by route."
        );
        describe_gauge!(
            "pushback_upgraded_connections_limit",
            "The most upgraded connections that may be open, by route."
        );
        describe_counter!("pushback_upgrades_refused_total", "Upgrades refused at that limit, by route.");
        let snapshot = self.places.snapshot();
        let route = || self.route.to_string();
        gauge!("pushback_upgraded_connections", "route" => route()).set(snapshot.in_flight);
        gauge!("pushback_upgraded_connections_limit", "route" => route()).set(snapshot.limit);
        counter!("pushback_upgrades_refused_total", "route" => route()).absolute(snapshot.refused.total());
    }
}

impl Upgrading {
    /// Joins both sides for as long as they use it.
    pub(super) fn join(self, Upgrade { client, .. }: Upgrade, service: OnUpgrade) {
        tokio::spawn(async move {
            let Upgrading { place, idle, keep } = self;
            // What bounds connections of requests is not for it any more.
            let busy = keep.keep_busy();
            if let Err(error) = joined(client, service, idle).await {
                debug!(error, "an upgraded connection broke");
            }
            drop((place, busy, keep));
        });
    }
}

async fn joined(client: OnUpgrade, service: OnUpgrade, idle: Duration) -> Result<(), BoxError> {
    let (client, service) = tokio::try_join!(client, service)?;
    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Counted { io: TokioIo::new(client), moved: Arc::clone(&moved) };
    let mut service = TokioIo::new(service);
    tokio::select! {
        ended = copy_bidirectional(&mut client, &mut service) => drop(ended?),
        () = falls_idle(&moved, idle) => debug!("an upgraded connection was idle for too long"),
    }
    Ok(())
}

/// Waits until nothing has moved for so long; at most for twice as long.
async fn falls_idle(moved: &AtomicU64, idle: Duration) {
    let mut before = None;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if before.replace(now) == Some(now) {
            return;
        }
        sleep(idle).await;
    }
}

/// The client's side, by which all goes that moves.
struct Counted<Io> {
    io: Io,
    /// In bytes, either way.
    moved: Arc<AtomicU64>,
}

impl<Io> Counted<Io> {
    fn count(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Counted<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.count(buffer.filled().len() - before);
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Counted<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.count(bytes);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
