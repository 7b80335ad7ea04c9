//! Connecting to a service, with TLS or without.

use std::{io, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::proxy::{settings::ServiceSettings, tls};

/// Where connections go.
#[derive(Clone)]
pub(crate) struct Address {
    host: String,
    port: u16,
    connect_max: Duration,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection on which nothing has been said yet.
pub(crate) enum Connected {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Address {
    /// An error says what is wrong with the certificates, or with the name that they would be for.
    pub(crate) fn of(ServiceSettings { origin, connect, ca }: &ServiceSettings) -> Result<Self, String> {
        let host = origin.host().to_owned();
        let tls = if origin.is_tls() {
            let mut config = tls::client(ca.as_deref())?;
            config.alpn_protocols = vec![if origin.is_h2() { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|_| format!("no certificate can be for '{host}'"))?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Address { host, port: origin.port(), connect_max: *connect, tls })
    }

    pub(crate) async fn connect(&self) -> io::Result<Connected> {
        let connected = timeout(self.connect_max, async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => Ok(Connected::Plain(stream)),
                Some((tls, name)) => Ok(Connected::Tls(Box::new(tls.connect(name.clone(), stream).await?))),
            }
        });
        connected.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
