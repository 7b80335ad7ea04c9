//! The place that an answer's body holds.

use bytes::Bytes;
use http_body::Frame;
use std::task::Poll;

use super::{
    BoxError,
    classify::GrpcCall,
    patrol::{Stalled, Watch},
};
use crate::outcome::Outcome;

/// What a body has next: a frame, an error, or its end.
pub(super) type Part = Option<Result<Frame<Bytes>, BoxError>>;

/// The place that a body holds.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) watch: Watch,
    /// A gRPC call says only behind its last message how it went.
    pub(super) trailers_tell: Option<GrpcCall>,
}

impl Holding {
    /// What a body's next part, or that there is none yet, means for the place that it holds.
    pub(super) fn look(held: &mut Option<Self>, part: &Poll<Part>, is_over: bool) -> Result<(), Stalled> {
        let Some(Holding { watch, trailers_tell }) = held else { return Ok(()) };
        match part {
            // The reader is there, and the service has nothing for it yet.
            Poll::Pending => return watch.awaits_us(),
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(call), Some(trailers)) = (*trailers_tell, frame.trailers_ref()) {
                    watch.record(call.outcome_of_trailers(trailers));
                    *trailers_tell = None;
                }
                if !is_over {
                    return watch.hands_over(frame.data_ref().map(|data| &data[..]));
                }
            }
            Poll::Ready(Some(Err(_)) | None) => (),
        }
        // The service broke off, or a gRPC service said nothing: neither tells anything about the load.
        if trailers_tell.is_some() || matches!(part, Poll::Ready(Some(Err(_)))) {
            watch.record(Outcome::Ignore);
        }
        watch.ends();
        // Nothing comes after this, so whoever keeps the body around keeps no place.
        *held = None;
        Ok(())
    }
}

/// A body that panics says nothing about the load, and gives its place back, whoever keeps it around.
pub(super) struct IgnoredIfUnwinding<'a>(pub(super) &'a mut Option<Holding>);

impl Drop for IgnoredIfUnwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(Holding { watch, .. }) = self.0.take() {
                watch.record(Outcome::Ignore);
            }
        }
    }
}
