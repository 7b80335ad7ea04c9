//! TLS, both ways: rustls with ring, whose building needs no cmake.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The certificates in a file.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let allowed = "allowed: a readable file with certificates in PEM";
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| format!("{error}; {allowed}"))?;
    if certificates.is_empty() { Err(format!("it has no certificate; {allowed}")) } else { Ok(certificates) }
}

/// The key in a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|error| format!("{error}; allowed: a readable file with a private key in PEM"))
}

/// How a server speaks TLS that has its certificates and its private key in these files: 1.2 and 1.3, and whether what goes on in it is
/// HTTP/2 or HTTP/1.1 is agreed on (ALPN).
pub(super) fn server(certificate: &Path, private: &Path) -> Result<Arc<ServerConfig>, String> {
    let of = |file: &Path, problem: String| format!("{}: {problem}", file.display());
    let chain = certificates(certificate).map_err(|problem| of(certificate, problem))?;
    let key = key(private).map_err(|problem| of(private, problem))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = config.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|error| {
        let (certificate, key) = (certificate.display(), private.display());
        format!("the certificate in {certificate} and the key in {key} do not go together: {error}")
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// How a service is spoken to, whose certificate one of these has signed, or one that the system believes.
pub(super) fn client(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let wrong = |problem: String| format!("ca is {file:?}; {problem}");
            for certificate in certificates(file).map_err(wrong)? {
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        None => {
            // One that cannot be read is not believed; the others are.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this system has no trusted certificates; name some by ca = \"FILE\"".to_owned());
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What the other side did wrong in TLS, if that is why a connection failed.
pub(super) fn error_in(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
