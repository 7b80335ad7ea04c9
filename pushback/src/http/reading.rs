//! A request's body is read before its gauge is asked, to its end or to a bound: or clients that send drop by drop would take all
//! places, and nobody could tell them from a busy service.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, Request, Version};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::{
    BoxError,
    ahead::Ahead,
    allowance::Allowance,
    patrol::Patrol,
    room::{Room, Stored},
    upload::{RequestBody, SenderStalled},
};

/// How many sweeps the first message of gRPC is waited for: hardly a second. In a stream, the service may be the one to speak first.
const GRPC_SWEEPS: u32 = 2;
/// What stands before a message of gRPC: a flag, and its length in four bytes.
const GRPC_PREFIX: usize = 5;

/// A request whose body is being read.
pub(super) struct Reading<Q> {
    request: Option<Request<Pin<Box<Q>>>>,
    allowance: Allowance,
    enough: Enough,
    version: Version,
    /// The only part, or
    first: Option<Bytes>,
    /// several put together.
    all: BytesMut,
    stored: Stored,
}

/// How much of a body is read.
#[derive(Debug, Clone, Copy)]
struct Enough {
    bytes: usize,
    /// A gRPC call may be a stream of messages, each of which waits for an answer: its first message is enough.
    or_a_message: bool,
}

/// Why a body did not come to its end.
#[derive(Debug)]
pub(super) struct SenderFailed(pub(super) BoxError);

impl<Q> Reading<Q>
where
    Q: Body<Data = Bytes, Error: Into<BoxError>>,
{
    pub(super) fn new(request: Request<Q>, bytes: usize, is_grpc: bool, patrol: &Arc<Patrol>) -> Self {
        let allowance =
            if is_grpc { Allowance::brief(patrol, GRPC_SWEEPS) } else { Allowance::new(patrol, 0) };
        Reading {
            enough: Enough { bytes, or_a_message: is_grpc },
            version: request.version(),
            request: Some(request.map(Box::pin)),
            allowance,
            first: None,
            all: BytesMut::new(),
            stored: Room::of_process().begin(),
        }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Waits until enough of the body is there; gives the request back.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Request<RequestBody<Q>>, SenderFailed>> {
        if self.stored.goes_on().is_err() {
            self.allowance.patrol().a_sender_stalled();
            return Poll::Ready(Err(SenderFailed(SenderStalled.into())));
        }
        loop {
            let body = self.request.as_mut().expect("a body that was read is read again").body_mut();
            let part = body.as_mut().poll_frame(cx);
            let is_over = body.is_end_stream();
            if part.is_pending() && self.allowance.awaits(cx).is_err() {
                if self.enough.or_a_message {
                    return Poll::Ready(Ok(self.end(None, false))); // it is the service's turn to speak first
                }
                return Poll::Ready(Err(SenderFailed(SenderStalled.into())));
            }
            if part.is_pending() {
                self.stored.waits(cx);
            }
            let part = ready!(part).transpose().map_err(|error| SenderFailed(error.into()))?;
            let data = match part.map(Frame::into_data) {
                None => return Poll::Ready(Ok(self.end(None, true))),
                Some(Err(other)) => return Poll::Ready(Ok(self.end(other.into_trailers().ok(), true))),
                Some(Ok(data)) => data,
            };
            self.allowance.came(data.len());
            let is_within = self.stored.add(data.len());
            self.keep(data);
            if is_over || !is_within || self.enough.is(self.first.as_deref().unwrap_or(&self.all)) {
                return Poll::Ready(Ok(self.end(None, is_over)));
            }
        }
    }

    /// One part is kept as it is. Several are put together, for each may be one byte of a large buffer.
    fn keep(&mut self, data: Bytes) {
        if self.first.is_none() && self.all.is_empty() {
            self.first = Some(data);
            return;
        }
        if let Some(first) = self.first.take() {
            self.all.extend_from_slice(&first);
        }
        self.all.extend_from_slice(&data);
    }

    fn end(&mut self, trailers: Option<HeaderMap>, is_whole: bool) -> Request<RequestBody<Q>> {
        let data = self.first.take().unwrap_or_else(|| std::mem::take(&mut self.all).freeze());
        let ahead = Ahead::new(data, trailers, is_whole, self.stored.hand_over());
        let request = self.request.take().expect("it is given back once");
        request.map(|body| RequestBody::begun(ahead, body))
    }
}

impl Enough {
    fn is(self, there: &[u8]) -> bool {
        there.len() >= self.bytes || self.or_a_message && has_message(there)
    }
}

/// Whether the first message of gRPC is there.
fn has_message(there: &[u8]) -> bool {
    let Some((prefix, message)) = there.split_first_chunk::<GRPC_PREFIX>() else { return false };
    let [_, length @ ..] = *prefix;
    message.len() as u64 >= u64::from(u32::from_be_bytes(length))
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_of_grpc_is_what_its_prefix_says() {
        for (there, is_there) in [
            (&b""[..], false),
            (b"\0\0\0\0", false),
            (b"\0\0\0\0\0", true),
            (b"\0\0\0\0\x02a", false),
            (b"\0\0\0\0\x02ab", true),
            (b"\0\0\0\0\x02abc", true),
            (b"\x01\xff\xff\xff\xffabc", false),
        ] {
            assert_eq!(has_message(there), is_there, "{there:?}");
        }
    }
}
