//! The connection of a node to Redis: its start without Redis, outages, refusals, and what operators read of them.

use std::time::{Duration, Instant};

use hitchy::config::Config;
use hitchy_tests::redis::{redis, redis_with};
use hitchy_tests::server::Plan;
use hitchy_tests::tcp_proxy::{Mode, TcpProxy};
use hitchy_tests::wait::{SOON, eventually, until};
use hitchy_tests::{Server, guest};
use serde_json::Value;

/// How soon after Redis is back a node has to have reached it.
const BACK: Duration = Duration::from_secs(5);

/// Returns a plan for a server that is one of several.
fn node(redis: impl ToString) -> Plan {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .console()
        .env(
            "HITCHY_CLUSTER__REDIS",
            &format!("redis://{}", redis.to_string()),
        )
}

/// Returns the problems that the console lists.
async fn problems(server: &Server) -> String {
    let health = server.ask_console("/healthz").await.json();
    assert_eq!(health["status"] == "ok", health["problems"].is_null());
    health["problems"].to_string()
}

/// Waits until the console lists a problem with all of these words.
async fn wait_for_problem(server: &Server, words: &[&str]) -> String {
    let what = format!("a problem with {words:?}");
    eventually(&what, SOON, async || {
        let problems = problems(server).await;
        let has_all = words.iter().all(|word| problems.contains(word));
        has_all.then_some(problems)
    })
    .await
}

/// Waits until all connections to Redis are open, and nothing is wrong. Returns how long it took.
async fn wait_until_up(server: &Server) -> Duration {
    let start = Instant::now();
    until("Redis is reached", SOON, async || {
        let metrics = server.metrics().await;
        let is_up = |link| metrics.value(&format!("hitchy_cluster_up{{link=\"{link}\"}}")) == 1.0;
        is_up("publish") && is_up("subscribe") && problems(server).await == "null"
    })
    .await;
    start.elapsed()
}

async fn reconnects(server: &Server) -> f64 {
    let metrics = server.metrics().await;
    metrics.value("hitchy_cluster_reconnects_total")
}

async fn status_and_reason(server: &Server) -> (u16, Value) {
    let answer = server.ask_console("/readyz").await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn r10_required_waits_30_s_and_exits_1_naming_it() {
    let default = Config::default().cluster.start_timeout;
    assert_eq!(default, Duration::from_secs(30));
    let Some(mut redis) = redis().await else {
        return;
    };
    redis.kill();
    let place = redis.addr().to_string();
    let start = Instant::now();
    let plan = node(&place).env("HITCHY_CLUSTER__START_TIMEOUT", "3s");
    let mut server = plan.start_at_once().await;
    until("it says for what it waits", SOON, async || {
        let (status, readiness) = status_and_reason(&server).await;
        assert_eq!(status, 503, "{readiness}");
        readiness["status"] == "waiting" && readiness["reason"].to_string().contains(&place)
    })
    .await;
    assert_eq!(server.get("/hello/x").await.status, 503);
    let open = server.get("/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(open.status, 503, "{open:?}");
    wait_for_problem(&server, &[&place, "nothing is answered", "refused"]).await;
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(1));
    assert!(
        start.elapsed() > Duration::from_secs(3),
        "it waited {:?}",
        start.elapsed()
    );
    let sentence = server.wait_for_log(&["error: ", &place]).await;
    for word in ["within 3s", "cluster.redis", "cluster.mode", "refused"] {
        assert!(sentence.contains(word), "{word}: {sentence}");
    }
    assert!(!server.out().all().contains(&"ready".to_owned()));
}

#[tokio::test]
async fn r10_required_begins_when_redis_comes() {
    let Some(mut redis) = redis().await else {
        return;
    };
    redis.kill();
    let server = node(redis.addr()).start_at_once().await;
    wait_for_problem(&server, &["nothing is answered", "refused"]).await;
    assert_eq!(server.get("/hello/x").await.status, 503);
    redis.start_again().await;
    wait_until_up(&server).await;
    assert_eq!(server.wait_for_status("/hello/x", 200).await.status, 200);
    let ready = |_, line: &str| (line == "ready").then_some(());
    server.out().wait("ready", 0, SOON, ready).await;
    assert_eq!(status_and_reason(&server).await.0, 200);
}

#[tokio::test]
async fn r10_optional_serves_locally_and_says_so() {
    let Some(mut redis) = redis().await else {
        return;
    };
    redis.kill();
    let plan = node(redis.addr()).env("HITCHY_CLUSTER__MODE", "optional");
    let server = plan.start().await;
    assert_eq!(server.get("/hello/x").await.status, 200);
    let place = redis.addr().to_string();
    wait_for_problem(&server, &[&place, "its own clients only", "refused"]).await;
    assert_eq!(status_and_reason(&server).await.0, 200);
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("hitchy_cluster_up{link=\"publish\"}"), 0.0);
    redis.start_again().await;
    wait_until_up(&server).await;
}

