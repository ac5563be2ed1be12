//! Where requests go: names, addresses, hosts and redirects.

use super::super::OutgoingCall;
use super::*;
use crate::runtime::HandlerSettings;

#[tokio::test]
async fn g19_a_redirect_is_not_followed() {
    let inner = Fake::answering(HELLO).await;
    let answer = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        inner.url()
    );
    let server = Fake::answering(answer.leak()).await;
    let response = Stage::new().get(&server.url()).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn g19_a_name_with_a_special_address_is_refused_before_connecting() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::with(64, false));
    for address in [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.5",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",
        "fe80::1",
    ] {
        // Also if it is one of several.
        for answer in [&[address][..], &["93.184.215.14", address][..]] {
            stage.names.add("api.example.com", &[answer]);
            let url = server.named("api.example.com");
            let error = stage.get(&url).await.unwrap_err();
            assert!(matches!(error, Error::DestinationIpProhibited), "{address}");
        }
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(stage.count("refused"), 24);
}

#[tokio::test]
async fn g19_what_the_setting_names_itself_may_be_private() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::with(64, false));
    assert_eq!(stage.text(&server.url()).await.unwrap(), "hello");
    assert_eq!(
        stage.text(&server.named("localhost")).await.unwrap(),
        "hello"
    );
}

#[tokio::test]
async fn g19_a_name_that_changes_its_address_is_refused_the_second_time() {
    let stage = Stage::new();
    let server = Fake::answering(HELLO).await;
    stage
        .names
        .add("rebinding.test", &[&["127.0.0.1"], &["169.254.169.254"]]);
    let url = server.named("rebinding.test");
    // One question for a request: the address that was checked is the one that is connected to.
    assert_eq!(stage.text(&url).await.unwrap(), "hello");
    let error = stage.get(&url).await.unwrap_err();
    assert!(matches!(error, Error::DestinationIpProhibited), "{error:?}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn g19_host_and_path_are_those_of_the_checked_uri() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::new());
    stage.names.add("api.example.com", &[&["127.0.0.1"]]);
    for path in ["/x?y=1", "//evil.test/", "/http://evil.test/"] {
        let url = format!("http://API.example.com.:{}{path}", server.address.port());
        let request = Request::get(url).header("host", "evil.test");
        stage.send(request.body(empty()).unwrap()).await.unwrap();
        let head = lock(&server.heads).pop().expect("a head");
        let host = format!("host: api.example.com:{}\r\n", server.address.port());
        assert!(
            head.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains(&host) && !head.contains("host: evil"),
            "{head}"
        );
    }
    let request = Request::connect(server.url()).body(empty()).unwrap();
    let error = stage.send(request).await.unwrap_err();
    assert!(
        matches!(error, Error::HttpRequestMethodInvalid),
        "{error:?}"
    );
}

#[tokio::test]
async fn g19_names_that_do_not_resolve_have_errors_of_their_own() {
    let mut stage = Stage::new();
    let error = stage.get("http://nowhere.test/").await.unwrap_err();
    assert!(matches!(error, Error::DnsError { .. }), "{error:?}");
    stage.names.add("empty.test", &[&[]]);
    let error = stage.get("http://empty.test/").await.unwrap_err();
    assert!(matches!(error, Error::DestinationNotFound), "{error:?}");
    stage.time = Duration::from_millis(100);
    let error = stage.get("http://silent.test/").await.unwrap_err();
    assert!(matches!(error, Error::DnsTimeout), "{error:?}");
}

#[tokio::test]
async fn g19_a_port_without_a_server_is_refused_and_the_next_address_is_tried() {
    let stage = Stage::new();
    let server = Fake::answering(HELLO).await;
    // Nothing listens on the second loopback address.
    stage.names.add("two.test", &[&["127.0.0.2", "127.0.0.1"]]);
    assert_eq!(
        stage.text(&server.named("two.test")).await.unwrap(),
        "hello"
    );
    stage.names.add("one.test", &[&["127.0.0.2"]]);
    let error = stage.get(&server.named("one.test")).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionRefused), "{error:?}");
}

#[test]
fn d06_only_entries_of_the_setting_are_allowed() {
    let entry: OutboundEntry = "http://localhost:9200".parse().unwrap();
    let destination = |uri: &str| Destination::of(&uri.parse().unwrap()).unwrap();
    assert!(entry.allows(&destination("http://localhost:9200/x")));
    for other in [
        "http://localhost",
        "http://127.0.0.1:9200",
        "https://localhost:9200",
    ] {
        assert!(!entry.allows(&destination(other)), "{other}");
    }
}

#[test]
fn i12_4_describe_may_send_nothing() {
    let uri = "http://localhost:9200/".parse().unwrap();
    let settings = HandlerSettings {
        outbound: vec!["http://localhost:9200".parse().unwrap()],
        outbound_per_call: 1,
        ..HandlerSettings::default()
    };
    let mut call = OutgoingCall {
        handler: "shop.wasm".into(),
        settings: Arc::new(settings),
        sender: None,
        until: Instant::now() + LONG,
        parallel: Arc::new(Semaphore::new(1)),
        sent: 0,
        turns: Turns::default(),
        ended: CancellationToken::new().drop_guard(),
    };
    let admitted = call.admit(&uri, RequestOptions::default());
    assert!(matches!(admitted, Err(Error::HttpRequestDenied)));
}
