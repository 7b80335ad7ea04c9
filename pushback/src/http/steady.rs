//! Sockets on which one sees how fast their readers are.

use std::{io, os::fd::AsFd};

/// How much of what is sent may lie in the system before the network takes it.
const UNSENT_MAX: u32 = 32 << 10;

/// Has a connection's socket take no more than 32 KiB that the network cannot take yet, instead of
/// megabytes.
///
/// Then a slow but steady reader is seen to make progress if it takes some tens of KiB in the time
/// of [`stall`](super::BackpressureLayer::stall). Without this, it needs megabytes. For slower ones
/// there is [`Backpressure::over`](super::Backpressure::over), in an accept loop of your own. It
/// costs little where readers are fast, and saves memory where they are not.
///
/// ```
/// use axum::{Router, serve::ListenerExt};
/// use pushback::http::see_slow_readers;
/// use tokio::net::TcpListener;
///
/// async fn serve(app: Router, listener: TcpListener) -> std::io::Result<()> {
///     let listener = listener.tap_io(|connection| drop(see_slow_readers(connection)));
///     axum::serve(listener, app).await
/// }
/// # let _ = serve;
/// ```
///
/// # Errors
///
/// If the socket is not a TCP socket. On systems other than Linux, nothing happens.
///
/// The option is `TCP_NOTSENT_LOWAT`, see
/// [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html) and
/// <https://lwn.net/Articles/560082/>.
pub fn see_slow_readers(socket: &impl AsFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_MAX)?;
    let _ = (socket, UNSENT_MAX);
    Ok(())
}
