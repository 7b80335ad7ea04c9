//! Whose turn it is on a connection: ours while a request waits for its answer, or an answer for its next part; else the client's, to
//! ask, or to take what there is.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::{
    Response,
    body::{Body, Frame, SizeHint},
    service::Service,
};
use pin_project_lite::pin_project;

use crate::proxy::now::now;

/// On one connection.
#[derive(Debug)]
pub(in crate::proxy) struct Initiative {
    began: Instant,
    /// Of how many requests it is our turn.
    ours: AtomicUsize,
    /// When the client's turn began last, in nanoseconds from the start; 0 as long as nothing was asked.
    client_s_from: AtomicU64,
}

impl Initiative {
    pub(super) fn new() -> Self {
        Initiative { began: now(), ours: AtomicUsize::new(0), client_s_from: AtomicU64::new(0) }
    }

    /// Since when it has been the client's turn on the whole connection, if it is.
    pub(in crate::proxy) fn client_s_since(&self) -> Option<Instant> {
        // Acquire: whoever sees that a turn of ours has ended sees when.
        let is_client_s = self.ours.load(Ordering::Acquire) == 0;
        is_client_s.then(|| self.began + Duration::from_nanos(self.client_s_from.load(Ordering::Relaxed)))
    }

    /// Whether there has been a turn of ours that is over.
    pub(super) fn has_been_asked(&self) -> bool {
        self.client_s_from.load(Ordering::Relaxed) > 0
    }
}

/// Whose turn it is for one request; gone, it is the client's.
pub(super) struct Turn {
    initiative: Arc<Initiative>,
    is_ours: bool,
}

impl Turn {
    /// A request has come.
    pub(super) fn ours(initiative: &Arc<Initiative>) -> Self {
        let mut turn = Turn { initiative: Arc::clone(initiative), is_ours: false };
        turn.is_ours();
        turn
    }

    fn is_ours(&mut self) {
        if !self.is_ours {
            self.initiative.ours.fetch_add(1, Ordering::Relaxed);
            self.is_ours = true;
        }
    }

    /// The client has something to take, from now on.
    fn is_client_s(&mut self) {
        let from = now().saturating_duration_since(self.initiative.began).as_nanos();
        self.initiative
            .client_s_from
            .store(u64::try_from(from).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
        if self.is_ours {
            self.initiative.ours.fetch_sub(1, Ordering::Release);
            self.is_ours = false;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_ours {
            self.is_client_s();
        }
    }
}

/// A connection's service, of which it is known whose turn it is.
pub(super) struct Turning<S> {
    service: S,
    initiative: Arc<Initiative>,
}

impl<S> Turning<S> {
    pub(super) fn new(service: S, initiative: &Arc<Initiative>) -> Self {
        Turning { service, initiative: Arc::clone(initiative) }
    }
}

impl<S: Service<Q, Response = Response<B>>, Q, B> Service<Q> for Turning<S> {
    type Response = Response<Delivered<B>>;
    type Error = S::Error;
    type Future = Asked<S::Future>;

    fn call(&self, request: Q) -> Self::Future {
        let turn = Some(Turn::ours(&self.initiative));
        Asked { answering: self.service.call(request), turn }
    }
}

pin_project! {
    /// A request that waits for the head of its answer.
    pub(super) struct Asked<F> {
        #[pin]
        answering: F,
        turn: Option<Turn>,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for Asked<F> {
    type Output = Result<Response<Delivered<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let asked = self.project();
        let answer = ready!(asked.answering.poll(cx))?;
        let turn = asked.turn.take();
        Poll::Ready(Ok(answer.map(|body| Delivered { body, turn })))
    }
}

pin_project! {
    /// An answer's body, which the client takes part by part.
    ///
    /// It is asked for its first part at once, and for the next ones when there is room for them: so while it has none, it waits for its
    /// service.
    pub(super) struct Delivered<B> {
        #[pin]
        body: B,
        turn: Option<Turn>,
    }
}

impl<B: Body> Body for Delivered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let delivered = self.project();
        let part = delivered.body.poll_frame(cx);
        if let Some(turn) = delivered.turn {
            if part.is_pending() { turn.is_ours() } else { turn.is_client_s() }
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        pin::pin,
        task::Waker,
    };

    use bytes::Bytes;

    use super::*;

    /// Its service is not ready with a part at first, and then it is.
    struct Late {
        polls: u32,
    }

    impl Body for Late {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.polls += 1;
            if self.polls == 1 { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(Bytes::new())))) }
        }
    }

    struct AtOnce;

    impl Service<()> for AtOnce {
        type Response = Response<Late>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Late>, Infallible>>;

        fn call(&self, (): ()) -> Self::Future {
            ready(Ok(Response::new(Late { polls: 0 })))
        }
    }

    #[test]
    fn it_is_our_turn_until_there_is_an_answer_and_while_its_next_part_is_awaited() {
        let initiative = Arc::new(Initiative::new());
        let service = Turning::new(AtOnce, &initiative);
        let is_ours = || initiative.client_s_since().is_none();
        assert_eq!((is_ours(), initiative.has_been_asked()), (false, false));
        let mut asked = pin!(service.call(()));
        assert!(is_ours());
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(answer)) = asked.as_mut().poll(&mut cx) else { panic!("it is answered at once") };
        let mut body = Box::pin(answer.into_body());
        assert!(body.as_mut().poll_frame(&mut cx).is_pending() && is_ours());
        assert!(body.as_mut().poll_frame(&mut cx).is_ready() && !is_ours(), "it is for the client to take");
        assert!(initiative.has_been_asked());
        // Two at once: the turn is the client's when both are gone, whichever way they go.
        let second = service.call(());
        let third = service.call(());
        drop((body, second));
        assert!(is_ours());
        drop(third);
        assert!(initiative.client_s_since().is_some_and(|since| since <= now()));
    }
}
