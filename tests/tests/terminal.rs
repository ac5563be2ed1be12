//! The command `hitchy request` in a terminal: the same answer through both doors, output for people and for programs,
//! and exit codes by result.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use hitchy_tests::terminal::{Said, hitchy};
use hitchy_tests::{Server, guest};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

async fn probed() -> Server {
    Server::with("probe.wasm", guest("probe")).await
}

/// Runs `hitchy request` through both doors: over a socket and over HTTP.
async fn both(server: &Server, args: &[&str]) -> [Said; 2] {
    let args = [&["request"], args].concat();
    let over_http = [args.as_slice(), &["--http"]].concat();
    [
        hitchy(&server.url(), &args).await,
        hitchy(&server.url(), &over_http).await,
    ]
}

/// Returns the answers as JSON, without the parts that differ between calls.
async fn both_answers(server: &Server, args: &[&str]) -> [Value; 2] {
    let args = [args, &["--output", "json"]].concat();
    both(server, &args).await.map(|said| {
        let mut answer = said.json();
        let headers = answer["headers"].as_object_mut().expect("headers");
        assert!(headers.remove("x-request-id").is_some(), "{said:?}");
        answer
    })
}

#[tokio::test]
async fn a_body_and_its_kind_are_the_same_through_both_doors() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .file("bytes", [0_u8, 159, 255])
        .start()
        .await;
    let bytes = server.dir().join("bytes");
    let bytes = bytes.to_str().expect("temporary paths are UTF-8");
    let (json, text) = (
        "application/json; charset=utf-8",
        "text/plain; charset=utf-8",
    );
    let typed = |kind| ["-H", kind];
    let cases: [(&[&str], Value, Option<&str>); 11] = [
        (&[], Value::Null, None),
        (&typed("content-type: text/plain"), Value::Null, None),
        (
            &["--json", r#" {"a": [1, "ü"]} "#],
            json!({ "a": [1, "ü"] }),
            Some(json),
        ),
        (
            &["--json", "12345678901234567890"],
            json!(12_345_678_901_234_567_890_u64),
            Some(json),
        ),
        (&["--json", "\"text\""], json!("text"), Some(json)),
        (&["--json", "null"], Value::Null, Some(json)),
        (
            &["--json", "[]", "-H", "content-type: Text/JSON; x=y"],
            json!([]),
            Some("Text/JSON; x=y"),
        ),
        (&["--body", "grüße \"x\""], json!("grüße \"x\""), Some(text)),
        (
            &[
                "--body",
                "a=b",
                "-H",
                "content-type: application/x-www-form-urlencoded",
            ],
            json!("a=b"),
            Some("application/x-www-form-urlencoded"),
        ),
        (
            &["--file", bytes],
            json!({ "base64": "AJ//" }),
            Some("application/octet-stream"),
        ),
        (
            &["--file", bytes, "-H", "content-type: image/png"],
            json!({ "base64": "AJ//" }),
            Some("image/png"),
        ),
    ];
    for (args, body, kind) in cases {
        let args = [&["post", "/mirror"], args].concat();
        let [socket, http] = both_answers(&server, &args).await;
        assert_eq!(socket, http, "{args:?}");
        assert_eq!(socket["statusCode"], 200, "{args:?}");
        assert_eq!(socket["body"], body, "{args:?}");
        assert_eq!(socket["headers"]["content-type"].as_str(), kind, "{args:?}");
    }
}

#[tokio::test]
async fn a_handler_sees_the_same_headers_through_both_doors() {
    let server = probed().await;
    let args = [
        "-H",
        "Cookie: a=b",
        "-H",
        "user-agent: me",
        "-H",
        "x-a: 1",
        "-H",
        "X-A: 2",
        "-H",
        "authorization: Bearer x",
        "-H",
        "accept-language: de",
    ];
    let args = [&["/echo?q=1#part"], args.as_slice()].concat();
    let [socket, http] = both_answers(&server, &args).await.map(|answer| {
        let echo = &answer["body"];
        assert_eq!(echo["url"], "/echo?q=1");
        assert_eq!(echo["method"], "GET");
        let mut headers = echo["headers"].as_array().expect("headers").clone();
        headers.sort_by_key(ToString::to_string);
        headers
    });
    assert_eq!(socket, http);
    for header in [
        ["cookie", "a=b"],
        ["user-agent", "me"],
        ["x-a", "1"],
        ["x-a", "2"],
    ] {
        assert!(socket.contains(&json!(header)), "{header:?} in {socket:?}");
    }
}

#[tokio::test]
async fn the_body_decides_the_method_when_none_is_given() {
    let server = probed().await;
    for (args, method) in [(["/echo", "-i"], "GET"), (["/echo", "--json=1"], "POST")] {
        for said in both(&server, &args).await {
            assert!(
                said.text().contains(&format!("\"method\": \"{method}\"")),
                "{said:?}"
            );
        }
    }
}

