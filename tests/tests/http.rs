//! The HTTP door, as any HTTP client sees it.

use std::time::Duration;

use hitchy_tests::http::{Connection, request};
use hitchy_tests::{Server, expect, guest, scripted};
use serde_json::{Value, json};

async fn probed() -> Server {
    Server::with("probe.wasm", guest("probe")).await
}

/// The values of a header as the guest `probe` saw them.
fn seen(echo: &Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().expect("probe lists the headers");
    let named = headers.iter().filter(|pair| pair[0] == name);
    named
        .map(|pair| pair[1].as_str().unwrap_or_default().to_string())
        .collect()
}

#[tokio::test]
async fn a1_socket_io_answers_without_any_handler_on_the_same_port() {
    let server = Server::prepare().start().await;
    let answer = server.get("/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("0{\"sid\":"), "{}", answer.text());
}

#[tokio::test]
async fn a6_until_the_folder_was_read_everything_is_503_and_never_404() {
    let mut plan = Server::prepare();
    for number in 0..12 {
        plan = plan.handler(
            &format!("h{number:02}.wasm"),
            scripted(&format!("name h{number}\nroute GET /h{number}")),
        );
    }
    let server = plan.start_at_once().await;
    loop {
        let answer = server.get("/h11").await;
        if answer.status == 200 {
            break;
        }
        expect::error(&answer, 503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        let socket_io = server.get("/socket.io/?EIO=4&transport=polling").await;
        assert!(matches!(socket_io.status, 503 | 200), "{socket_io:?}");
    }
}

#[tokio::test]
async fn a6_an_empty_folder_is_a_404_once_it_was_read() {
    let server = Server::prepare().start().await;
    expect::error(&server.get("/").await, 404);
    expect::error(&server.get("/anything?q=1").await, 404);
}

#[tokio::test]
async fn r09_unknown_path_is_404_through_http() {
    let server = probed().await;
    expect::error(&server.get("/nobody/home").await, 404);
    expect::error(&server.post("/nobody/home", &json!({})).await, 404);
}

#[tokio::test]
async fn r09_wrong_method_on_a_known_path_is_405_with_allow() {
    let server = Server::with(
        "two.wasm",
        scripted("route GET /two\nroute POST /two\nroute PUT /three"),
    )
    .await;
    let answer = server.request("DELETE", "/two", &[], b"").await;
    expect::error(&answer, 405);
    let mut allow: Vec<_> = answer
        .header("allow")
        .expect("allow")
        .split(',')
        .map(str::trim)
        .collect();
    allow.sort_unstable();
    allow.retain(|method| !matches!(*method, "HEAD" | "OPTIONS"));
    assert_eq!(allow, ["GET", "POST"]);
}

#[tokio::test]
async fn r01_a_route_answers_with_its_parameter() {
    let server = probed().await;
    let answer = server.get("/hello/world").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "hello": "world" }))
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert!(answer.header("date").is_some(), "{answer:?}");
}

