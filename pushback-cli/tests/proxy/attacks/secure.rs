//! Clients that speak TLS.

use std::{fs, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate that its clients believe, in `certificate.pem` and `key.pem` of a folder.
pub(super) struct Identity(CertificateDer<'static>);

impl Identity {
    pub(super) fn new(folder: &TempDir) -> Self {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("certificate.pem"), identity.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), identity.signing_key.serialize_pem()).unwrap();
        Identity(identity.cert.der().clone())
    }

    /// A connection on which TLS was agreed on, and then this was sent.
    pub(super) async fn send(&self, address: &str, bytes: &[u8]) -> Secure {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        let name = "localhost".try_into().unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        Secure(stream)
    }
}

pub(super) struct Secure(TlsStream<TcpStream>);

impl Secure {
    /// Waits until the other side has closed, cleanly or not.
    pub(super) async fn end(&mut self) {
        while self.0.read_u8().await.is_ok() {}
    }
}