#[tokio::test]
async fn json_is_laid_out_and_the_status_is_beside_it() {
    let server = probed().await;
    for said in both(&server, &["/hello/Ada"]).await {
        assert_eq!(said.text(), "{\n  \"hello\": \"Ada\"\n}\n");
        assert_eq!(said.err, "200 OK\n");
        assert_eq!(said.code, Some(0));
    }
    for said in both(&server, &["/hello/Ada", "--include"]).await {
        let text = said.text();
        assert!(
            text.starts_with("200 OK\ncontent-type: application/json"),
            "{text}"
        );
        assert!(text.ends_with("\n\n{\n  \"hello\": \"Ada\"\n}\n"), "{text}");
        assert_eq!(said.err, "");
    }
}

#[tokio::test]
async fn bytes_go_into_a_pipe_as_they_are() {
    let server = probed().await;
    let wish = r#"{"hex":"00ff1b5b","headers":[["content-type","image/png"]]}"#;
    for said in both(&server, &["POST", "/answer", "--json", wish]).await {
        assert_eq!(said.out, [0, 255, 27, 91]);
    }
}

#[tokio::test]
async fn what_a_server_sends_does_not_act_on_a_terminal() {
    let server = probed().await;
    // JSON may contain DEL and CSI unescaped.
    let json = json!("{\"a\":\"\u{9b}31m\u{7f}\"}").to_string();
    let wish = format!(r#"{{"body":{json},"headers":[["content-type","application/json"]]}}"#);
    for output in ["text", "json"] {
        let args = ["POST", "/answer", "--json", &wish, "--output", output];
        for said in both(&server, &args).await {
            assert!(said.text().contains(r#""\u009b31m\u007f""#), "{said:?}");
            assert!(
                !said.text().contains(['\u{9b}', '\u{7f}', '\u{1b}']),
                "{said:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_exit_code_tells_the_kind_of_status() {
    let server = probed().await;
    for (status, code) in [
        (200, 0),
        (204, 0),
        (302, 0),
        (404, 4),
        (499, 4),
        (500, 5),
        (503, 5),
    ] {
        let wish = format!(r#"{{"status":{status},"body":""}}"#);
        for said in both(&server, &["POST", "/answer", "--json", &wish]).await {
            assert_eq!(said.code, Some(code), "{status}: {said:?}");
            assert!(said.err.starts_with(&status.to_string()), "{said:?}");
        }
    }
    let [socket, http] = both(&server, &["/nowhere"]).await;
    for said in [socket, http] {
        assert_eq!(said.code, Some(4), "{said:?}");
        assert!(said.text().contains("nothing answers /nowhere"), "{said:?}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_refused_before_anything_is_sent() {
    // No server listens on this port.
    let url = "http://127.0.0.1:1";
    let cases: [(&[&str], &[&str]); 16] = [
        (&["request"], &["PATH"]),
        (&["request", "POST"], &["\"POST\"", "--url"]),
        (
            &["request", "http://example.com/a"],
            &["example.com", "--url"],
        ),
        (&["request", "/a b"], &["%20"]),
        (&["request", "G(ET", "/a"], &["G(ET"]),
        (
            &["request", "/a", "--json", "{\"a\":}"],
            &["--json", "line 1 column 6"],
        ),
        (
            &["request", "/a", "--json", "1", "--body", "x"],
            &["--json", "--body"],
        ),
        (
            &[
                "request",
                "/a",
                "--json",
                "1",
                "-H",
                "content-type: text/plain",
            ],
            &["application/json", "--body"],
        ),
        (
            &["request", "/a", "--file", "no/such/file"],
            &["no/such/file"],
        ),
        (
            &["request", "/a", "-H", "no header"],
            &["no header", "x-token"],
        ),
        (
            &["request", "/a", "-H", "content-length: 3"],
            &["content-length"],
        ),
        (
            &["request", "/a", "--url", "ftp://x"],
            &["ftp://x", "http://localhost:3000"],
        ),
        (&["request", "/a", "--auth", "[]"], &["--auth", "object"]),
        (
            &["request", "/a", "--timeout", "soon"],
            &["--timeout", "soon"],
        ),
        (
            &["request", "/a", "--http", "--auth", "{}"],
            &["--http", "--auth"],
        ),
        (
            &["request", "/a", "--path", "socket.io"],
            &["--path", "/socket.io"],
        ),
    ];
    for (args, words) in cases {
        hitchy(url, args).await.assert_refused(2, words);
    }
}

#[tokio::test]
async fn where_nobody_listens_is_said_with_what_helps() {
    let words = ["http://127.0.0.1:1", "hitchy serve", "hitchy dev", "--url"];
    for args in [
        &["request", "/a"] as &[&str],
        &["request", "/a", "--http"],
        &["emit", "a"],
        &["emit", "a", "--ack"],
        &["listen"],
    ] {
        let said = hitchy("http://127.0.0.1:1", args).await;
        said.assert_refused(1, &words);
    }
}

#[tokio::test]
async fn a_server_without_socket_io_is_told_from_one_with_it() {
    let server = probed().await;
    let said = hitchy(&server.url(), &["request", "/echo", "--path", "/elsewhere"]).await;
    said.assert_refused(1, &["no socket.io", "/elsewhere", "--path"]);
    let https = server.url().replace("http:", "https:");
    for args in [&["request", "/a"] as &[&str], &["request", "/a", "--http"]] {
        hitchy(&https, args).await.assert_refused(1, &["TLS"]);
    }
}

#[tokio::test]
async fn who_is_not_let_in_reads_why() {
    let server = probed().await;
    let auth = r#"{"refuse":"not \u001b[31m today"}"#;
    for command in [&["request", "/a"] as &[&str], &["emit", "a"], &["listen"]] {
        let args = [command, &["--auth", auth]].concat();
        let said = hitchy(&server.url(), &args).await;
        said.assert_refused(1, &[r"not \u{1b}[31m today"]);
    }
    for command in [&["emit", "a"] as &[&str], &["listen"]] {
        let args = [command, &["--namespace", "/nowhere"]].concat();
        let said = hitchy(&server.url(), &args).await;
        said.assert_refused(1, &["/nowhere", "Invalid namespace"]);
    }
    let stranger = ["request", "/a", "-H", "origin: https://evil.example.com"];
    let said = hitchy(&server.url(), &stranger).await;
    said.assert_refused(1, &["403", "server.origins"]);
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    let server = probed().await;
    for said in both(&server, &["/slow/9000", "--timeout", "300ms"]).await {
        said.assert_refused(1, &["300ms", "--timeout"]);
    }
    // A listener that accepts connections and sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    for args in [
        &["request", "/a", "--timeout", "300ms"] as &[&str],
        &["listen", "--timeout", "300ms"],
    ] {
        hitchy(&url, args)
            .await
            .assert_refused(1, &["300ms", "--timeout"]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_is_no_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let talking = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream
                .write_all(b"220 mail.example.com ready\r\n\r\n")
                .await;
        }
    });
    for args in [
        &["request", "/a"] as &[&str],
        &["request", "/a", "--http"],
        &["emit", "a"],
    ] {
        let said = hitchy(&url, args).await;
        said.assert_refused(1, &[&url, "--url"]);
    }
    talking.abort();
}

/// Starts a server that accepts every client and then sends these packets.
async fn liar(packets: &'static [&'static str]) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let lying = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                continue;
            };
            for packet in packets {
                let _ = socket.send(Message::text(*packet)).await;
            }
            while socket.next().await.is_some_and(|read| read.is_ok()) {}
        }
    });
    (addr, lying)
}

#[tokio::test]
async fn a_server_that_lies_is_found_out() {
    const OPEN: &str = r#"0{"sid":"x","pingInterval":25000,"pingTimeout":20000}"#;
    let cases: [(&'static [&'static str], &str); 8] = [
        (&["hello"], "no socket.io"),
        (&["0{}"], "no socket.io"),
        (
            &[OPEN, r#"40/hitchy,{"sid":"x"}"#, r#"49/hitchy,["a"]"#],
            "cannot be understood",
        ),
        (
            &[
                OPEN,
                r#"40/hitchy,{"sid":"x"}"#,
                r#"4599999999-/hitchy,["a"]"#,
            ],
            "attachments",
        ),
        (
            &[
                OPEN,
                r#"40/hitchy,{"sid":"x"}"#,
                r#"451-/hitchy,["a"]"#,
                r#"42/hitchy,["b"]"#,
            ],
            "cannot be understood",
        ),
        (
            &[OPEN, r#"40/hitchy,{"sid":"x"}"#, "42/hitchy,[[[["],
            "cannot be understood",
        ),
        (
            &[
                OPEN,
                r#"40/hitchy,{"sid":"x"}"#,
                r#"43/hitchy,0["no answer of Hitchy"]"#,
            ],
            "none of Hitchy's",
        ),
        (
            &[OPEN, r#"40/hitchy,{"sid":"x"}"#, "41/hitchy,"],
            "disconnected",
        ),
    ];
    for (packets, word) in cases {
        let (addr, lying) = liar(packets).await;
        let said = hitchy(&format!("http://{addr}"), &["request", "/a"]).await;
        said.assert_refused(1, &[word]);
        lying.abort();
    }
}
