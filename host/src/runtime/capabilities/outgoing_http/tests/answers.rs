//! Servers that answer slowly, too much, too little or nothing that is HTTP.

use super::*;

#[tokio::test]
async fn g19_a_server_that_accepts_and_is_silent_ends_in_time() {
    let (server, mut stage) = (Fake::silent().await, Stage::new());
    stage.time = Duration::from_millis(300);
    let error = stage.get(&server.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseTimeout), "{error:?}");
    server.open(0).await;
    assert_eq!(stage.count("timed-out"), 1);
}

#[tokio::test]
async fn g19_a_guest_may_shorten_the_time_to_the_first_byte_and_between_bytes() {
    let stage = Stage::new();
    let mut grant = stage.grant();
    grant.options.first_byte_timeout = Some(Duration::from_millis(100));
    let silent = Fake::silent().await;
    let sent = stage.send_with(get(&silent.url()), grant).await;
    assert!(matches!(sent, Err(Error::HttpResponseTimeout)));

    let stops = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel")
            .await?;
        peer.closed().await;
        Some(())
    })
    .await;
    let mut grant = stage.grant();
    grant.options.between_bytes_timeout = Some(Duration::from_millis(100));
    let response = stage.send_with(get(&stops.url()), grant).await;
    let error = text(response.unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error:?}");
    stops.open(0).await;
}

#[tokio::test]
async fn g19_a_server_that_drips_ends_in_time() {
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            .await?;
        loop {
            peer.write("x").await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut stage = Stage::new();
    stage.time = Duration::from_millis(400);
    let error = stage.text(&server.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseTimeout), "{error:?}");
    server.open(0).await;
    assert_eq!(stage.count("timed-out"), 1);
}

#[tokio::test]
async fn g19_a_gigabyte_is_cut_at_the_limit() {
    // The server does not say how much will come.
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\n\r\n").await?;
        let part = "x".repeat(64 << 10);
        for _ in 0..(1 << 30) / part.len() {
            peer.write(&part).await?;
        }
        Some(())
    })
    .await;
    let stage = Stage::new();
    let mut body = stage.get(&server.url()).await.unwrap().into_body();
    let mut received = 0;
    let error = loop {
        match body.frame().await.expect("a frame or an error") {
            Ok(frame) => received += frame.into_data().map_or(0, |data| data.len()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::HttpResponseBodySize(Some(limit)) if limit == 4 << 20));
    assert!(received <= 4 << 20, "{received}");
    server.open(0).await;
    assert_eq!(stage.count("limited"), 1);

    let honest = Fake::answering("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
    let error = stage.get(&honest.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseBodySize(Some(size)) if size == 1 << 30));
}

#[tokio::test]
async fn g19_a_server_that_closes_in_the_middle_is_an_error() {
    for (answer, is_head) in [
        ("", true),
        ("HTTP/1.1 200 OK\r\ncontent-le", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel", false),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            false,
        ),
    ] {
        let server = Fake::start(move |mut peer| async move {
            peer.head().await?;
            peer.write(answer).await
        })
        .await;
        let stage = Stage::new();
        let response = stage.get(&server.url()).await;
        assert_eq!(response.is_err(), is_head, "{answer}");
        let error = match response {
            Ok(response) => text(response).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(
            matches!(
                error,
                Error::HttpResponseIncomplete | Error::ConnectionTerminated
            ),
            "{answer}: {error:?}"
        );
        assert_eq!(stage.count("failed"), 1);
    }
}

#[tokio::test]
async fn g19_what_is_not_http_is_an_error() {
    for answer in [
        "\x16\x03\x01\x02\x00",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 999999\r\n\r\n",
    ] {
        let server = Fake::answering(answer).await;
        let error = Stage::new().get(&server.url()).await.unwrap_err();
        assert!(
            matches!(error, Error::HttpProtocolError),
            "{answer}: {error:?}"
        );
    }
    let server = Fake::answering(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    );
    let error = Stage::new().get(&server.await.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpProtocolError), "{error:?}");
}

#[tokio::test]
async fn g19_a_head_of_a_megabyte_is_an_error() {
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        let field = format!("x-filler: {}\r\n", "x".repeat(1 << 20));
        peer.write(&format!("HTTP/1.1 200 OK\r\n{field}\r\n")).await
    })
    .await;
    let stage = Stage::new();
    let error = stage.get(&server.url()).await.unwrap_err();
    assert!(
        matches!(error, Error::HttpResponseHeaderSectionSize(_)),
        "{error:?}"
    );
    assert_eq!(stage.count("limited"), 1);
}

#[tokio::test]
async fn g19_trailers_interim_answers_and_empty_bodies_are_understood() {
    let stage = Stage::new();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    let server = Fake::answering(chunked).await;
    let collected = stage
        .get(&server.url())
        .await
        .unwrap()
        .into_body()
        .collect()
        .await;
    let collected = collected.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "hello");

    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let server = Fake::answering(interim).await;
    let request = Request::post(server.url()).header("expect", "100-continue");
    let response = stage
        .send(request.body(full("body")).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await.unwrap(), "hello");

    let server = Fake::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(stage.text(&server.url()).await.unwrap(), "");
    // A response to HEAD tells the length of a body that does not follow.
    let server = Fake::answering("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
    for _ in 0..2 {
        let request = Request::head(server.url()).body(empty()).unwrap();
        let response = stage.send(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "1073741824");
        assert_eq!(text(response).await.unwrap(), "");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn g19_a_request_that_is_too_large_is_not_sent_to_its_end() {
    let (server, mut stage) = (Fake::answering(HELLO).await, Stage::new());
    stage.bytes = 3;
    let request = Request::post(server.url()).header("content-length", "4");
    let error = stage
        .send(request.body(full("body")).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::HttpRequestBodySize(Some(4))),
        "{error:?}"
    );
    assert_eq!(server.connections(), 0);
    let request = Request::post(server.url()).header("transfer-encoding", "chunked");
    let error = stage
        .send(request.body(full("body")).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::HttpRequestBodySize(Some(3))),
        "{error:?}"
    );
}

#[tokio::test]
async fn g19_an_answer_with_two_lengths_is_an_error_and_its_connection_is_closed() {
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let server = Fake::answering(both).await;
    let stage = Stage::new();
    for _ in 0..2 {
        let error = stage.get(&server.url()).await.unwrap_err();
        assert!(matches!(error, Error::HttpProtocolError), "{error:?}");
    }
    assert_eq!(server.connections(), 2);
    server.open(0).await;
}
