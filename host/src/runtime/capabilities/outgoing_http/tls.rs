//! TLS of requests: rustls with the certificates of the system, and one more file of them if the operator names it.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error;

use super::destination::Host;

/// Opens TLS on connections.
pub(super) struct Tls {
    /// Certificates besides those of the system.
    additional: Vec<CertificateDer<'static>>,
    /// Made for the first connection, because reading the system's certificates takes milliseconds.
    connector: OnceCell<TlsConnector>,
}

impl Tls {
    /// Reads the additional certificates from a file in PEM format.
    ///
    /// # Errors
    /// The file cannot be read or has no certificate.
    pub(super) fn new(ca_file: Option<&Path>) -> io::Result<Self> {
        let additional = match ca_file {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        Ok(Self {
            additional,
            connector: OnceCell::new(),
        })
    }

    /// Opens TLS on a connection to `host`, whose certificate must be for this host.
    pub(super) async fn connect(
        &self,
        host: &Host,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let name = match host {
            Host::Address(address) => ServerName::from(IpAddr::clone(address)),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| {
                // Names with an underscore are hosts, but no certificate can be for them.
                Error::TlsCertificateError
            })?,
        };
        let connector = self.connector().await?;
        let opened = connector.connect(name, stream).await;
        opened.map_err(|error| tls_error(&error))
    }

    async fn connector(&self) -> Result<&TlsConnector, Error> {
        let make = || async {
            let additional = self.additional.clone();
            let made = tokio::task::spawn_blocking(move || connector(additional));
            made.await.ok().flatten().ok_or(Error::ConfigurationError)
        };
        self.connector.get_or_try_init(make).await
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = |error: rustls::pki_types::pem::Error| match error {
        rustls::pki_types::pem::Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    };
    let found = CertificateDer::pem_file_iter(path).map_err(read)?;
    let certificates: Vec<_> = found.collect::<Result<_, _>>().map_err(read)?;
    if certificates.is_empty() {
        return Err(io::Error::other("there is no certificate in it"));
    }
    Ok(certificates)
}

/// Reads the certificates of the system and makes the connector. Blocks while it reads.
fn connector(additional: Vec<CertificateDer<'static>>) -> Option<TlsConnector> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems have certificates that rustls does not accept. The others are of use.
    roots.add_parsable_certificates(system.certs);
    let (added, _) = roots.add_parsable_certificates(additional);
    if roots.len() == added {
        tracing::warn!(
            "no certificates of this system were found, so that https of handlers fails; install them (the package \
             ca-certificates), or name a file with outbound.ca-file"
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let mut config = builder
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}

/// Returns the error of `wasi:http` for a handshake that failed.
fn tls_error(error: &io::Error) -> Error {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(AlertDescription::clone(alert))),
            alert_message: Some(format!("{alert:?}")),
        },
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}
