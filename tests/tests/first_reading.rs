//! Requests that come while the handlers folder is read for the first time.

use std::time::{Duration, Instant};

use hitchy_tests::components::slow_to_compile;
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, expect, scripted};
use tokio::sync::Mutex;

const OPEN_SESSION: &str = "/socket.io/?EIO=4&transport=polling";

/// The header that the guard wants.
const KEY: (&str, &str) = ("x-key", "k");

/// Time for which the absence of an answer is watched.
const WATCHED: Duration = Duration::from_millis(500);

/// Held by the tests with a file that is compiled for longer than they last. It would keep the handlers of the other
/// ones from being compiled.
static TURN: Mutex<()> = Mutex::const_new(());

/// Returns a server with a handler behind a guard that is required.
fn behind_a_guard() -> Plan {
    let guard = "name guard\nbefore * /\nguard x-key\nsleep 300";
    let ready = "name ready\nroute GET /ready\nroute GET /ready/{name}\nroute * /any";
    Server::prepare()
        .handler("a.wasm", scripted(ready))
        .handler("guard.wasm", scripted(guard))
        .settings("[handlers]\nrequired = [\"guard\"]")
}

/// Waits until the route `GET /ready` is answered. Until then the answer is 503, and without a key it is never more
/// than 401.
async fn ready_is_answered(server: &Server) {
    until("/ready is answered", SOON * 6, async || {
        let unguarded = server.get("/ready").await;
        assert!(matches!(unguarded.status, 401 | 503), "{unguarded:?}");
        let answer = server.request("GET", "/ready", &[KEY], b"").await;
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        answer.status == 200
    })
    .await;
}

/// Checks that a request is not answered because the server has not read its folder.
async fn is_refused_as_starting(server: &Server, method: &str, path: &str) {
    let answer = server.request(method, path, &[KEY], b"").await;
    assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
    if method != "HEAD" {
        let sentence = expect::error(&answer, 503)["error"].to_string();
        assert!(
            sentence.contains("starting"),
            "{method} {path}: the reading is over: {sentence}"
        );
    }
}

/// Waits until each of these files has been described, and then checks for a while that nothing is answered, because
/// the table that the server would have made of them is not allowed.
async fn nothing_is_answered(server: &Server, described: &[&str], paths: &[&str]) {
    for name in described {
        let words = format!("{name} is described");
        let said = |_, line: &str| line.contains(&words).then_some(());
        server.log().wait(&words, 0, SOON * 6, said).await;
    }
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        for path in paths {
            for method in ["GET", "HEAD", "POST"] {
                is_refused_as_starting(server, method, path).await;
            }
        }
    }
}

#[tokio::test]
async fn i13_2_behind_the_guards_what_is_ready_is_served_while_other_files_are_not() {
    let _turn = TURN.lock().await;
    let plan = behind_a_guard().handler("z.wasm", slow_to_compile());
    let mut server = plan.start_at_once().await;
    ready_is_answered(&server).await;
    // What others may take, or what is not ready, is not answered.
    for path in ["/ready/for", "/any", "/nobody", "/z/below", OPEN_SESSION] {
        is_refused_as_starting(&server, "GET", path).await;
    }
    for method in ["HEAD", "POST"] {
        is_refused_as_starting(&server, method, "/ready").await;
    }
    expect::failure(&server.get("/ready").await, 401);
    let answer = server.request("GET", "/ready", &[KEY], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    server.assert_unharmed();
}

#[tokio::test]
async fn i13_2_when_the_first_reading_is_complete_everything_is_served() {
    let slow = |name: &str| scripted(&format!("name {name}\nsleep 300\nroute GET /{name}"));
    let plan = ["z1", "z2", "z3"]
        .into_iter()
        .fold(behind_a_guard(), |plan, name| {
            plan.handler(&format!("{name}.wasm"), slow(name))
        });
    let mut server = plan.start_at_once().await;
    ready_is_answered(&server).await;
    let ask = async |path: &str| server.request("GET", path, &[KEY], b"").await.status;
    until("the folder has been read", SOON * 6, async || {
        assert_eq!(ask("/ready").await, 200, "what was answered stays so");
        ask("/nobody").await == 404
    })
    .await;
    for path in ["/ready/for", "/any", "/z1", "/z2", "/z3", OPEN_SESSION] {
        assert_eq!(ask(path).await, 200, "{path}");
    }
    for path in ["/ready", "/ready/for", "/z3"] {
        expect::failure(&server.get(path).await, 401);
    }
    server.assert_unharmed();
}

#[tokio::test]
async fn i13_2_without_a_guard_that_works_nothing_is_served_while_other_files_are_not_ready() {
    let _turn = TURN.lock().await;
    let first = "name a\nroute GET /a\nroute * /any\nsay a.wasm is described";
    let second = "name b\nroute GET /b\nsay b.wasm is described";
    let plan = Server::prepare()
        .handler("a.wasm", scripted(first))
        .handler("b.wasm", scripted(second))
        .handler("guard.wasm", "no handler")
        .handler("z.wasm", slow_to_compile())
        .settings("[handlers]\nrequired = [\"guard\"]");
    let mut server = plan.start_at_once().await;
    let paths = ["/a", "/b", "/any", "/nobody", OPEN_SESSION];
    nothing_is_answered(&server, &["a.wasm", "b.wasm"], &paths).await;
    server.assert_unharmed();
}

#[tokio::test]
async fn i13_2_with_a_conflict_of_guards_nothing_is_served_while_other_files_are_not_ready() {
    let _turn = TURN.lock().await;
    let guard = |name: &str| {
        let routes = format!("route GET /same\nroute GET /{name}");
        scripted(&format!(
            "name {name}\n{routes}\nsay {name}.wasm is described"
        ))
    };
    let other = "name a\nroute GET /a\nsay a.wasm is described";
    let plan = Server::prepare()
        .handler("a.wasm", scripted(other))
        .handler("one.wasm", guard("one"))
        .handler("two.wasm", guard("two"))
        .handler("z.wasm", slow_to_compile())
        .settings("[handlers]\nrequired = [\"one\", \"two\"]");
    let mut server = plan.start_at_once().await;
    let paths = ["/a", "/same", "/one", "/two", "/nobody", OPEN_SESSION];
    nothing_is_answered(&server, &["a.wasm", "one.wasm", "two.wasm"], &paths).await;
    server.assert_unharmed();
}
