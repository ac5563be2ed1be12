//! A route with a parameter, a JSON body that becomes a broadcast, and an event with an ack.
//!
//! Run the example with `cargo run -- dev examples/hello` from the top of the repository, and open
//! <http://localhost:3000/api/hello/you>.

use hitchy_guest::{App, Data, Json, Path, Result, Socket, emit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn app() -> App {
    App::new()
        .get("/api/hello/{name}", hello)
        .post("/api/messages", post)
        .on("chat:join", join)
        .on("chat:send", send)
}

#[derive(Deserialize, Serialize)]
struct Message {
    room: String,
    text: String,
}

/// Answers `GET /api/hello/you`.
fn hello(Path(name): Path<String>) -> Json<Value> {
    Json(json!({ "hello": name }))
}

/// Answers `POST /api/messages` with `{"room":"…","text":"…"}` and sends the message to every client of the server.
fn post(Json(message): Json<Message>) -> Result<(u16, Json<Message>)> {
    emit("chat:message", &message)?;
    Ok((201, Json(message)))
}

/// Handles `socket.emit("chat:join", "general", (rooms) => …)`.
fn join(socket: Socket, Data(room): Data<String>) -> Result<Json<Vec<String>>> {
    socket.join(&room)?;
    Ok(Json(socket.rooms()))
}

/// Handles `socket.emit("chat:send", { room: "general", text: "hi" }, (answer) => …)` and sends the message to the
/// other clients in the room.
fn send(socket: Socket, Data(message): Data<Message>) -> Result<&'static str> {
    socket.to(&message.room).emit("chat:message", &message)?;
    Ok("sent")
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use hitchy_guest::testing;

    use super::*;

    #[test]
    fn says_hello() {
        let app = testing::App::new(app);
        let response = app.get("/api/hello/Ada").send();
        assert_eq!(response.json::<Value>().unwrap(), json!({ "hello": "Ada" }));
    }

    #[test]
    fn tells_the_others_in_the_room() {
        let app = testing::App::new(app);
        let (ada, bob) = (app.client().connect(), app.client().connect());
        app.event("chat:join", "general").from(&ada).send().unwrap();
        app.event("chat:join", "general").from(&bob).send().unwrap();

        let message = json!({ "room": "general", "text": "hi" });
        let ack = app.event("chat:send", &message).from(&ada).send().unwrap();
        assert_eq!(ack.data::<String>().unwrap(), "sent");

        let emitted = testing::emitted();
        assert_eq!(emitted[0].data::<Value>().unwrap(), message);
        assert!(emitted[0].reached(&bob) && !emitted[0].reached(&ada));
    }
}
