//! The pages of the examples in Chromium, used like people use them, on a desktop and on a phone. The tests save
//! screenshots in `target/screenshots/`.

use hitchy_tests::browser::Window;
use hitchy_tests::guests::{changed_example, example};
use hitchy_tests::wait::SOON;
use hitchy_tests::{Browser, Page, Server, sources};
use serde_json::json;

/// Starts a server with an example's handler and page.
async fn serve(name: &str) -> Server {
    serve_with(name, "data").await
}

/// Starts a server with an example's handler and page, which keeps its data in this folder.
async fn serve_with(name: &str, data: &str) -> Server {
    serve_file(name, &format!("{name}.wasm"), example(name), data).await
}

/// Starts a server with a handler and the page of an example, which keeps its data in this folder.
async fn serve_file(name: &str, file: &str, handler: Vec<u8>, data: &str) -> Server {
    let mut plan = Server::prepare().handler(file, handler);
    let public = sources().join("../examples").join(name).join("public");
    for file in std::fs::read_dir(public).expect("an example has a page") {
        let path = file.expect("a folder can be read").path();
        let file = path.file_name().and_then(|name| name.to_str());
        let file = format!("public/{}", file.expect("a name in UTF-8"));
        plan = plan.file(&file, std::fs::read(&path).expect("a file can be read"));
    }
    let client = sources().join("client/node_modules/socket.io-client/dist");
    let client = client.to_str().expect("a path in UTF-8");
    let settings = format!("[socket]\nclient = {client:?}\n[kv]\npath = {data:?}\n");
    plan.settings(&settings).start().await
}

/// Ends a server as an operator does.
async fn end(mut server: Server) {
    server.terminate();
    let status = server.wait_for_end(SOON * 3).await;
    assert!(status.success(), "{status}");
}

/// Takes a screenshot and asserts that the page has no visible defects.
async fn look(page: &Page, picture: &str) {
    page.picture(picture).await;
    let complaints = page.complaints().await;
    assert!(complaints.is_empty(), "{picture}: {complaints:#?}");
}

/// The number of messages that a page shows.
const MESSAGES: &str = "document.querySelectorAll('.message').length";

async fn sign_in(page: &Page, name: &str) {
    page.fill("Your name", name).await;
    page.press("Enter").await;
    page.sees("#state", "Connected").await;
}

async fn say(page: &Page, text: &str) {
    page.fill("Message", text).await;
    page.press("Enter").await;
}

/// Waits until the sidebar lists these people.
async fn sees_people(page: &Page, names: &[&str]) {
    let list = "[...document.querySelectorAll('#here bdi')].map(it => it.textContent)";
    page.until(&format!(
        "JSON.stringify({list}) === {:?}",
        json!(names).to_string()
    ))
    .await;
}

#[tokio::test]
async fn two_people_chat_and_the_handler_is_replaced_between_two_messages() {
    let newer = changed_example("chat", |source| {
        source.replace("\"text\": text,", "\"text\": format!(\"Newer: {text}\"),")
    });
    two_people_chat("chat.wasm", example("chat"), newer, "chat").await;
}

#[tokio::test]
async fn i14_9_two_people_chat_by_javascript_that_is_replaced_between_two_messages() {
    let path = sources().join("../examples/chat-js/handlers/chat.js");
    let text = std::fs::read_to_string(path).expect("the example can be read");
    let newer = text.replace("text: trimmed(text, 500),", "text: `Newer: ${text}`,");
    assert_ne!(newer, text);
    two_people_chat("chat.js", text.into(), newer.into(), "chat-js").await;
}

