//! Connections that are kept, and the places of requests.

use super::*;

#[tokio::test]
async fn g20_connections_are_used_again_after_a_good_answer_only() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::new());
    for _ in 0..10 {
        assert_eq!(stage.text(&server.url()).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(stage.count("answered"), 10);

    // A body that nobody reads to its end closes the connection.
    let large = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello";
    let server = Fake::answering(large).await;
    drop(stage.get(&server.url()).await.unwrap());
    server.open(0).await;
    assert_eq!(stage.count("abandoned"), 1);
}

#[tokio::test]
async fn g20_a_kept_connection_that_the_server_closed_is_replaced() {
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write(HELLO).await
    })
    .await;
    let stage = Stage::new();
    for _ in 0..5 {
        assert_eq!(stage.text(&server.url()).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn g20_a_thousand_at_once_wait_for_places_of_the_call_and_of_the_node() {
    // Requests that the server has read and not answered, and the most of them.
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counted = Arc::clone(&counts);
    let server = Fake::start(move |mut peer| {
        let counted = Arc::clone(&counted);
        async move {
            while peer.head().await.is_some() {
                let busy = counted[0].fetch_add(1, Ordering::SeqCst) + 1;
                counted[1].fetch_max(busy, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                counted[0].fetch_sub(1, Ordering::SeqCst);
                peer.write(HELLO).await?;
            }
            Some(())
        }
    })
    .await;
    let stage = Stage::new();
    let url = server.url();
    let answers = join_all((0..1000).map(|_| stage.text(&url))).await;
    let is_hello = |answer: &Result<String, Error>| matches!(answer, Ok(text) if text == "hello");
    assert!(answers.iter().all(is_hello));
    assert!(counts[1].swap(0, Ordering::SeqCst) <= 6);
    assert!(server.connections() <= 6, "{}", server.connections());

    // Calls that have places of their own share those of the node.
    let stage = Stage::new();
    let requests = (0..1000).map(|_| async {
        let mut grant = stage.grant();
        grant.parallel = Arc::new(Semaphore::new(6));
        text(stage.send_with(get(&url), grant).await?).await
    });
    let answers = join_all(requests).await;
    assert!(answers.iter().all(is_hello));
    assert!(counts[1].load(Ordering::SeqCst) <= 48, "{counts:?}");
    assert_eq!(stage.count("answered"), 1000);
}

#[tokio::test]
async fn g20_who_waits_too_long_for_a_place_gets_an_error() {
    let server = Fake::silent().await;
    let mut stage = Stage::with(3, true);
    let url = server.url();
    // One handler has two of three places.
    let busy = [stage.start(&url), stage.start(&url)];
    server.open(2).await;
    stage.time = Duration::from_millis(200);
    for _ in 0..3 {
        let error = stage.get(&url).await.unwrap_err();
        assert!(matches!(error, Error::ConnectionLimitReached), "{error:?}");
    }
    assert_eq!(stage.count("limited"), 3);
    assert_eq!(server.connections(), 2);
    for request in busy {
        request.abort();
    }
    server.open(0).await;
}

#[tokio::test]
async fn g20_the_end_of_the_call_closes_its_connections() {
    let silent = Fake::silent().await;
    let stops = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel")
            .await?;
        peer.closed().await;
        Some(())
    })
    .await;
    let stage = Stage::new();
    let body = stage.get(&stops.url()).await.unwrap();
    let url = silent.url();
    let waiting = stage.get(&url);
    let end = async {
        silent.open(1).await;
        stage.ended.cancel();
    };
    let (sent, ()) = tokio::join!(waiting, end);
    assert!(matches!(sent, Err(Error::ConnectionTerminated)));
    silent.open(0).await;
    let error = text(body).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionTerminated), "{error:?}");
    stops.open(0).await;
}

#[tokio::test]
async fn g20_the_requests_of_a_call_take_their_places_in_order() {
    let server = Fake::answering(HELLO).await;
    let (stage, mut turns) = (Stage::with(1, true), Turns::default());
    let url = server.url();
    let [first, second] = [(); 2].map(|()| {
        let mut grant = stage.grant();
        grant.turn = Some(turns.next());
        stage.send_with(get(&url), grant)
    });
    // The second is polled first, and its response is not read before that of the first.
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    assert!(second.as_mut().now_or_never().is_none());
    let answer = first.as_mut().await.unwrap();
    assert!(second.as_mut().now_or_never().is_none());
    assert_eq!(text(answer).await.unwrap(), "hello");
    assert_eq!(text(second.await.unwrap()).await.unwrap(), "hello");
}

#[tokio::test]
async fn g20_one_handler_leaves_places_for_the_others() {
    let (silent, quick) = (Fake::silent().await, Fake::answering(HELLO).await);
    let stage = Stage::with(4, true);
    let waiting: Vec<_> = (0..6).map(|_| stage.start(&silent.url())).collect();
    silent.open(3).await;
    let mut grant = stage.grant();
    grant.handler = "other.wasm".into();
    grant.parallel = Arc::new(Semaphore::new(6));
    let answer = stage.send_with(get(&quick.url()), grant).await.unwrap();
    assert_eq!(text(answer).await.unwrap(), "hello");
    assert_eq!(silent.connections(), 3);
    for request in waiting {
        request.abort();
    }
}
