//! Tests of the chat, with the SDK's double of the server.

use hitchy_guest::testing::{self, Emitted};

use super::*;

const TAKEN: &str = "This name is taken. Please choose another.";

/// Returns a client that is signed in and in the room `general`.
fn signed_in(app: &testing::App, name: &str) -> Socket {
    let auth = json!({ "name": name, "key": format!("key of {name}") });
    let socket = app.client().auth(&auth).connect();
    app.event("join", "general").from(&socket).send().unwrap();
    socket
}

fn emitted(event: &str) -> Vec<Emitted> {
    let all = testing::emitted().into_iter();
    all.filter(|it| it.event == event).collect()
}

#[test]
fn a_message_reaches_the_others_in_the_room() {
    let app = testing::App::new(app);
    let (ada, bob) = (signed_in(&app, "Ada"), signed_in(&app, "Bob"));
    let message = app.event("message", &("general", " hi ", "m1"));
    let ack: Value = message.from(&ada).send().unwrap().data().unwrap();

    let sent = emitted("message");
    assert!(sent[0].reached(&bob) && !sent[0].reached(&ada));
    assert_eq!(sent[0].data::<Value>().unwrap(), ack);
    assert_eq!((&ack["from"], &ack["text"]), (&json!("Ada"), &json!("hi")));
}

#[test]
fn a_message_that_is_empty_too_long_or_for_another_room_is_refused() {
    let app = testing::App::new(app);
    let ada = signed_in(&app, "Ada");
    let refusal = |room: &str, text: &str| {
        let message = app.event("message", &(room, text, "m1"));
        message.from(&ada).send().unwrap_err().code()
    };
    assert_eq!(refusal("general", "  \n "), 400);
    assert_eq!(refusal("general", &"é".repeat(501)), 400);
    assert_eq!(refusal("random", "hi"), 403);
    assert!(emitted("message").is_empty());

    let longest = app.event("message", &("general", "é".repeat(500), "m1"));
    longest.from(&ada).send().unwrap();
}

#[test]
fn who_is_here_changes_as_people_join_leave_and_go() {
    let app = testing::App::new(app);
    let (ada, bob) = (signed_in(&app, "Ada"), signed_in(&app, "Bob"));
    let who = || -> Value {
        let who = app.event("who", "general").from(&ada).send().unwrap();
        who.data().unwrap()
    };
    assert_eq!(who(), json!({ "here": ["Ada", "Bob"], "seen": {} }));
    app.event("leave", "general").from(&bob).send().unwrap();
    assert_eq!(who()["here"], json!(["Ada"]));
    assert!(who()["seen"]["Bob"].as_u64().unwrap() <= now_ms());

    let eve = signed_in(&app, "Eve");
    let told = emitted("changed").len();
    app.disconnect(&eve, "transport close");
    assert_eq!(who()["here"], json!(["Ada"]));
    assert_eq!(who()["seen"].as_object().unwrap().len(), 2);
    let told = &emitted("changed")[told];
    assert!(told.reached(&ada) && told.data::<String>().unwrap() == "general");
}

#[test]
fn whoever_joins_gets_the_last_messages_of_the_room() {
    let app = testing::App::new(app);
    let ada = signed_in(&app, "Ada");
    for number in 1..=KEPT + 1 {
        let message = app.event("message", &("general", format!("no. {number}"), "m1"));
        message.from(&ada).send().unwrap();
    }
    let history = |room: &str| -> Vec<Value> {
        let joined = app.event("join", room).from(&ada).send().unwrap();
        joined.data().unwrap()
    };
    let kept = history("general");
    assert_eq!((kept.len(), &kept[0]["text"]), (KEPT, &json!("no. 2")));
    assert_eq!(kept[KEPT - 1]["text"], format!("no. {}", KEPT + 1));
    assert!(history("random").is_empty());
}

#[test]
fn a_room_needs_a_name_that_fits() {
    let app = testing::App::new(app);
    let ada = signed_in(&app, "Ada");
    for room in ["", "two words", "key:x", &"x".repeat(31)] {
        let refused = app.event("join", room).from(&ada).send().unwrap_err();
        assert_eq!(refused.code(), 400, "{room}");
    }
    app.event("join", "büro-4").from(&ada).send().unwrap();
}

#[test]
fn typing_is_told_to_the_others() {
    let app = testing::App::new(app);
    let (ada, bob) = (signed_in(&app, "Ada"), signed_in(&app, "Bob"));
    app.event("typing", "general").from(&ada).send().unwrap();
    let told = emitted("typing");
    assert!(told[0].volatile && told[0].reached(&bob) && !told[0].reached(&ada));
}

#[test]
fn an_announcement_reaches_everyone() {
    let app = testing::App::new(app);
    let (ada, bob) = (signed_in(&app, "Ada"), signed_in(&app, "Bob"));
    let post = app.post("/api/announce").json(&json!({ "text": "Cake!" }));
    assert_eq!(post.send().status(), 200);
    let told = emitted("announcement");
    assert!(told[0].reached(&ada) && told[0].reached(&bob));

    let empty = app.post("/api/announce").json(&json!({ "text": "" }));
    assert_eq!(empty.send().status(), 400);
}

fn ask(app: &testing::App, auth: &Value) -> Result<Socket, Failure> {
    app.client().auth(auth).try_connect()
}

#[test]
fn a_name_is_needed() {
    let app = testing::App::new(app);
    assert_eq!(app.client().try_connect().unwrap_err().code(), 400);
    for name in [" ", &"x".repeat(31)] {
        let refused = ask(&app, &json!({ "name": name })).unwrap_err();
        assert!(refused.message().starts_with("Please choose a name"));
    }
    let ada = ask(&app, &json!({ "name": "  Ada   Lovelace " })).unwrap();
    assert_eq!(ada.get("name").unwrap(), Some("Ada Lovelace".to_owned()));
}

#[test]
fn a_name_that_is_taken_is_refused_until_it_is_free() {
    let app = testing::App::new(app);
    let ada = ask(&app, &json!({ "name": "Ada", "key": "1" })).unwrap();
    let other = json!({ "name": "ADA", "key": "2" });
    assert_eq!(ask(&app, &other).unwrap_err(), Failure::new(409, TAKEN));
    app.disconnect(&ada, "transport close");
    ask(&app, &other).unwrap();
}

#[test]
fn whoever_comes_back_gets_the_name_again() {
    let app = testing::App::new(app);
    let auth = json!({ "name": "Ada", "key": "1" });
    ask(&app, &auth).unwrap();
    ask(&app, &auth).unwrap();
    let welcomed = testing::emitted();
    assert_eq!(welcomed.len(), 2);
    assert!(welcomed.iter().all(|it| it.event == "welcome"));
}