#[tokio::test]
async fn r01_status_headers_and_body_are_the_guests() {
    let server = probed().await;
    let wish = json!({
        "status": 418,
        "headers": [["X-Kind", "Teapot"], ["set-cookie", "a=1"], ["Set-Cookie", "b=2"], ["content-type", "image/png"]],
        "hex": "00ff0d0a80",
    });
    let answer = server.post("/answer", &wish).await;
    assert_eq!(answer.status, 418);
    assert_eq!(answer.body, [0, 0xff, 0x0d, 0x0a, 0x80]);
    assert_eq!(answer.headers_named("set-cookie"), ["a=1", "b=2"]);
    assert!(
        answer.headers.contains(&("x-kind".into(), "Teapot".into())),
        "names in lower case: {answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("image/png"));
}

#[tokio::test]
async fn b10_the_guest_sees_the_request_as_it_was_sent() {
    let server = probed().await;
    let headers = [
        ("User-Agent", "story/1"),
        ("X-Twice", "one"),
        ("x-twice", "two"),
        ("Authorization", "Bearer key"),
        ("cookie", "a=1; b=2"),
        ("content-type", "text/plain"),
    ];
    let answer = server
        .request(
            "PUT",
            "/echo/deep/er?a=1&b=%20&&c",
            &headers,
            "grüße".as_bytes(),
        )
        .await;
    let echo = answer.json();
    assert_eq!(echo["method"], "PUT");
    assert_eq!(
        echo["url"], "/echo/deep/er?a=1&b=%20&&c",
        "the query is raw"
    );
    assert_eq!(echo["rest"], "deep/er");
    assert_eq!(echo["door"], "http");
    assert_eq!(echo["body"], "grüße");
    assert_eq!(
        echo["userAgent"],
        json!(["story/1"]),
        "a header is found in any case"
    );
    assert_eq!(seen(&echo, "user-agent"), ["story/1"]);
    assert_eq!(seen(&echo, "x-twice"), ["one", "two"]);
    assert_eq!(seen(&echo, "authorization"), ["Bearer key"]);
    assert_eq!(seen(&echo, "cookie"), ["a=1; b=2"]);
    assert_eq!(seen(&echo, "host"), ["localhost"]);
    assert!(
        echo["remote"]
            .as_str()
            .is_some_and(|remote| remote.starts_with("127.0.0.1:")),
        "{echo}"
    );
    assert_eq!(echo["socket"], Value::Null);
    assert!(
        echo["deadline"]
            .as_u64()
            .is_some_and(|left| (1..=10_000).contains(&left)),
        "{echo}"
    );
}

#[tokio::test]
async fn b12_b13_what_speaks_of_proxies_and_framing_never_reaches_the_guest() {
    let server = probed().await;
    let headers = [
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "1.2.3.4"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "by hop"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic x"),
        ("x-kept", "yes"),
    ];
    let mut connection = Connection::open(server.addr()).await;
    let echo = connection
        .ask("POST", "/echo", &headers, b"body")
        .await
        .json();
    for (name, _) in headers.iter().take(headers.len() - 1) {
        assert_eq!(seen(&echo, name), Vec::<String>::new(), "{name} in {echo}");
    }
    assert_eq!(seen(&echo, "transfer-encoding"), Vec::<String>::new());
    assert_eq!(seen(&echo, "x-kept"), ["yes"]);
    assert!(
        echo["remote"]
            .as_str()
            .is_some_and(|remote| remote.starts_with("127.0.0.1:")),
        "{echo}"
    );
}

/// Every odd spelling is either refused, or has one form for the router and the guest.
#[tokio::test]
async fn b08_c07_a_path_has_one_normal_form_for_router_and_guest() {
    let server = probed().await;
    for target in [
        "/echo/a/../b",
        "/echo/a/%2e%2e/b",
        "/echo/a/%2E%2E/b",
        "/echo/./a",
        "/echo//a",
        "/echo/a%2fb",
        "/echo/a%2Fb",
        "/echo/%00",
        "/echo/a\\b",
        "/echo/a%5cb",
        "/echo/%zz",
        "/echo/%",
        "/echo/%ff",
        "/echo/%41",
        "/echo/../hello/x",
        "/echo/%2e%2e/hello/x",
        "/echo/..%2fhello/x",
    ] {
        let answer = server.get(target).await;
        if matches!(answer.status, 400 | 404) {
            expect::error(&answer, answer.status);
            continue;
        }
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let body = answer.json();
        if body["hello"] == "x" {
            assert!(target.contains("hello"), "{target}");
            continue;
        }
        let url = body["url"]
            .as_str()
            .expect("probe tells the url")
            .to_string();
        let rest = body["rest"].as_str().unwrap_or_default().to_string();
        let path = url.split('?').next().unwrap_or_default();
        assert!(path.starts_with("/echo"), "{target} reached /echo as {url}");
        assert!(
            !path.split('/').any(|segment| matches!(segment, "." | "..")),
            "{target} became {url}"
        );
        assert!(
            !path.contains("//") && !path.contains('\\') && !path.contains('\0'),
            "{target} became {url}"
        );
        assert!(
            !path.to_lowercase().contains("%2e"),
            "{target} became {url}"
        );
        assert!(!rest.contains('\0'), "{target} gave {rest:?}");
        // What is normal stays as it is.
        assert_eq!(
            server.get(&url).await.json()["url"],
            url,
            "{target} has one form"
        );
    }
}

#[tokio::test]
async fn b08_a_path_is_case_sensitive_and_a_trailing_slash_is_tolerated() {
    let server = probed().await;
    assert_eq!(server.get("/Hello/world").await.status, 404);
    assert_eq!(
        server.get("/hello/world/").await.json(),
        json!({ "hello": "world" })
    );
    assert_eq!(
        server.get("/hello/World").await.json(),
        json!({ "hello": "World" })
    );
}

#[tokio::test]
async fn b08_parameters_are_percent_decoded() {
    let server = probed().await;
    assert_eq!(
        server
            .get("/hello/gr%C3%BC%C3%9Fe%20%f0%9f%8e%89")
            .await
            .json(),
        json!({ "hello": "grüße 🎉" })
    );
    assert_eq!(
        server.get("/hello/a+b").await.json(),
        json!({ "hello": "a+b" })
    );
    assert_eq!(
        server.get("/hello/a%25b").await.json(),
        json!({ "hello": "a%b" }),
        "decoded once"
    );
}

#[tokio::test]
async fn b05_c07_odd_targets_never_reach_a_guest() {
    let server = probed().await;
    for target in [
        "*",
        "hello/x",
        "http://evil.example/hello/x",
        "//evil.example/hello/x",
        "?a=b",
    ] {
        let mut connection = Connection::open(server.addr()).await;
        let headers = [("connection", "close")];
        let Ok(answer) = connection.try_ask("GET", target, &headers, b"").await else {
            continue;
        };
        let proxied = target.starts_with("http://") && answer.status == 200;
        assert!(
            proxied || (400..500).contains(&answer.status),
            "{target}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn routes_static_before_parameter_before_rest_and_named_method_before_any() {
    let script = "name r\nroute GET /r/{name}\nroute GET /r/fixed\nroute GET /r/{*rest}\nroute * /r/any\nroute GET /r/any\nroute * /r/open";
    let server = Server::with("r.wasm", scripted(script)).await;
    let route = async |method: &str, target: &str| {
        server.request(method, target, &[], b"").await.json()["route"].clone()
    };
    assert_eq!(route("GET", "/r/fixed").await, 1);
    assert_eq!(route("GET", "/r/other").await, 0);
    assert_eq!(route("GET", "/r/other/more").await, 2);
    assert_eq!(route("GET", "/r/any").await, 4);
    assert_eq!(route("POST", "/r/any").await, 3);
    assert_eq!(route("BREW", "/r/open").await, 5, "any method is a method");
}

#[tokio::test]
async fn r08_an_empty_answer_has_no_body() {
    let server = probed().await;
    let mut connection = Connection::open(server.addr()).await;
    for status in [204, 304] {
        let wish = json!({ "status": status, "body": "" }).to_string();
        let answer = connection
            .ask(
                "POST",
                "/answer",
                &[("content-type", "application/json")],
                wish.as_bytes(),
            )
            .await;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        // RFC 9110, 8.6: no length where there can be no body.
        for header in ["transfer-encoding", "content-length"] {
            assert_eq!(answer.header(header), None, "{answer:?}");
        }
    }
    let wish = json!({ "status": 200, "body": "" }).to_string();
    let answer = connection
        .ask(
            "POST",
            "/answer",
            &[("content-type", "application/json")],
            wish.as_bytes(),
        )
        .await;
    assert_eq!(answer.header("content-length"), Some("0"));
    // The connection is still in step.
    assert_eq!(
        connection.ask("GET", "/hello/again", &[], b"").await.json(),
        json!({ "hello": "again" })
    );
}

#[tokio::test]
async fn r11_head_falls_back_to_get_without_a_body() {
    let server = probed().await;
    let mut connection = Connection::open(server.addr()).await;
    let head = connection.ask("HEAD", "/hello/world", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let get = connection.ask("GET", "/hello/world", &[], b"").await;
    assert_eq!(
        get.json(),
        json!({ "hello": "world" }),
        "nothing of HEAD's body is on the wire"
    );
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    let head = connection.ask("HEAD", "/echo", &[], b"").await;
    assert_eq!(
        head.header("x-method"),
        Some("HEAD"),
        "HEAD reaches the guest as HEAD"
    );
    assert_eq!(
        connection.ask("HEAD", "/nobody", &[], b"").await.status,
        404
    );
}

#[tokio::test]
async fn r11_options_is_answered_with_allow() {
    let server = Server::with("two.wasm", scripted("route GET /two\nroute POST /two")).await;
    let answer = server.request("OPTIONS", "/two", &[], b"").await;
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    let allow = answer.header("allow").expect("allow");
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        assert!(
            allow.split(',').any(|allowed| allowed.trim() == method),
            "{method} in {allow}"
        );
    }
    expect::error(&server.request("OPTIONS", "/nobody", &[], b"").await, 404);
}

#[tokio::test]
async fn r12_a_redirect_is_returned_not_followed() {
    let server = probed().await;
    let wish = json!({ "status": 302, "headers": [["location", "/hello/there"]] });
    let answer = server.post("/answer", &wish).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("/hello/there"))
    );
}

#[tokio::test]
async fn r14_a_body_beyond_the_limit_is_413_and_the_guest_is_not_called() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[server]\nbody-limit = \"64KiB\"")
        .start()
        .await;
    let limit = 64 * 1024;
    let fits = server
        .request("POST", "/echo", &[], &vec![b'x'; limit])
        .await;
    assert_eq!(fits.json()["size"], limit);

    let mut connection = Connection::open(server.addr()).await;
    connection
        .send(format!(
            "POST /print HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n",
            limit + 1
        ))
        .await
        .expect("sent");
    expect::error(
        &connection
            .read("POST")
            .await
            .expect("an answer before the body was sent"),
        413,
    );

    let mut connection = Connection::open(server.addr()).await;
    connection
        .send("POST /print HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .expect("sent");
    let chunk = format!("4000\r\n{}\r\n", "c".repeat(0x4000));
    for _ in 0..5 {
        // The server may answer and close before it has read everything.
        let _ = connection.send(&chunk).await;
    }
    expect::error(&connection.read("POST").await.expect("an answer"), 413);
    assert_eq!(
        server
            .log()
            .find(0, |_, line| line.contains("out: ").then_some(())),
        None,
        "the guest was called"
    );
}

