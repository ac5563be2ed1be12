//! Tests of the server as a whole, in this process.

use super::*;

#[tokio::test]
async fn i13_1_a_server_whose_sweeper_has_ended_has_failed() {
    let handlers = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.handlers.dir = handlers.path().to_owned();
    config.kv.path = handlers.path().join("kv");
    let mut server = Server::start(config, Sources::default(), Vec::new(), Vec::new()).unwrap();
    assert!(
        futures_util::poll!(std::pin::pin!(server.failed())).is_pending(),
        "all tasks run"
    );
    server.runtime.sweeper().abort();
    let failed = tokio::time::timeout(Duration::from_secs(60), server.failed());
    assert!(failed.await.is_ok());
    server.shut_down().await;
}
