//! A handler for Hitchy: a route for HTTP, and an event for socket.io clients.
//!
//! `cargo test` runs its tests here. `hitchy dev` builds it, serves it, and replaces it on every save.

use hitchy_guest::{App, Data, Failure, Json, Path, Result, emit};
use serde::{Deserialize, Serialize};

/// What this handler offers: paths and events, each with the function that answers.
fn app() -> App {
    App::new()
        .get("/api/hello/{name}", hello)
        .on("chat:say", say)
}

/// `GET /api/hello/Ada` answers `{"hello":"Ada"}`. The arguments are taken from the request: here the `{name}` of the path.
fn hello(Path(name): Path<String>) -> Json<Greeting> {
    Json(Greeting { hello: name })
}

/// `socket.emit("chat:say", { from: "Ada", text: "hi" }, (answer) => …)`. What is returned is the answer, the event's ack.
fn say(Data(message): Data<Message>) -> Result<&'static str> {
    if message.text.is_empty() {
        return Err(Failure::new(400, "there is no text in it").into());
    }
    // Every connected client gets an event `chat:said`; `socket.to("room")` would tell those in a room.
    emit("chat:said", &message)?;
    Ok("told everyone")
}

#[derive(Serialize)]
struct Greeting {
    hello: String,
}

/// What comes from clients is checked: an event without one of these fields is refused.
#[derive(Serialize, Deserialize)]
struct Message {
    from: String,
    text: String,
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use hitchy_guest::testing;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn says_hello() {
        let app = testing::App::new(app);
        let answer = app.get("/api/hello/Ada").send();
        assert_eq!(answer.json::<Value>().unwrap(), json!({ "hello": "Ada" }));
    }

    #[test]
    fn tells_everyone_what_was_said() {
        let app = testing::App::new(app);
        let bob = app.client().connect();

        let message = json!({ "from": "Ada", "text": "hi" });
        let ack = app.event("chat:say", &message).send().unwrap();
        assert_eq!(ack.data::<String>().unwrap(), "told everyone");

        let said = &testing::emitted()[0];
        assert_eq!(said.event, "chat:said");
        assert_eq!(said.data::<Value>().unwrap(), message);
        assert!(said.reached(&bob));
    }
}
