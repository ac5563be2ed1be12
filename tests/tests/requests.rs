//! Method and url of a request, which are the same for the guest through both doors.

use hitchy_tests::clauses::Way;
use hitchy_tests::door::probed;
use hitchy_tests::refusing::Refusing;
use hitchy_tests::{Client, Server, clauses, expect, guest, scripted};
use serde_json::{Value, json};

clauses! {
    request_websocket request_polling:
        b01_method_is_get_by_default
        b03_method_that_is_no_token_is_400
        b03_connect_is_400
        b04_what_is_no_url_is_400
        b04_an_absolute_url_is_never_fetched
        b14_both_doors_give_the_guest_the_same_request;
    http request_websocket request_polling:
        b02_method_in_lower_case_is_upper_cased
        b03_unknown_method_is_allowed
        b04_a_url_that_is_too_long_is_414
        b05_root_is_a_url
        b06_query_reaches_the_guest_raw
        b06_a_bad_percent_is_400_from_the_sdk
        b07_fragment_is_stripped
        b08_path_is_case_sensitive_and_tolerates_a_trailing_slash
        b08_parameters_are_percent_decoded
        b08_a_path_has_one_normal_form
        b14_the_guest_can_tell_the_doors_apart;
}

async fn b01_method_is_get_by_default(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for request in [
        json!({ "url": "/echo" }),
        json!({ "url": "/echo", "method": "" }),
        json!({ "url": "/echo", "method": null }),
    ] {
        let answer = client.ask(request.clone()).await;
        assert_eq!(answer.body["method"], "GET", "{request}");
    }
}

async fn b02_method_in_lower_case_is_upper_cased(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (method, seen) in [("get", "GET"), ("pAtCh", "PATCH"), ("brew", "BREW")] {
        let request = json!({ "url": "/echo", "method": method });
        assert_eq!(client.ask(request).await.body["method"], seen);
    }
    let request = json!({ "url": "/hello/you", "method": "get" });
    assert_eq!(client.ask(request).await.body, json!({ "hello": "you" }));
}

async fn b03_method_that_is_no_token_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for method in [
        json!(7),
        json!(true),
        json!(["GET"]),
        json!({ "name": "GET" }),
        json!("G E T"),
        json!("GET\r\n"),
        json!("GÄT"),
        json!("GET/"),
    ] {
        let request = json!({ "url": "/echo", "method": method });
        refusing.refuses(400, "method", request).await;
    }
}

async fn b03_connect_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for method in ["CONNECT", "connect"] {
        let request = json!({ "url": "/echo", "method": method });
        refusing.refuses(400, "CONNECT", request).await;
    }
}

async fn b03_unknown_method_is_allowed(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for method in ["BREW", "M-SEARCH", "!#$%&'*+.^_`|~1"] {
        let request = json!({ "url": "/echo", "method": method });
        assert_eq!(client.ask(request).await.body["method"], method);
    }
}

async fn b04_what_is_no_url_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    refusing.refuses(400, "url", json!({})).await;
    for url in [
        json!(null),
        json!(""),
        json!(7),
        json!(["/echo"]),
        json!({ "path": "/echo" }),
        json!("echo"),
        json!("?q=1"),
        json!("*"),
        json!("/echo /x"),
        json!("/echo\t"),
        json!(" /echo"),
        json!("/echo?q=a b"),
        json!("/echo\r\nx: y"),
        json!("/echo\u{a0}"),
        json!("/echo\0"),
    ] {
        let request = json!({ "url": url });
        refusing.refuses(400, "url", request).await;
    }
}

/// Starts a listener at the host of the url, which must never get a request.
async fn b04_an_absolute_url_is_never_fetched(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let elsewhere = elsewhere.expect("a port is free");
    let addr = elsewhere.local_addr().expect("it has an address");
    for url in [
        format!("http://{addr}/echo"),
        format!("HTTP://{addr}/echo"),
        format!("ws://{addr}/"),
        "file:///etc/passwd".to_owned(),
    ] {
        refusing.refuses(400, "url", json!({ "url": url })).await;
    }
    // Without a scheme, the url is always a path of this server.
    let url = format!("//{addr}/echo");
    assert_eq!(refusing.client.get(&url).await.status, 404);
    let asked = futures_util::FutureExt::now_or_never(elsewhere.accept());
    assert!(asked.is_none(), "somebody called");
}

async fn b04_a_url_that_is_too_long_is_414(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    let url = |length: usize| format!("/echo?{}", "q".repeat(length - "/echo?".len()));
    let answer = refusing.client.get(&url(8 << 10)).await;
    assert_eq!(answer.status, 200, "8 KiB fit");
    assert_eq!(refusing.asked().await.len(), 1);
    let request = json!({ "url": url((8 << 10) + 1) });
    refusing.refuses(414, "url", request).await;
}

async fn b05_root_is_a_url(way: Way) {
    let server = Server::with("root.wasm", scripted("name root\nroute GET /")).await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    for (url, seen) in [("/", "/"), ("/?q=1", "/?q=1")] {
        let answer = client.get(url).await;
        assert_eq!((answer.status, &answer.body["url"]), (200, &json!(seen)));
    }
}

async fn b06_query_reaches_the_guest_raw(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for query in [
        "q=%41&q=2",
        "a+b=c%20d",
        "broken=%zz&%",
        "?&&==",
        "path=/../a//b",
        "",
    ] {
        let url = format!("/echo?{query}");
        assert_eq!(client.get(&url).await.body["url"], url);
    }
}

