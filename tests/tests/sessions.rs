//! Sessions of polling, of which a client knows nothing but an id in its URLs.

use std::net::{IpAddr, Ipv4Addr};

use hitchy_tests::http::Answer;
use hitchy_tests::polling::Polling;
use hitchy_tests::{Server, guest};

/// Another address of this machine: all of 127.0.0.0/8 are.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

const EVENT: &str = "420[\"echo\",\"told\"]";

async fn session(settings: &str) -> (Server, Polling) {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings(settings)
        .start()
        .await;
    let session = Polling::connect(server.addr(), "/").await;
    (server, session.expect("let in"))
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.text())
}

#[tokio::test]
async fn an_id_from_another_address_is_an_unknown_session() {
    let (server, mut session) = session("").await;
    let unknown = "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA";
    let unknown = told(&server.get(unknown).await);
    assert_eq!(unknown.0, 400, "{}", unknown.1);
    let stolen = session.get_from(ELSEWHERE).await.expect("an answer");
    assert_eq!(told(&stolen), unknown);
    let stolen = session.post_from(ELSEWHERE, EVENT).await;
    assert_eq!(told(&stolen.expect("an answer")), unknown);
    // Nothing of it reached the session, which goes on.
    let posted = session.post(EVENT).await.expect("an answer");
    assert_eq!(posted.status, 200, "{posted:?}");
    assert_eq!(session.next().await.expect("open"), "430[\"told\"]");
}

#[tokio::test]
async fn a_setting_lets_sessions_wander() {
    let (_server, mut session) = session("[socket]\nbind-address = false").await;
    let posted = session.post_from(ELSEWHERE, EVENT).await;
    assert_eq!(posted.expect("an answer").status, 200);
    assert_eq!(session.next().await.expect("open"), "430[\"told\"]");
}
