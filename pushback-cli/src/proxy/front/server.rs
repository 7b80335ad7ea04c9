//! How hyper serves clients.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::proxy::{attended::Server, settings::Clients};

/// Without `pipeline_flush`: with it, hyper buffers an answer without a bound while its client does not read, and closes without
/// having written its last answer if bytes are left that it will not read.
pub(super) fn server(clients: &Clients) -> Server {
    let mut server = Server::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(clients.head)
        .max_buf_size(usize::try_from(clients.head_size).unwrap_or(usize::MAX))
        .max_headers(clients.fields_max())
        // Small answers go out as one piece, which costs less than telling the system of two.
        .writev(false);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(clients.streams)
        .max_header_list_size(clients.head_size)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    server
}
