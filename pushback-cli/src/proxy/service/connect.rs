//! Connecting to a service, with TLS or without.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::resolve::Name;
use crate::{
    files::{Share, Taken},
    proxy::{settings::ServiceSettings, tls},
};

/// For how long an address is tried alone before the next one is tried beside it (RFC 8305, 5).
const ATTEMPT_ALONE: Duration = Duration::from_millis(250);

/// Where connections go.
#[derive(Clone)]
pub(crate) struct Address {
    name: Arc<Name>,
    connect_max: Duration,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What connections may take.
    pub(super) files: Share,
}

/// A connection on which nothing has been said yet.
pub(crate) enum Connected {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Address {
    /// An error says what is wrong with the certificates, or with the name that they would be for.
    pub(crate) fn of(settings: &ServiceSettings, files: &Share) -> Result<Self, String> {
        let ServiceSettings { origin, connect, ca, .. } = settings;
        let host = origin.host();
        let tls = if origin.is_tls() {
            let mut config = tls::client(ca.as_deref())?;
            config.alpn_protocols = vec![if origin.is_h2() { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
            let name = ServerName::try_from(host.to_owned());
            let name = name.map_err(|_| format!("no certificate can be for '{host}'"))?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        let name = Arc::new(Name::new(host, origin.port()));
        Ok(Address { name, connect_max: *connect, tls, files: files.clone() })
    }

    /// The connection, and its file, which is to be kept for as long.
    pub(crate) async fn connect(&self) -> io::Result<(Connected, Taken)> {
        let connected = timeout(self.connect_max, async {
            let addresses = self.name.addresses(self.connect_max).await?;
            let (stream, file) = first_of(&addresses, self.connect_max, &self.files).await?;
            stream.set_nodelay(true)?;
            let connected = match &self.tls {
                None => Connected::Plain(stream),
                Some((tls, name)) => Connected::Tls(Box::new(tls.connect(name.clone(), stream).await?)),
            };
            Ok((connected, file))
        });
        connected.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Connects to whichever answers first. They are tried in their order, and the next one when the one before has failed or says nothing
/// for a while, which is so short that each has its turn within `max`: an address that swallows all uses up nobody's time.
async fn first_of(addresses: &[SocketAddr], max: Duration, files: &Share) -> io::Result<(TcpStream, Taken)> {
    let attempt = |address| {
        let files = files.clone();
        async move {
            let file = files.take().await?;
            Ok((TcpStream::connect(address).await?, file))
        }
    };
    if let [only] = addresses {
        return attempt(*only).await;
    }
    let alone = ATTEMPT_ALONE.min(max / 2 / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1));
    let mut attempts = JoinSet::new(); // those that are left end with it
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    let mut untried = addresses.iter().copied();
    loop {
        if let Some(address) = untried.next() {
            attempts.spawn(attempt(address));
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(connected))) => return Ok(connected),
                Some(Ok(Err(failed))) => error = failed,
                Some(Err(failed)) => error = io::Error::other(failed),
                None => return Err(error),
            },
            () = sleep(alone), if untried.len() > 0 => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const MAX: Duration = Duration::from_secs(10);

    fn to(name: Name, connect_max: Duration) -> Address {
        Address { name: Arc::new(name), connect_max, tls: None, files: Share::of_all() }
    }

    async fn listener(host: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Somebody whose backlog is full, so that the system swallows whoever else would connect.
    async fn swallows() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut full = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            full.push(connected.unwrap());
        }
        (listener, full, address)
    }

    async fn connects_to(address: &Address) -> SocketAddr {
        match address.connect().await.unwrap().0 {
            Connected::Plain(stream) => stream.peer_addr().unwrap(),
            Connected::Tls(_) => unreachable!("there is none"),
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_or_swallows_leaves_the_others_their_time() {
        let (_swallows, _full, silent) = swallows().await;
        let (refuses, refusing) = listener("127.0.0.1").await;
        drop(refuses);
        let (_lives, living) = listener("127.0.0.1").await;
        let name = Name::asked_by(move || async move { Ok(vec![silent, refusing, silent, living]) });
        assert_eq!(connects_to(&to(name, MAX)).await, living);

        // Also where there is little time for all.
        let name = Name::asked_by(move || async move { Ok(vec![silent, silent, silent, living]) });
        assert_eq!(connects_to(&to(name, Duration::from_millis(500))).await, living);
    }

    #[tokio::test]
    async fn where_none_answers_the_error_says_how_they_failed() {
        let (_swallows, _full, silent) = swallows().await;
        let (refuses, refusing) = listener("127.0.0.1").await;
        drop(refuses);
        for (addresses, kind) in [
            (vec![refusing, refusing], io::ErrorKind::ConnectionRefused),
            (vec![refusing, silent], io::ErrorKind::TimedOut),
        ] {
            let name = Name::asked_by(move || {
                let addresses = addresses.clone();
                async move { Ok(addresses) }
            });
            let error = to(name, Duration::from_millis(300)).connect().await.err().unwrap();
            assert_eq!(error.kind(), kind);
        }
    }
}