/// Lets two people chat on the page of the example, with a handler that is replaced by a newer one meanwhile. The names
/// of the pictures begin with `picture`.
async fn two_people_chat(file: &str, handler: Vec<u8>, newer: Vec<u8>, picture: &str) {
    let browser = Browser::start().await;
    let mut server = serve_file("chat", file, handler, "data").await;
    let ada = browser.open(&server.url(), Window::WIDE).await;
    look(&ada, &format!("{picture}-sign-in-wide")).await;
    sign_in(&ada, "Ada").await;
    ada.sees("#empty", "Nothing has been said").await;
    look(&ada, &format!("{picture}-empty-wide")).await;
    let bob = browser.open(&server.url(), Window::NARROW).await;
    look(&bob, &format!("{picture}-sign-in-narrow")).await;
    sign_in(&bob, "Bob").await;
    look(&bob, &format!("{picture}-empty-narrow")).await;
    sees_people(&ada, &["Ada", "Bob"]).await;
    bob.sees("#people-here", "2 here").await;

    say(&ada, "Hello Bob, are you on the train?").await;
    bob.sees(".message:not(.mine) .text", "are you on the train?")
        .await;
    ada.sees(".message.mine.is-sent .text", "are you on the train?")
        .await;
    ada.until("document.activeElement.id === 'text'").await;
    bob.fill("Message", "").await;
    bob.type_text("Yes").await;
    ada.sees("#typing", "Bob is typing").await;
    bob.type_text(", and the connection is good.").await;
    bob.click("Send").await;
    ada.sees(".message:not(.mine) .text", "the connection is good")
        .await;
    ada.until("document.getElementById('typing').textContent === ''")
        .await;
    say(&ada, "I replace the code of this chat while we talk.").await;
    bob.sees(".message .text", "I replace the code").await;
    say(&bob, "Then I am about to be disconnected?").await;
    ada.sees(".message .text", "about to be disconnected").await;
    say(&ada, "No. Nobody is: the server keeps the sockets.").await;
    bob.sees(".message .text", "Nobody is").await;
    bob.type_text("!").await;
    ada.sees("#typing", "Bob is typing").await;
    look(&ada, &format!("{picture}-wide")).await;

    let (before_ada, before_bob) = (ada.connections().await, bob.connections().await);
    server.drop_in(file, newer);
    server
        .wait_for_log(&[&format!("{file}: reloaded"), "generation 2"])
        .await;
    say(&ada, "I read that the code was replaced.").await;
    bob.sees(".message:not(.mine) .text", "Newer: I read that")
        .await;
    ada.sees(".message.mine.is-sent .text", "Newer: I read that")
        .await;
    sees_people(&ada, &["Ada", "Bob"]).await;
    assert_eq!(ada.connections().await, before_ada, "Ada stayed connected");
    assert_eq!(bob.connections().await, before_bob, "Bob stayed connected");
    assert_eq!(before_ada.as_array().map(Vec::len), Some(1), "{before_ada}");
    look(&ada, &format!("{picture}-replaced-wide")).await;
    look(&bob, &format!("{picture}-replaced-narrow")).await;
    server.assert_unharmed();
}

