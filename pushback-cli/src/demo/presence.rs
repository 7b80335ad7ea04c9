//! Whether anybody has the page open, and what is as usual again when nobody has any more.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use http_body_util::BodyExt;
use tokio::{sync::watch, time::sleep};

/// How long nobody must look until all is as usual: long enough for a page to be loaded anew.
const LEFT: Duration = Duration::from_secs(3);

/// How many pages are open. A page holds its stream of events as long as it is, and so does `pushback top`.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence {
    pages: Arc<watch::Sender<usize>>,
}

impl Presence {
    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.pages.subscribe()
    }

    /// One more, for as long as this stream is sent.
    pub(super) fn counts(&self, stream: Response) -> Response {
        let page = Page::opened(self);
        stream.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _open = &page;
                frame
            }))
        })
    }
}

struct Page(Presence);

impl Page {
    fn opened(presence: &Presence) -> Self {
        presence.pages.send_modify(|pages| *pages += 1);
        Page(presence.clone())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.0.pages.send_modify(|pages| *pages -= 1);
    }
}

/// Sets something back whenever it is not as usual and nobody looked for a while. A load that somebody has forgotten would keep a machine
/// busy until it is found, and backpressure that somebody has switched off would mislead whoever tries the service next. Ends with
/// whatever has the setting or the pages.
pub(super) async fn set_back_when_left<T: PartialEq>(
    mut setting: watch::Receiver<T>,
    usual: T,
    mut pages: watch::Receiver<usize>,
    set_back: impl Fn(),
) {
    while setting.wait_for(|now| *now != usual).await.is_ok()
        && pages.wait_for(|pages| *pages == 0).await.is_ok()
    {
        tokio::select! {
            () = sleep(LEFT) => set_back(),
            // Whoever looks, or sets it, is there.
            _ = pages.wait_for(|pages| *pages > 0) => (),
            _ = setting.changed() => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const RATE: u32 = 40;

    /// A rate that goes on, and who looks. Time is virtual: it moves when nobody has anything else to do.
    fn begin() -> (watch::Receiver<u32>, Presence) {
        let rate = watch::Sender::new(RATE);
        let (seen, presence) = (rate.subscribe(), Presence::default());
        let stop = {
            let rate = rate.clone();
            move || {
                rate.send_replace(0);
            }
        };
        tokio::spawn(set_back_when_left(rate.subscribe(), 0, presence.watch(), stop));
        (seen, presence)
    }

    /// Whether the rate ends within so long.
    async fn ends_within(rate: &mut watch::Receiver<u32>, time: Duration) -> bool {
        timeout(time, rate.wait_for(|rate| *rate == 0)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_goes_on_as_long_as_a_page_is_open_and_ends_soon_after_the_last() {
        let (mut rate, presence) = begin();
        let pages = [Page::opened(&presence), Page::opened(&presence)];
        let [first, last] = pages;
        assert!(!ends_within(&mut rate, Duration::from_secs(3600)).await);
        drop(first);
        assert!(!ends_within(&mut rate, Duration::from_secs(3600)).await, "another page is open");
        drop(last);
        // As long as the help and the documents say.
        assert!(!ends_within(&mut rate, Duration::from_millis(2_900)).await, "it may be loaded anew");
        assert!(ends_within(&mut rate, Duration::from_millis(200)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_loaded_anew_ends_nothing() {
        let (mut rate, presence) = begin();
        let page = Page::opened(&presence);
        assert!(!ends_within(&mut rate, LEFT).await);
        drop(page);
        assert!(!ends_within(&mut rate, LEFT / 2).await);
        let again = Page::opened(&presence);
        assert!(!ends_within(&mut rate, LEFT * 10).await);
        drop(again);
        assert!(ends_within(&mut rate, LEFT * 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_nobody_ever_looked_at_ends_too() {
        let (mut rate, _presence) = begin();
        assert!(ends_within(&mut rate, LEFT * 2).await);
    }

    #[tokio::test]
    async fn a_page_is_open_as_long_as_its_stream_is_there() {
        let presence = Presence::default();
        let mut pages = presence.watch();
        let stream = presence.counts(Response::new(Body::empty()));
        assert_eq!(*pages.borrow_and_update(), 1);
        drop(stream);
        assert_eq!(*pages.borrow_and_update(), 0);
    }
}
