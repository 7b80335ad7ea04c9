//! The service behind the proxy, and the connections to it.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use hyper::{Request, Response};
use pushback::http::SenderStalled;
use tokio::time::timeout;

use super::{
    answer::Answer,
    connect::Address,
    message::{error::Error, upload::Upload},
    pool::{Failure, Pool},
    settings::ServiceSettings,
    streams::Streams,
    tls,
    typical::Typical,
};

/// A service, and each worker's own connections to it.
pub(super) struct Upstream {
    pub(super) settings: ServiceSettings,
    pub(super) typical: Typical,
    ways: Box<[Way]>,
}

enum Way {
    H1(Arc<Pool>),
    H2(Streams),
}

impl Upstream {
    /// Connects nowhere yet. An error says what is wrong with its certificates.
    pub(super) fn new(settings: &ServiceSettings, workers: usize) -> Result<Self, String> {
        let address = Address::of(settings)?;
        let way = |_| match settings.origin.is_h2() {
            true => Way::H2(Streams::to(address.clone())),
            false => Way::H1(Pool::to(address.clone())),
        };
        let ways = (0..workers).map(way).collect();
        Ok(Upstream { settings: settings.clone(), typical: Typical::default(), ways })
    }

    /// Sends it over one of this worker's connections, and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        worker: usize,
        request: Request<Upload>,
        answer_max: Duration,
    ) -> Result<Response<Answer>, Error> {
        timeout(answer_max, self.ways[worker].exchange(request)).await.map_err(|_| Error::TooSlow)?
    }
}

impl Way {
    async fn exchange(&self, request: Request<Upload>) -> Result<Response<Answer>, Error> {
        match self {
            Way::H1(pool) => match pool.send(request).await {
                Ok((response, lease)) => Ok(response.map(|body| Answer::service(body, Some(lease)))),
                Err(Failure::Connect(error)) => Err(error_of_connect(&error)),
                Err(Failure::Exchange(error)) => Err(error_of(&error)),
            },
            Way::H2(streams) => Ok(streams.send(request).await?.map(|body| Answer::service(body, None))),
        }
    }
}

pub(super) fn error_of_connect(error: &io::Error) -> Error {
    match tls::error_in(error) {
        Some(rustls::Error::InvalidCertificate(_)) => return Error::Certificate,
        Some(_) => return Error::Tls,
        None => (),
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused,
        io::ErrorKind::TimedOut => Error::ConnectTimeout,
        _ => Error::Unreachable,
    }
}

/// What a failed exchange is to the client.
pub(super) fn error_of(error: &(dyn StdError + 'static)) -> Error {
    if find::<SenderStalled>(error).is_some() {
        return Error::Upload;
    }
    // So hyper calls chunks that are none; a body which only stops is cut off.
    let is_garbled =
        |io: &&io::Error| matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
    let is_of_sender = find::<hyper::Error>(error).is_some_and(hyper::Error::is_user);
    if is_of_sender && find::<io::Error>(error).filter(is_garbled).is_some() {
        return Error::Malformed("The body's chunks are malformed");
    }
    match find::<hyper::Error>(error) {
        Some(error) if error.is_parse() => Error::Garbage,
        Some(error) if error.is_user() => Error::Upload,
        _ => Error::Broken,
    }
}

/// The first cause of this kind.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error: &&(dyn StdError + 'static)| (*error).source())
        .find_map(|error| error.downcast_ref())
}
