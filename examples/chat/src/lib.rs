//! A chat with names, rooms, a history, lists of people, typing notices and announcements.
//!
//! Run the example with `cargo run -- dev examples/chat` from the top of the repository, and open
//! <http://localhost:3000> in two tabs.
//!
//! This handler keeps nothing in memory. What outlives the server is in the handler's bucket: the last messages of
//! each room, and who was last seen there. The name of a person who is connected is in the context of the
//! connection, and the rooms of a person are the rooms of the connection.

use std::collections::{BTreeMap, BTreeSet};

use hitchy_guest::{App, Auth, Data, Failure, Json, Result, Socket, emit, kv, now_ms, to, trimmed};
use serde_json::{Value, json};

/// The messages that are kept of each room, and the people who were seen there.
const KEPT: usize = 100;

fn app() -> App {
    App::new()
        .on_connect("/", sign_in)
        .on_connected("/", welcome)
        .on_disconnect("/", gone)
        .on("join", join)
        .on("leave", leave)
        .on("who", |Data(room): Data<String>| who(&room))
        .on("typing", typing)
        .on("message", message)
        .post("/api/announce", announce)
}

/// Accepts the client of `io({ auth: { name: "Ada", key: "…" } })` if its name is free. Other clients get the
/// reason in `connect_error`. The key is a secret of the browser tab. A tab that comes back with its key after a
/// lost connection gets its name again, even if the server still counts the old connection as open.
fn sign_in(socket: Socket, auth: Option<Auth<BTreeMap<String, String>>>) -> Result<()> {
    let auth = auth.map(|Auth(auth)| auth).unwrap_or_default();
    let words = auth.get("name").map(|name| name.split_whitespace());
    let name = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if trimmed(&name, 1..=30).is_err() {
        return Err(Failure::new(400, "Please choose a name of 1 to 30 characters.").into());
    }
    let key = auth.get("key").cloned().unwrap_or_else(|| socket.id());
    if !socket.claim(&room_of(&name), &key)? {
        return Err(Failure::new(409, "This name is taken. Please choose another.").into());
    }
    socket.set("name", &name)
}

/// Tells a client that is connected what its name is, and which rooms are offered to everyone. Other rooms exist as
/// long as somebody is in them.
fn welcome(socket: Socket) -> Result<()> {
    let welcome = json!({ "name": name(&socket)?, "rooms": ["general", "random", "help"] });
    Ok(socket.emit("welcome", &welcome)?)
}

fn gone(socket: Socket) -> Result<()> {
    socket.release(&room_of(&name(&socket)?))?;
    let rooms = socket.rooms();
    let mut rooms = rooms.iter().filter_map(|room| room.strip_prefix("room:"));
    rooms.try_for_each(|room| see(&socket, room))
}

/// Handles `emit("join", "general", (history) => …)`. The ack has the last messages of the room.
fn join(socket: Socket, Data(room): Data<String>) -> Result<Json<Vec<Value>>> {
    if room.contains(|c: char| !c.is_alphanumeric() && c != '-') {
        return Err(Failure::new(400, "A room has letters, digits and hyphens.").into());
    }
    socket.join(format!("room:{}", trimmed(&room, 1..=30)?))?;
    see(&socket, &room)?;
    let history: Option<_> = kv::get(&format!("messages:{room}"))?;
    Ok(Json(history.unwrap_or_default()))
}

/// Handles `emit("leave", "general")`.
fn leave(socket: Socket, Data(room): Data<String>) -> Result<()> {
    socket.leave(inside(&socket, &room)?)?;
    see(&socket, &room)
}

/// Notes that the person was seen in the room, and tells the clients there to ask `who` again. A list that is sent from
/// here could be older than one that another call sends.
fn see(socket: &Socket, room: &str) -> Result<()> {
    kv::push_bounded(&format!("seen:{room}"), (name(socket)?, now_ms()), KEPT)?;
    Ok(to(format!("room:{room}")).emit("changed", room)?)
}

/// Handles `emit("who", "general", ({ here, seen }) => …)`: the names of those who are in the room, and when people
/// were last seen there. Each name is returned once, although a person may have several tabs open.
fn who(room: &str) -> Result<Json<Value>> {
    let here: Vec<String> = to(format!("room:{room}")).values("name")?;
    let seen: Option<Vec<(String, u64)>> = kv::get(&format!("seen:{room}"))?;
    let mut seen: BTreeMap<_, _> = seen.into_iter().flatten().collect();
    seen.retain(|name, _| !here.contains(name));
    let here = BTreeSet::from_iter(here);
    Ok(Json(json!({ "here": here, "seen": seen })))
}

/// Handles `emit("typing", "general")`. Clients that read too slowly may miss the event.
fn typing(socket: Socket, Data(room): Data<String>) -> Result<()> {
    let others = socket.to(inside(&socket, &room)?).volatile();
    Ok(others.emit("typing", &json!({ "room": room, "from": name(&socket)? }))?)
}

/// Handles `emit("message", "general", "hello", id, message => …)`. The other clients in the room get the message,
/// and the sender gets it as the ack. The client chooses the id. By this id, the page recognises a message that was
/// sent again after a lost connection.
fn message(socket: Socket, Data([room, text, id]): Data<[String; 3]>) -> Result<Json<Value>> {
    let others = socket.to(inside(&socket, &room)?);
    let (text, id) = (trimmed(&text, 1..=500)?, trimmed(&id, 1..=40)?);
    let from = name(&socket)?;
    let message = json!({ "id": id, "room": room, "from": from, "text": text, "at": now_ms() });
    kv::push_bounded(&format!("messages:{room}"), message.clone(), KEPT)?;
    others.emit("message", &message)?;
    Ok(Json(message))
}

/// Answers `POST /api/announce` with `{"text":"…"}` and sends the announcement to everyone. Any client may call it in
/// this example. The example `counter` has a policy.
fn announce(Json(announcement): Json<BTreeMap<String, String>>) -> Result<Json<Value>> {
    let text = announcement.get("text").map_or("", String::as_str);
    let announcement = json!({ "text": trimmed(text, 1..=500)?, "at": now_ms() });
    emit("announcement", &announcement)?;
    Ok(Json(announcement))
}

/// Returns the server's name of a room, and fails if the socket is not in it.
fn inside(socket: &Socket, room: &str) -> Result<String> {
    let room = format!("room:{room}");
    socket.require(&room)?;
    Ok(room)
}

/// Returns the room of the clients with a name, which they have for themselves.
fn room_of(name: &str) -> String {
    format!("name:{}", name.to_lowercase())
}

fn name(socket: &Socket) -> Result<String> {
    Ok(socket.get("name")?.unwrap_or_default())
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests;
