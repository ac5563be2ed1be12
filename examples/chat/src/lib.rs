//! A chat with names, rooms, lists of people, typing notices and announcements.
//!
//! Run the example with `cargo run -- dev examples/chat` from the top of the repository, and open
//! <http://localhost:3000> in two tabs.
//!
//! Every call runs in a fresh instance, so this handler keeps nothing in memory. The name of a person is in the context
//! of the connection, the rooms of a person are the rooms of the connection, and the page keeps the messages.

mod names;

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use hitchy_guest::{App, Data, Failure, Json, Result, Socket, emit, find, to};
use serde::Deserialize;
use serde_json::{Value, json};

/// The maximum length of a message, in characters.
const LONGEST: usize = 500;

fn app() -> App {
    App::new()
        .on_connect("/", names::sign_in)
        .on_connected("/", names::welcome)
        .on_disconnect("/", gone)
        .on("join", join)
        .on("leave", leave)
        .on("who", |Data(room): Data<String>| who_is_in(&room))
        .on("typing", typing)
        .on("message", message)
        .post("/api/announce", announce)
}

fn gone(socket: Socket) -> Result<()> {
    let rooms = socket.rooms();
    let mut rooms = rooms.iter().filter_map(|room| room.strip_prefix("room:"));
    Ok(rooms.try_for_each(tell_that_it_changed)?)
}

/// Handles `emit("join", "general", ({ error }) => …)`.
fn join(socket: Socket, Data(room): Data<String>) -> Result<()> {
    if !is_between(1, &room, 30) || room.contains(|c: char| !c.is_alphanumeric() && c != '-') {
        return Err(Failure::new(400, "A room has 1 to 30 letters, digits and hyphens.").into());
    }
    socket.join(format!("room:{room}"))?;
    Ok(tell_that_it_changed(&room)?)
}

/// Handles `emit("leave", "general")`.
fn leave(socket: Socket, Data(room): Data<String>) -> Result<()> {
    socket.leave(format!("room:{room}"))?;
    Ok(tell_that_it_changed(&room)?)
}

/// Tells the clients in the room to ask `who` again. A list sent from here could be older than one that another call
/// sends.
fn tell_that_it_changed(room: &str) -> Result<(), Failure> {
    to(format!("room:{room}")).emit("changed", room)
}

/// Handles `emit("who", "general", names => …)`. Each name is returned once, although a person may have several tabs
/// open.
fn who_is_in(room: &str) -> Result<Json<BTreeSet<String>>> {
    let ids = to(format!("room:{room}")).ids()?;
    let sockets = ids.iter().filter_map(|id| find("/", id));
    let names: Result<_> = sockets
        .filter_map(|it| it.get("name").transpose())
        .collect();
    names.map(Json)
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
    let (text, from, at) = (checked(&text)?, socket.get::<String>("name")?, now());
    let message = json!({ "id": id, "room": room, "from": from, "text": text, "at": at });
    others.emit("message", &message)?;
    Ok(Json(message))
}

#[derive(Deserialize)]
struct Announcement {
    text: String,
}

/// Answers `POST /api/announce` with `{"text":"…"}` and sends the announcement to everyone. Any client may call it in
/// this example. The example `counter` has a policy.
fn announce(Json(Announcement { text }): Json<Announcement>) -> Result<Json<Value>> {
    let announcement = json!({ "text": checked(&text)?, "at": now() });
    emit("announcement", &announcement)?;
    Ok(Json(announcement))
}

/// Returns the server's name of the room, and fails if the socket is not in the room.
fn inside(socket: &Socket, room: &str) -> Result<String, Failure> {
    let room = format!("room:{room}");
    let is_in = socket.rooms().contains(&room);
    if is_in {
        Ok(room)
    } else {
        Err(Failure::new(403, "Join the room first."))
    }
}

fn checked(text: &str) -> Result<&str, Failure> {
    match text.trim() {
        "" => Err(Failure::new(400, "There is nothing in this message.")),
        text if is_between(1, text, LONGEST) => Ok(text),
        _ => Err(Failure::new(
            413,
            format!("A message has at most {LONGEST} characters."),
        )),
    }
}

fn is_between(least: usize, text: &str, most: usize) -> bool {
    (least..=most).contains(&text.chars().count())
}

/// Returns the time in milliseconds since 1970, as JavaScript does.
fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
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
        assert_eq!(refusal("general", &"é".repeat(LONGEST + 1)), 413);
        assert_eq!(refusal("random", "hi"), 403);
        assert!(emitted("message").is_empty());

        let longest = app.event("message", &("general", "é".repeat(LONGEST), "m1"));
        longest.from(&ada).send().unwrap();
    }

    #[test]
    fn who_is_here_changes_as_people_join_leave_and_go() {
        let app = testing::App::new(app);
        let (ada, bob) = (signed_in(&app, "Ada"), signed_in(&app, "Bob"));
        let who = || -> Vec<String> {
            let who = app.event("who", "general").from(&ada).send().unwrap();
            who.data().unwrap()
        };
        assert_eq!(who(), ["Ada", "Bob"]);
        app.event("leave", "general").from(&bob).send().unwrap();
        assert_eq!(who(), ["Ada"]);

        let eve = signed_in(&app, "Eve");
        let told = emitted("changed").len();
        app.disconnect(&eve, "transport close");
        assert_eq!(who(), ["Ada"]);
        let told = &emitted("changed")[told];
        assert!(told.reached(&ada) && told.data::<String>().unwrap() == "general");
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
