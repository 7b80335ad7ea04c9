//! Waiting for what must come.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

/// Waits for something that must not take longer.
pub(super) async fn within<T>(bound: Duration, what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = timeout(bound, future).await else { panic!("after {bound:?}, there is not yet: {what}") };
    done
}
