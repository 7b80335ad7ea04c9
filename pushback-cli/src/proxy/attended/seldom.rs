//! Something that is seldom ready, beside something that often is.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Polls a future only when that has asked for it, and not whenever its task is woken for another reason: timers and channels take
/// a lock or more each time that they are asked in vain.
pub(super) struct Seldom<'a, F> {
    future: Pin<&'a mut F>,
    bell: Option<Arc<Bell>>,
}

impl<'a, F: Future> Seldom<'a, F> {
    pub(super) fn new(future: Pin<&'a mut F>) -> Self {
        Seldom { future, bell: None }
    }
}

impl<F: Future> Future for Seldom<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.bell.as_ref().is_some_and(|bell| bell.is_silent_for(cx.waker())) {
            return Poll::Pending;
        }
        // A new one, so that what rings before this poll is over is not lost.
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(false), task: cx.waker().clone() });
        self.bell = Some(Arc::clone(&bell));
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(bell)))
    }
}

/// By which the future asks to be polled.
struct Bell {
    has_rung: AtomicBool,
    task: Waker,
}

impl Bell {
    fn is_silent_for(&self, task: &Waker) -> bool {
        !self.has_rung.load(Ordering::Acquire) && self.task.will_wake(task)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use tokio::sync::oneshot;

    use super::*;

    /// In a task of its own, as connections are: the wakers of others do not always know themselves again.
    #[tokio::test]
    async fn it_is_polled_when_it_has_rung_or_when_another_task_waits() {
        let testing = tokio::spawn(async {
            let mut polls = 0;
            let (tell, mut told) = oneshot::channel();
            let counted = pin!(poll_fn(|cx| {
                polls += 1;
                Pin::new(&mut told).poll(cx).map(|_| polls)
            }));
            let mut seldom = Seldom::new(counted);
            let mut ten_times = |cx: &mut Context<'_>| {
                (0..10).for_each(|_| assert!(Pin::new(&mut seldom).poll(cx).is_pending()));
                Poll::Ready(())
            };
            poll_fn(&mut ten_times).await;
            let other =
                Waker::from(Arc::new(Bell { has_rung: AtomicBool::new(false), task: Waker::noop().clone() }));
            poll_fn(|_| ten_times(&mut Context::from_waker(&other))).await;
            poll_fn(&mut ten_times).await;
            tell.send(()).unwrap();
            assert_eq!(seldom.await, 4, "once for each task in turn, and when it rang");
        });
        testing.await.unwrap();
    }
}
