//! A service over HTTP/2 that works on when its caller resets a stream, and counts what it does at once.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinHandle};

/// It asks of a path such as `/late-body?ms=500` what `service.py` asks of it, and knows no others.
pub(super) struct Counted {
    pub(super) url: String,
    work: Arc<Work>,
}

#[derive(Default)]
struct Work {
    running: AtomicU32,
    most: AtomicU32,
}

impl Counted {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("h2c://{}", listener.local_addr().unwrap());
        let work = Arc::new(Work::default());
        let counted = Arc::clone(&work);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let work = Arc::clone(&counted);
                let serve = service_fn(move |request| serve(Arc::clone(&work), request));
                let connection =
                    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), serve);
                tokio::spawn(connection);
            }
        });
        Counted { url, work }
    }

    /// The most that ran at once, when all has come to its end.
    pub(super) async fn most(&self) -> u32 {
        while self.work.running.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        self.work.most.load(Ordering::Relaxed)
    }
}

async fn serve(work: Arc<Work>, request: Request<Incoming>) -> Result<Response<Late>, Infallible> {
    let query = request.uri().query().unwrap_or_default();
    let milliseconds = query.strip_prefix("ms=").and_then(|time| time.parse().ok()).unwrap_or(0);
    // In a task of its own, which nobody drops with the stream.
    let mut done = tokio::spawn(async move {
        let running = work.running.fetch_add(1, Ordering::Relaxed) + 1;
        work.most.fetch_max(running, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        work.running.fetch_sub(1, Ordering::Relaxed);
    });
    if request.uri().path() == "/late-body" {
        return Ok(Response::new(Late(Some(done))));
    }
    let _ = (&mut done).await;
    Ok(Response::new(Late(None)))
}

/// The last part of an answer, which comes when the work is done.
struct Late(Option<JoinHandle<()>>);

impl Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(work) = &mut self.0 else { return Poll::Ready(None) };
        let _ = ready!(Pin::new(work).poll(cx));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"done")))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