#[tokio::test]
async fn who_wants_a_name_that_is_taken_reads_so_and_may_choose_another() {
    let browser = Browser::start().await;
    let server = serve("chat").await;
    let ada = browser.open(&server.url(), Window::WIDE).await;
    sign_in(&ada, "Ada").await;
    let other = browser.open(&server.url(), Window::NARROW.dark()).await;
    other.fill("Your name", "ada").await;
    other.press("Enter").await;
    other.sees("#sign-in-error", "This name is taken.").await;
    look(&other, "chat-taken-narrow-dark").await;
    other.fill("Your name", "").await;
    other.press("Enter").await;
    other
        .sees("#sign-in-error", "a name of 1 to 30 characters")
        .await;
    sign_in(&other, "Grace").await;
    sees_people(&ada, &["Ada", "Grace"]).await;

    // The same tab reconnects while its old connection may still be open.
    other.eval("location.reload()").await;
    other.sees("#state", "Connected").await;
    sees_people(&ada, &["Ada", "Grace"]).await;
    assert_eq!(ada.connections().await.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn who_loses_the_connection_comes_back_with_name_rooms_and_what_was_not_sent() {
    let browser = Browser::start().await;
    let server = serve("chat").await;
    let ada = browser.open(&server.url(), Window::WIDE).await;
    sign_in(&ada, "Ada").await;
    ada.click("# random Join").await;
    let bob = browser.open(&server.url(), Window::WIDE.dark()).await;
    sign_in(&bob, "Bob").await;
    bob.click("# random Join").await;
    sees_people(&ada, &["Ada", "Bob"]).await;

    // The connection closes without a goodbye, as in a network failure. The message is written while there is no
    // connection.
    ada.eval("void (sockets[0].io.engine.close(), document.getElementById('text').value = 'Was I away?', document.getElementById('composer').requestSubmit())")
        .await;
    ada.until("seen.length === 3").await;
    ada.sees("#state", "Connected").await;
    bob.sees(".message .text", "Was I away?").await;
    ada.sees(".message.mine.is-sent .text", "Was I away?").await;
    sees_people(&bob, &["Ada", "Bob"]).await;
    say(&bob, "Only for a moment.").await;
    ada.sees(".message:not(.mine) .text", "Only for a moment.")
        .await;
    assert_eq!(
        bob.eval("document.querySelectorAll('.message').length")
            .await,
        2
    );
}

#[tokio::test]
async fn long_texts_and_many_messages_stay_readable() {
    let browser = Browser::start().await;
    let server = serve("chat").await;
    let name = "Maximiliana-Wilhelmine von Aue";
    let room = format!("{}/#a-room-with-a-rather-long-nam", server.url());
    let small = browser.open(&room, Window::SMALL.dark()).await;
    sign_in(&small, "Eve").await;
    small.sees("#leave", "Leave").await;
    look(&small, "chat-long-room-small-dark").await;
    let ada = browser.open(&server.url(), Window::NARROW).await;
    sign_in(&ada, name).await;
    let bob = browser.open(&server.url(), Window::WIDE.dark()).await;
    sign_in(&bob, "Bob").await;
    let word = "Donaudampfschifffahrtsgesellschaftskapitän".repeat(6);
    say(&ada, &word).await;
    say(&ada, "<img src=x onerror=alert(1)> and\n\ttwo lines").await;
    bob.sees(".message .text", "<img src=x onerror=alert(1)>")
        .await;
    look(&bob, "chat-long-wide-dark").await;

    for number in 1..=30 {
        say(&bob, &format!("This is message number {number}.")).await;
    }
    ada.sees(".message .text", "message number 30.").await;
    ada.until("(list => list.scrollHeight - list.scrollTop - list.clientHeight < 40)(document.getElementById('messages'))")
        .await;
    look(&ada, "chat-full-narrow").await;
    // The page does not scroll while the reader is further up.
    ada.eval("document.getElementById('messages').scrollTop = 0")
        .await;
    ada.until("document.getElementById('messages').scrollTop === 0")
        .await;
    say(&bob, "Are you still there?").await;
    ada.sees("#newer", "1 new message").await;
    look(&ada, "chat-newer-narrow").await;
    assert_eq!(
        ada.eval("document.getElementById('messages').scrollTop")
            .await,
        0
    );
    ada.click("1 new message").await;
    ada.sees_no("#newer").await;

    say(&ada, &"x".repeat(501)).await;
    ada.sees("#notice", "1 to 500 characters").await;
    assert_eq!(
        ada.eval("document.getElementById('text').value.length")
            .await,
        501
    );
    look(&ada, "chat-refused-narrow").await;
}

#[tokio::test]
async fn other_rooms_count_what_is_unread_and_announcements_reach_all() {
    let browser = Browser::start().await;
    let server = serve("chat").await;
    let ada = browser.open(&server.url(), Window::NARROW).await;
    sign_in(&ada, "Ada").await;
    let bob = browser.open(&server.url(), Window::WIDE).await;
    sign_in(&bob, "Bob").await;
    bob.fill("Name of a new room", "Book club").await;
    bob.press("Enter").await;
    bob.sees("#room-name", "# book-club").await;
    sees_people(&bob, &["Bob"]).await;

    say(&ada, "Anybody here?").await;
    bob.sees("#rooms .badge", "1").await;
    look(&bob, "chat-unread-wide").await;
    ada.click("Rooms and people").await;
    sees_people(&ada, &["Ada", "Bob"]).await;
    look(&ada, "chat-menu-narrow").await;
    ada.press("Escape").await;

    let cake = json!({ "text": "There is cake in the kitchen." });
    assert_eq!(server.post("/api/announce", &cake).await.status, 200);
    for page in [&ada, &bob] {
        page.sees(".announcement", "There is cake").await;
    }
    look(&bob, "chat-announcement-wide").await;
    look(&ada, "chat-announcement-narrow").await;
    say(&bob, "/announce The cake is gone.").await;
    ada.sees(".announcement", "The cake is gone.").await;
    bob.click("Leave").await;
    bob.sees("#room-name", "# general").await;
    bob.sees_no("#rooms .badge").await;
    bob.sees(".message .text", "Anybody here?").await;
}

#[tokio::test]
async fn i12_2_the_chat_shows_after_a_restart_what_was_said_and_who_was_there() {
    let browser = Browser::start().await;
    let data = tempfile::tempdir().expect("a folder");
    let data = data.path().to_str().expect("UTF-8");
    let server = serve_with("chat", data).await;
    let ada = browser.open(&server.url(), Window::WIDE).await;
    sign_in(&ada, "Ada").await;
    let bob = browser.open(&server.url(), Window::WIDE.dark()).await;
    sign_in(&bob, "Bob").await;
    say(&ada, "Is this still here tomorrow?").await;
    bob.sees(".message .text", "still here tomorrow?").await;
    say(&bob, "The server keeps the last hundred.").await;
    ada.sees(".message:not(.mine) .text", "last hundred").await;
    bob.click("Sign out").await;
    sees_people(&ada, &["Ada"]).await;
    ada.sees("#seen bdi", "Bob").await;
    ada.sees("#seen .ago", "just now").await;
    look(&ada, "chat-seen-wide").await;

    // A page that is loaded again has its messages from the server, each once.
    ada.eval("location.reload()").await;
    ada.sees(".message.mine .text", "still here tomorrow?")
        .await;
    ada.sees(".message:not(.mine) .text", "last hundred").await;
    assert_eq!(ada.eval(MESSAGES).await, 2);
    end(server).await;

    let server = serve_with("chat", data).await;
    let eve = browser.open(&server.url(), Window::NARROW.dark()).await;
    sign_in(&eve, "Eve").await;
    eve.sees(".message .text", "still here tomorrow?").await;
    eve.sees(".message .text", "last hundred").await;
    assert_eq!(eve.eval(MESSAGES).await, 2);
    look(&eve, "chat-history-narrow-dark").await;
    eve.click("Rooms and people").await;
    eve.until("document.querySelectorAll('#seen li').length === 2")
        .await;
    look(&eve, "chat-seen-narrow-dark").await;
    eve.press("Escape").await;
    say(&eve, "It is.").await;
    let bob = browser.open(&server.url(), Window::WIDE.dark()).await;
    sign_in(&bob, "Bob").await;
    bob.sees(".message.mine .text", "last hundred").await;
    bob.sees(".message:not(.mine) .text", "It is.").await;
    look(&bob, "chat-history-wide-dark").await;
    end(server).await;
}

#[tokio::test]
async fn i12_2_the_counter_keeps_its_numbers_over_a_restart() {
    let browser = Browser::start().await;
    let data = tempfile::tempdir().expect("a folder");
    let data = data.path().to_str().expect("UTF-8");
    let server = serve_with("counter", data).await;
    let ada = browser.open(&server.url(), Window::WIDE.dark()).await;
    ada.sees("#visits", "opened once").await;
    ada.eval("document.querySelector('[value=token-of-ada]').click()")
        .await;
    ada.click("I come along").await;
    ada.sees("#who li", "ada").await;
    end(server).await;

    let server = serve_with("counter", data).await;
    let bob = browser.open(&server.url(), Window::NARROW).await;
    bob.sees("#who li", "ada").await;
    bob.sees("#count", "1").await;
    bob.sees("#visits", "opened 2 times").await;
    look(&bob, "counter-kept-narrow").await;
    end(server).await;
}

#[tokio::test]
async fn every_tab_of_the_counter_sees_who_comes_along() {
    let browser = Browser::start().await;
    let server = serve("counter").await;
    let ada = browser.open(&server.url(), Window::WIDE).await;
    let bob = browser.open(&server.url(), Window::NARROW.dark()).await;
    for page in [&ada, &bob] {
        page.sees("#state", "Live").await;
    }
    ada.click("I come along").await;
    ada.sees("#error", "401: Who are you?").await;
    ada.eval("document.querySelector('[value=token-of-ada]').click()")
        .await;
    bob.eval("document.querySelector('[value=token-of-bob]').click()")
        .await;
    ada.click("I come along").await;
    for page in [&ada, &bob] {
        page.sees("#who li", "ada").await;
        page.sees("#count", "1").await;
    }
    bob.click("I come along").await;
    for page in [&ada, &bob] {
        page.sees("#count", "2").await;
    }
    look(&ada, "counter-wide").await;
    look(&bob, "counter-narrow-dark").await;

    let before = (ada.connections().await, bob.connections().await);
    let newer = changed_example("counter", |source| {
        source.replace("new.who.len();", "new.who.len() * 10;")
    });
    server.drop_in("counter.wasm", newer);
    server
        .wait_for_log(&["counter.wasm: reloaded", "generation 2"])
        .await;
    bob.click("I stay away").await;
    for page in [&ada, &bob] {
        page.sees("#count", "10").await;
    }
    assert_eq!((ada.connections().await, bob.connections().await), before);
}
