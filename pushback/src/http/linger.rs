//! What a refused client still sends.
//!
//! Over HTTP/1, a client that is answered while it sends goes on sending. If nobody reads that, the server closes
//! the connection with data unread, the client's system is told so by a reset, and throws the answer away. So it is read and
//! forgotten behind the answer: at most so much, for so long, from so many clients. HTTP/2 needs none of this: the
//! server ends the stream behind the answer with `RST_STREAM(NO_ERROR)`, and clients must not throw the answer away for it
//! (RFC 9113, 8.1), though curl 7.88 does.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use ::http::{Request, Version, header::EXPECT};
use bytes::Buf;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use super::{
    RequestBody,
    patrol::{Patrol, Watch},
};

/// Twice as much as the uploads that most services allow.
const BYTES_MAX: usize = 4 << 20;
/// A client on a working connection reads its answer in less.
const TIME_MAX: Duration = Duration::from_secs(2);
/// How many clients of one layer are read from at once. Above that, they see a reset.
const CLIENTS_MAX: usize = 256;

/// How many clients of one layer are read from now.
#[derive(Debug, Clone, Default)]
pub(super) struct Lingering {
    clients: Arc<AtomicUsize>,
}

/// Whether a refused client must be read from. Whoever expects to be told to go on has sent nothing, and reading would tell
/// it to go on.
pub(super) fn is_still_sending<Q: Body>(request: &Request<RequestBody<Q>>) -> bool {
    request.body().is_coming()
        && request.version() < Version::HTTP_2
        && !request.headers().contains_key(EXPECT)
}

/// Reads on, in a task of its own, what was refused. Outside of tokio nothing is read.
pub(super) fn linger<Q>(lingering: &Lingering, patrol: &Arc<Patrol>, body: Q)
where
    Q: Body + Send + 'static,
{
    let Ok(runtime) = Handle::try_current() else { return };
    if lingering.clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS_MAX {
        lingering.clients.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let client = Client { watch: Watch::at_most(patrol, TIME_MAX), lingering: lingering.clone() };
    runtime.spawn(Linger { body, client, bytes_left: BYTES_MAX });
}

pin_project! {
    /// Reads to the end, or to the bounds.
    struct Linger<Q> {
        #[pin]
        body: Q,
        client: Client,
        bytes_left: usize,
    }
}

struct Client {
    watch: Watch,
    lingering: Lingering,
}

impl<Q: Body> Future for Linger<Q> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            if this.client.watch.wake_when_stalled(cx).is_err() {
                return Poll::Ready(());
            }
            let Some(Ok(frame)) = ready!(this.body.as_mut().poll_frame(cx)) else { return Poll::Ready(()) };
            let length = frame.data_ref().map_or(0, Buf::remaining);
            let Some(left) = this.bytes_left.checked_sub(length) else { return Poll::Ready(()) };
            *this.bytes_left = left;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.lingering.clients.fetch_sub(1, Ordering::Relaxed);
    }
}