#[tokio::test]
async fn r11_redis_that_was_killed_is_reached_again() {
    let Some(mut redis) = redis().await else {
        return;
    };
    let server = node(redis.addr()).start().await;
    wait_until_up(&server).await;
    // There are two connections.
    for losses in [2.0, 4.0] {
        redis.kill();
        wait_for_problem(&server, &["its own clients only"]).await;
        assert_eq!(server.get("/hello/x").await.status, 200);
        redis.start_again().await;
        let time = wait_until_up(&server).await;
        assert!(time < BACK, "{time:?}");
        assert_eq!(reconnects(&server).await, losses);
    }
    let log = server.log().all();
    let told = log.iter().filter(|line| line.contains("is not reached"));
    assert!(told.count() <= 12, "each outage is told once: {log:#?}");
}

#[tokio::test]
async fn r12_a_half_open_link_is_found() {
    let Some(redis) = redis().await else {
        return;
    };
    let proxy = TcpProxy::start(redis.addr()).await;
    let server = node(proxy.addr()).start().await;
    wait_until_up(&server).await;
    proxy.set(Mode::Swallow);
    wait_for_problem(&server, &["does not answer within 1s"]).await;
    assert_eq!(server.get("/hello/x").await.status, 200);
    until("both connections are given up", SOON, async || {
        let metrics = server.metrics().await;
        let series = |link| format!("hitchy_cluster_up{{link=\"{link}\"}}");
        ["publish", "subscribe"]
            .iter()
            .all(|link| metrics.value(&series(link)) == 0.0)
    })
    .await;
    proxy.set(Mode::Pass);
    let time = wait_until_up(&server).await;
    assert!(time < BACK, "{time:?}");
    assert_eq!(reconnects(&server).await, 2.0);
}

#[tokio::test]
async fn r12_a_hung_redis_is_found() {
    let Some(redis) = redis().await else {
        return;
    };
    let server = node(redis.addr()).start().await;
    wait_until_up(&server).await;
    redis.stop();
    wait_for_problem(&server, &["does not answer within 1s"]).await;
    redis.go_on();
    let time = wait_until_up(&server).await;
    assert!(time < BACK, "{time:?}");
}

#[tokio::test]
async fn r12_a_slow_redis_is_an_outage() {
    let Some(redis) = redis().await else {
        return;
    };
    let proxy = TcpProxy::start(redis.addr()).await;
    let server = node(proxy.addr()).start().await;
    wait_until_up(&server).await;
    proxy.set(Mode::Delay(Duration::from_secs(2)));
    wait_for_problem(&server, &["does not answer within 1s"]).await;
    proxy.set(Mode::Cut);
    wait_for_problem(&server, &["the connection was closed"]).await;
    proxy.set(Mode::Pass);
    let time = wait_until_up(&server).await;
    assert!(time < BACK, "{time:?}");
}

#[tokio::test]
async fn r13_a_wrong_password_is_named() {
    let Some(redis) = redis_with(&["--requirepass", "hunter2"]).await else {
        return;
    };
    for (password, answer) in [(None, "NOAUTH"), (Some("hunter3"), "WRONGPASS")] {
        let mut plan = node(redis.addr()).env("HITCHY_CLUSTER__MODE", "optional");
        if let Some(password) = password {
            plan = plan
                .env("HITCHY_CLUSTER__PASSWORD", "OF_REDIS")
                .env("OF_REDIS", password);
        }
        let server = plan.start().await;
        wait_for_problem(&server, &[answer, "cluster.password"]).await;
        let log = server.log().all().join("\n");
        assert!(log.contains(answer), "{log}");
        assert!(!log.contains("hunter"), "{log}");
    }
    let plan = node(redis.addr()).file("password", "hunter2\n");
    let file = plan.dir().join("password");
    let server = plan
        .env("HITCHY_CLUSTER__PASSWORD", "OF_REDIS")
        .env("OF_REDIS_FILE", file.to_str().expect("UTF-8"))
        .start()
        .await;
    wait_until_up(&server).await;
}

#[tokio::test]
async fn r13_a_password_that_is_not_there_ends_the_start() {
    let ended = node("127.0.0.1:1")
        .env("HITCHY_CLUSTER__PASSWORD", "OF_REDIS")
        .fail()
        .await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    for word in ["cluster.password", "OF_REDIS is not set", "OF_REDIS_FILE"] {
        assert!(ended.log.contains(word), "{word}: {}", ended.log);
    }
}

#[tokio::test]
async fn d06_a_password_in_the_url_is_refused_and_not_repeated() {
    let ended = node("user:hunter2@127.0.0.1").fail().await;
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(!ended.log.contains("hunter2"), "{}", ended.log);
    assert!(ended.log.contains("without a password"), "{}", ended.log);
}

#[tokio::test]
async fn redis_lists_a_node_by_its_name() {
    let Some(redis) = redis().await else {
        return;
    };
    let server = node(redis.addr())
        .env("HITCHY_CLUSTER__NAME", "a.1")
        .start()
        .await;
    wait_until_up(&server).await;
    let clients = redis.ask(&["CLIENT", "LIST"]).await.text();
    for name in ["name=hitchy:a.1:publish ", "name=hitchy:a.1:subscribe "] {
        assert!(clients.contains(name), "{name}: {clients}");
    }
}