async fn b06_a_bad_percent_is_400_from_the_sdk(way: Way) {
    let server = Server::with("typed.wasm", guest("typed")).await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    let answer = client.get("/search?q=%F0%9F%8E%89+two&tag=a&tag=b").await;
    assert_eq!(answer.body, json!({ "q": "🎉 two", "tag": ["a", "b"] }));
    for query in ["q=%zz", "q=%", "q=%4", "q=%ff"] {
        let answer = client.get(&format!("/search?{query}")).await;
        expect::of_call(&answer, 400);
    }
}

async fn b07_fragment_is_stripped(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (url, seen) in [
        ("/echo#here", "/echo"),
        ("/echo?a=b#c?d=e", "/echo?a=b"),
        ("/echo#", "/echo"),
    ] {
        assert_eq!(client.get(url).await.body["url"], seen, "{url}");
    }
}

async fn b08_path_is_case_sensitive_and_tolerates_a_trailing_slash(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    expect::refusal(&client.get("/Hello/world").await, 404);
    for (url, name) in [
        ("/hello/world", "world"),
        ("/hello/World", "World"),
        ("/hello/world/", "world"),
    ] {
        assert_eq!(client.get(url).await.body, json!({ "hello": name }));
    }
}

async fn b08_parameters_are_percent_decoded(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (url, name) in [
        ("/hello/gr%C3%BC%C3%9Fe%20%f0%9f%8e%89", "grüße 🎉"),
        ("/hello/a+b", "a+b"),
        ("/hello/a%25b", "a%b"),
        ("/hello/a%2541", "a%41"),
        ("/hello/a%2fb", "a/b"),
    ] {
        assert_eq!(client.get(url).await.body, json!({ "hello": name }));
    }
}

/// Sends equivalent paths. The router and the guest see the same normal form.
async fn b08_a_path_has_one_normal_form(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (url, form) in [
        ("/echo/a/../b", "/echo/b"),
        ("/echo/a/%2e%2e/b", "/echo/b"),
        ("/echo/a/%2E./b", "/echo/b"),
        ("/echo/./a", "/echo/a"),
        ("/echo//a", "/echo/a"),
        ("//echo/a", "/echo/a"),
        ("/echo/a%2fb", "/echo/a%2Fb"),
        ("/echo/%41", "/echo/A"),
        ("/echo/%c3%bc", "/echo/%C3%BC"),
        ("/echo/%ff", "/echo/%FF"),
        ("/nobody/../echo/a", "/echo/a"),
        ("/%65cho/a", "/echo/a"),
        ("/../../echo/a", "/echo/a"),
    ] {
        let answer = client.get(url).await;
        assert_eq!(answer.status, 200, "{url}: {answer:?}");
        assert_eq!(answer.body["url"], form, "{url}");
        assert_eq!(client.get(form).await.body["url"], form, "it is stable");
    }
    let inside = client.get("/echo/../hello/x").await;
    assert_eq!(inside.body, json!({ "hello": "x" }));
    // An encoded slash does not separate segments.
    expect::refusal(&client.get("/echo%2fa").await, 404);
    for url in [
        "/echo/%00",
        "/echo/a\\b",
        "/echo/a%5cb",
        "/echo/%zz",
        "/echo/%",
        "/echo/%4",
    ] {
        expect::refusal(&client.get(url).await, 400);
    }
}

async fn b14_the_guest_can_tell_the_doors_apart(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let echo = client.get("/echo").await;
    if way == Way::Http {
        assert_eq!(echo.body["door"], "http");
        assert_eq!(echo.body["socket"], Value::Null);
    } else {
        assert_eq!(echo.body["door"], "socket");
        assert_eq!(echo.body["socket"], client.socket().id());
    }
}

/// Sends the same request through both doors. The guest sees a difference only in the door and in the connection.
async fn b14_both_doors_give_the_guest_the_same_request(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let identity = json!({ "user-agent": "story", "cookie": "s=1; t=2", "accept-language": "de", "origin": server.url() });
    let Some(socket) = Client::open_as(way, &server, identity.clone()).await else {
        return;
    };
    let http = Client::open_as(Way::Http, &server, identity).await;
    let http = http.expect("HTTP needs no client");
    let form = json!({ "content-type": "application/x-www-form-urlencoded", "X-Many": ["1", "2"], "authorization": "Bearer x" });
    for request in [
        json!({ "url": "/echo" }),
        json!({ "method": "PUT", "url": "/echo/a/../x/?q=%41#f", "headers": form, "body": "a=b&c=ü" }),
        json!({ "method": "POST", "url": "/echo", "body": { "a": [1, "ü", null] } }),
        json!({ "method": "BREW", "url": "/echo//", "body": { "$binary": "AP+A" } }),
    ] {
        let told = async |client: &Client| {
            let mut answer = client.ask(request.clone()).await.without_id();
            for own in ["door", "socket", "remote", "deadline"] {
                let told = answer.body.as_object_mut();
                told.and_then(|told| told.remove(own)).expect("it is told");
            }
            let headers = answer.body["headers"].as_array_mut();
            headers.expect("headers").sort_by_key(Value::to_string);
            answer
        };
        assert_eq!(told(&socket).await, told(&http).await, "{request}");
    }
}
