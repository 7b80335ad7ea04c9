//! The service behind the proxy, and the connections to it.

use std::{pin::pin, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Incoming};
use tokio::time::timeout_at;
use tracing::warn;

use super::{
    answer::{self, Answer},
    connect::Address,
    failure::{Failure, count_from_now_on, error_of, error_of_connect},
    pool::Pool,
    streams::Streams,
};
use crate::{
    files::Share,
    proxy::{
        message::{check::check_answer, error::Error, upload::Upload},
        now::now,
        settings::ServiceSettings,
    },
    rarely::Rarely,
};

/// A service, and each worker's own connections to it.
pub(in crate::proxy) struct Upstream {
    pub(in crate::proxy) settings: ServiceSettings,
    ways: Box<[Way]>,
    /// That it gives no answer.
    failing: Rarely,
}

enum Way {
    H1(Arc<Pool>),
    H2(Arc<Streams>),
}

impl Upstream {
    /// Connects nowhere yet. An error says what is wrong with its certificates.
    pub(in crate::proxy) fn new(
        settings: &ServiceSettings,
        workers: usize,
        files: &Share,
    ) -> Result<Self, String> {
        let address = Address::of(settings, files)?;
        count_from_now_on();
        let lives = settings.lives;
        let way = |_| match settings.origin.is_h2() {
            true => Way::H2(Streams::to(address.clone(), lives)),
            false => Way::H1(Pool::to(address.clone(), lives)),
        };
        let ways = (0..workers).map(way).collect();
        Ok(Upstream { settings: settings.clone(), ways, failing: Rarely::default() })
    }

    /// Sends it over one of this worker's connections, and waits for the head of the answer: so long after the service was given the last of
    /// the request, or a part of it that it does not take. A sender who is waited for has bounds of his own, by the layer; on exempt paths,
    /// which pass the layer by, this one.
    pub(in crate::proxy) async fn send(
        &self,
        worker: usize,
        request: Request<Upload>,
        answer_max: Duration,
        sender_max: Duration,
    ) -> Result<Response<Answer>, Error> {
        let handover = request.body().handover();
        let mut exchange = pin!(self.ways[worker].exchange(request));
        let mut until = now() + answer_max;
        loop {
            if let Ok(answered) = timeout_at(until.into(), &mut exchange).await {
                let of_sender = handover.as_ref().and_then(|handover| handover.failed());
                return answered.map_err(|error| of_sender.unwrap_or(error));
            }
            let Some(handover) = &handover else { return Err(Error::TooSlow) };
            let (end, too_long) = match handover.given() {
                Some(given) => (given + answer_max, Error::TooSlow),
                None => (handover.last_part() + sender_max, Error::Upload),
            };
            if end <= now() {
                return Err(too_long);
            }
            // Whose turn it is may change meanwhile.
            until = end.min(now() + answer_max);
        }
    }

    /// Says that it gave no answer, if that is its fault, and was not just said.
    pub(in crate::proxy) fn failed(&self, error: Error) {
        if !error.is_of_service() {
            return;
        }
        if let Some(times) = self.failing.happens() {
            let service = &self.settings.origin;
            warn!(%service, error = error.text(), times, "a call got no answer from its service");
        }
    }
}

impl Way {
    async fn exchange(&self, request: Request<Upload>) -> Result<Response<Answer>, Error> {
        match self {
            Way::H1(pool) => match pool.send(request).await {
                Ok((response, lease)) => answer(response, answer::Way::H1(lease)).await,
                Err(Failure::Connect(error)) => Err(error_of_connect(&error)),
                Err(Failure::Exchange(error)) => Err(error_of(&error)),
            },
            Way::H2(streams) => {
                let (response, stream) = streams.send(request).await?;
                answer(response, answer::Way::H2(stream)).await
            }
        }
    }
}

/// What goes on of it, if it has one meaning.
async fn answer(mut response: Response<Incoming>, way: answer::Way) -> Result<Response<Answer>, Error> {
    let framing = check_answer(&mut response)?;
    let mut answer = response.map(|body| Answer::service(body, way.if_good_for_another(framing.is_certain)));
    if framing.is_chunked {
        answer.body_mut().begin().await.map_err(|error| error_of(&error))?;
    }
    Ok(answer)
}