#[tokio::test]
async fn c04_a_request_with_two_framings_is_refused_and_the_connection_closed() {
    let server = probed().await;
    for head in [
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: -1\r\n",
        "content-length: +5\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    ] {
        let mut connection = Connection::open(server.addr()).await;
        let smuggle = format!(
            "POST /echo HTTP/1.1\r\nhost: h\r\n{head}\r\n0\r\n\r\nGET /hello/smuggled HTTP/1.1\r\nhost: h\r\n\r\n"
        );
        connection.send(smuggle).await.expect("sent");
        let all = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert!(!all.contains("smuggled"), "{head}: {all}");
        assert!(
            all.is_empty() || all.starts_with("HTTP/1.1 400"),
            "{head}: {all}"
        );
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests_even_sent_at_once() {
    let server = probed().await;
    let mut connection = Connection::open(server.addr()).await;
    let mut pipeline = Vec::new();
    for number in 0..20 {
        pipeline.extend(request("GET", &format!("/hello/{number}"), &[], b""));
    }
    connection.send(pipeline).await.expect("sent");
    for number in 0..20 {
        let answer = connection.read("GET").await.expect("an answer");
        assert_eq!(answer.json(), json!({ "hello": number.to_string() }));
    }
}

#[tokio::test]
async fn r15_a_client_that_goes_away_cancels_its_call() {
    let server = probed().await;
    let mut gone = Connection::open(server.addr()).await;
    gone.send(request("GET", "/slow/700", &[], b""))
        .await
        .expect("sent");
    // A second call that began later and takes longer is the clock: when it has ended the first would have ended, too.
    let clock = server.get("/slow/50").await;
    assert_eq!(clock.status, 200, "the first call is under way");
    drop(gone);
    let mut listener = hitchy_tests::raw::RawSocket::connect(server.addr(), "/")
        .await
        .expect("connected");
    let later = server.get("/slow/1200").await;
    assert_eq!(later.status, 200);
    let heard = tokio::time::timeout(Duration::from_secs(10), listener.next())
        .await
        .expect("an event")
        .expect("open");
    let expected = hitchy_tests::raw::Packet::Text(r#"42["slow-done",1200]"#.into());
    assert_eq!(
        heard, expected,
        "the call of the client that went away never came to its end"
    );
}

#[tokio::test]
async fn r10_every_call_has_an_id_that_the_guest_knows() {
    let server = probed().await;
    let one = server.get("/echo").await.json()["id"].clone();
    let two = server.get("/echo").await.json()["id"].clone();
    assert!(
        one.as_str().is_some_and(|id| !id.is_empty()) && one != two,
        "{one} {two}"
    );
    let printed = server
        .request("POST", "/print", &[], b"a line of the guest")
        .await
        .json();
    let id = printed["id"].as_str().expect("an id");
    server
        .wait_for_log(&["out: a line of the guest", "probe", id])
        .await;
    server
        .wait_for_log(&["err: a line of the guest", "probe", id])
        .await;
}

#[tokio::test]
async fn what_a_guest_logs_is_a_record_with_its_level_handler_and_call() {
    let server = probed().await;
    let steps: Vec<Value> = ["error", "warn", "info", "debug"]
        .iter()
        .map(
            |level| json!({ "do": "log", "level": level, "message": format!("a word at {level}") }),
        )
        .collect();
    let answer = server.post("/script", &Value::from(steps)).await;
    let id = answer
        .header("x-request-id")
        .expect("every answer has an id")
        .to_string();
    for level in ["error", "warn", "info"] {
        let line = server
            .wait_for_log(&[&format!("a word at {level}"), "probe", &id])
            .await;
        assert!(line.contains(&level.to_uppercase()), "{line}");
    }
    let debug = server
        .log()
        .find(0, |_, line| line.contains("a word at debug").then_some(()));
    assert_eq!(debug, None, "below log.level");
}

#[tokio::test]
async fn c07_connect_is_no_request_for_a_route() {
    let server = probed().await;
    let answer = server.request("CONNECT", "/echo", &[], b"").await;
    expect::error(&answer, 501);
    assert_eq!(answer.header("connection"), Some("close"));
}
