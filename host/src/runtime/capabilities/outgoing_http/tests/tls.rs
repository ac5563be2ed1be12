//! TLS: whose certificates are accepted, and the errors for those that are not.

use std::process::{Command, Stdio};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate authority in a folder.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(TempDir::new().expect("a folder"));
        let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                    -subj '/CN=Test CA' -keyout ca.key -out ca.pem";
        authority.run(make);
        authority
    }

    /// Runs a line of a shell in the folder.
    fn run(&self, line: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-ec", line]).current_dir(self.0.path());
        let status = shell.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("a shell").success(), "{line}");
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("ca.pem")
    }

    /// Returns what a server with a certificate for this name accepts connections with.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let line = format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout server.key -out server.csr
             printf 'subjectAltName=DNS:{name}' > names
             openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem"
        );
        self.run(&line);
        let certificate = CertificateDer::from_pem_file(self.0.path().join("server.pem"));
        let key = PrivateKeyDer::from_pem_file(self.0.path().join("server.key"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.expect("a certificate")],
                key.expect("a key"),
            );
        TlsAcceptor::from(Arc::new(config.expect("a configuration")))
    }
}

/// Starts a server that answers over TLS and notes the name that clients ask for.
async fn secure(acceptor: TlsAcceptor) -> Fake {
    Fake::start(move |peer| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(peer.stream.into_inner()).await.ok()?;
            let name = stream.get_ref().1.server_name().map(str::to_owned);
            lock(&peer.heads).push(name.unwrap_or_default());
            let mut read = [0; 4096];
            while stream.read(&mut read).await.ok()? > 0 {
                stream.write_all(HELLO.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
            }
            Some(())
        }
    })
    .await
}

fn url(server: &Fake, name: &str) -> String {
    format!("https://{name}:{}/", server.address.port())
}

#[tokio::test]
async fn g19_tls_is_opened_in_the_name_of_the_host_and_used_again() {
    let authority = Authority::new();
    let server = secure(authority.acceptor("api.example.com")).await;
    let stage = Stage::trusting(Some(&authority.file()), 64, true);
    stage.names.add("api.example.com", &[&["127.0.0.1"]]);
    for _ in 0..3 {
        let text = stage.text(&url(&server, "api.example.com")).await;
        assert_eq!(text.expect("an answer"), "hello");
    }
    assert_eq!(*lock(&server.heads), ["api.example.com"]);
}

#[tokio::test]
async fn g19_a_certificate_for_another_name_or_of_nobody_known_is_an_error() {
    let authority = Authority::new();
    let server = secure(authority.acceptor("api.example.com")).await;
    let trusting = Stage::trusting(Some(&authority.file()), 64, true);
    trusting.names.add("other.example.com", &[&["127.0.0.1"]]);
    let error = trusting.get(&url(&server, "other.example.com")).await;
    assert!(
        matches!(error, Err(Error::TlsCertificateError)),
        "{error:?}"
    );

    let stage = Stage::new();
    stage.names.add("api.example.com", &[&["127.0.0.1"]]);
    let error = stage.get(&url(&server, "api.example.com")).await;
    assert!(
        matches!(error, Err(Error::TlsCertificateError)),
        "{error:?}"
    );
    assert_eq!(stage.count("failed"), 1);
    // By its address, the server has no certificate either.
    let error = trusting.get(&url(&server, "127.0.0.1")).await;
    assert!(
        matches!(error, Err(Error::TlsCertificateError)),
        "{error:?}"
    );
}

#[tokio::test]
async fn g19_a_server_without_tls_is_an_error() {
    let server = Fake::silent().await;
    let plain = Fake::start(|mut peer| async move { peer.write(HELLO).await }).await;
    let mut stage = Stage::new();
    let error = stage.get(&url(&plain, "127.0.0.1")).await;
    assert!(
        matches!(
            error,
            Err(Error::TlsProtocolError | Error::ConnectionTerminated)
        ),
        "{error:?}"
    );
    // A server that says nothing: the handshake ends in time.
    stage.time = Duration::from_millis(300);
    let error = stage.get(&url(&server, "127.0.0.1")).await;
    assert!(matches!(error, Err(Error::ConnectionTimeout)), "{error:?}");
}

#[tokio::test]
async fn a_file_without_certificates_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("empty.pem");
    std::fs::write(&file, "no certificate").expect("written");
    for path in [file, folder.path().join("missing.pem")] {
        let settings = OutgoingSettings {
            requests: 1,
            ca_file: Some(&path),
            networks: Box::new(|_| false),
        };
        assert!(
            OutgoingHttp::new(settings, Arc::default()).is_err(),
            "{path:?}"
        );
    }
}
