//! A chat with names, rooms, a history, lists of people, typing notices and announcements.
//!
//! Run the example with `cargo run -- dev examples/chat` from the top of the repository, and open
//! <http://localhost:3000> in two tabs.
//!
//! This handler keeps nothing in memory, so it is the same to it how long its instances live. What outlives the server
//! is in the handler's bucket: the last messages of each room, and who was last seen there. The name of a person who is
//! connected is in the context of the connection, and the rooms of a person are the rooms of the connection.

mod names;

use std::collections::{BTreeMap, BTreeSet};

use hitchy_guest::{App, Data, Failure, Json, Result, Socket, emit, kv, now_ms, to};
use serde_json::{Value, json};

/// The messages that are kept of each room, and the people who were seen there.
const KEPT: usize = 100;

fn app() -> App {
    App::new()
        .on_connect("/", names::sign_in)
        .on_connected("/", names::welcome)
        .on_disconnect("/", gone)
        .on("join", join)
        .on("leave", leave)
        .on("who", |Data(room): Data<String>| who(&room))
        .on("typing", typing)
        .on("message", message)
        .post("/api/announce", announce)
}

fn gone(socket: Socket) -> Result<()> {
    let rooms = socket.rooms();
    let mut rooms = rooms.iter().filter_map(|room| room.strip_prefix("room:"));
    rooms.try_for_each(|room| see(&socket, room))
}

/// Handles `emit("join", "general", (history) => …)`. The ack has the last messages of the room.
fn join(socket: Socket, Data(room): Data<String>) -> Result<Json<Vec<Value>>> {
    if room.contains(|c: char| !c.is_alphanumeric() && c != '-') {
        return Err(Failure::new(400, "A room has letters, digits and hyphens.").into());
    }
    socket.join(format!("room:{}", checked(&room, 30)?))?;
    see(&socket, &room)?;
    Ok(Json(
        kv::get(&format!("messages:{room}"))?.unwrap_or_default(),
    ))
}

/// Handles `emit("leave", "general")`.
fn leave(socket: Socket, Data(room): Data<String>) -> Result<()> {
    socket.leave(inside(&socket, &room)?)?;
    see(&socket, &room)
}

/// Notes that the person was seen in the room, and tells the clients there to ask `who` again. A list that is sent from
/// here could be older than one that another call sends.
fn see(socket: &Socket, room: &str) -> Result<()> {
    let seen = (socket.get::<String>("name")?, now_ms());
    kv::push_bounded(&format!("seen:{room}"), seen, KEPT)?;
    Ok(to(format!("room:{room}")).emit("changed", room)?)
}

/// Handles `emit("who", "general", ({ here, seen }) => …)`: the names of those who are in the room, and when the others
/// were last seen there. Each name is returned once, although a person may have several tabs open.
fn who(room: &str) -> Result<Json<Value>> {
    let here: BTreeSet<String> = to(format!("room:{room}"))
        .values("name")?
        .into_iter()
        .collect();
    let seen: Option<Vec<(String, u64)>> = kv::get(&format!("seen:{room}"))?;
    let seen: BTreeMap<_, _> = seen
        .into_iter()
        .flatten()
        .filter(|it| !here.contains(&it.0))
        .collect();
    Ok(Json(json!({ "here": here, "seen": seen })))
}

/// Handles `emit("typing", "general")`. Clients that read too slowly may miss the event.
fn typing(socket: Socket, Data(room): Data<String>) -> Result<()> {
    let from: Option<String> = socket.get("name")?;
    let others = socket.to(inside(&socket, &room)?).volatile();
    Ok(others.emit("typing", &json!({ "room": room, "from": from }))?)
}

/// Handles `emit("message", "general", "hello", id, message => …)`. The other clients in the room get the message, and
/// the sender gets it as the ack. The client chooses the id. By this id, the page recognises a message that was sent
/// again after a lost connection.
fn message(
    socket: Socket,
    Data((room, text, id)): Data<(String, String, String)>,
) -> Result<Json<Value>> {
    let others = socket.to(inside(&socket, &room)?);
    let (text, id, from) = (
        checked(&text, 500)?,
        checked(&id, 40)?,
        socket.get::<String>("name")?,
    );
    let message = json!({ "id": id, "room": room, "from": from, "text": text, "at": now_ms() });
    kv::push_bounded(&format!("messages:{room}"), message.clone(), KEPT)?;
    others.emit("message", &message)?;
    Ok(Json(message))
}

/// Answers `POST /api/announce` with `{"text":"…"}` and sends the announcement to everyone. Any client may call it in
/// this example. The example `counter` has a policy.
fn announce(Json(announcement): Json<BTreeMap<String, String>>) -> Result<Json<Value>> {
    let text = announcement.get("text").map_or("", String::as_str);
    let announcement = json!({ "text": checked(text, 500)?, "at": now_ms() });
    emit("announcement", &announcement)?;
    Ok(Json(announcement))
}

/// Returns the server's name of the room, and fails if the socket is not in the room.
fn inside(socket: &Socket, room: &str) -> Result<String, Failure> {
    let room = format!("room:{room}");
    let is_in = socket.rooms().contains(&room);
    is_in
        .then_some(room)
        .ok_or(Failure::new(403, "Join the room first."))
}

/// Returns a text without the white space around it, and fails if it is empty or too long.
fn checked(text: &str, most: usize) -> Result<&str, Failure> {
    let length = text.trim().chars().count();
    let fits = (1..=most).contains(&length).then_some(text.trim());
    fits.ok_or(Failure::new(
        400,
        format!("Please write 1 to {most} characters."),
    ))
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use hitchy_guest::testing::{self, Emitted};

    use super::*;

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
}
