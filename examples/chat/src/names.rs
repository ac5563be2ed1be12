//! A connection hook that asks for a name and makes sure that no two people have the same name.

use hitchy_guest::{Auth, Failure, Result, Socket, kv, now_ms, to};
use serde::Deserialize;
use serde_json::json;

/// The rooms that are offered to everyone. Other rooms exist as long as somebody is in them.
const ROOMS: [&str; 3] = ["general", "random", "help"];
const TAKEN: &str = "This name is taken. Please choose another.";
/// The longest time between `sign_in` and `welcome` of a client, in milliseconds.
const PATIENCE: u64 = 10_000;

/// The argument of `io({ auth: { name: "Ada", key: "…" } })`. The key is a secret of the browser tab. A tab that comes
/// back with its key after a lost connection gets its name again, even if the server still counts the old connection as
/// open.
#[derive(Default, Deserialize)]
pub(crate) struct SignIn {
    #[serde(default)]
    name: String,
    key: Option<String>,
}

/// Accepts a client whose name is free. Other clients get the reason in `connect_error`.
///
/// A name belongs to the key that took it as long as a client with the name is connected. A client that is not connected
/// yet is not in the room of its name either, so its name is also taken for a while from here on. `kv::try_update`
/// decides between two clients that ask for one name at the same moment.
pub(crate) fn sign_in(socket: Socket, auth: Option<Auth<SignIn>>) -> Result<()> {
    let Auth(SignIn { name, key }) = auth.unwrap_or_default();
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = crate::checked(&name, 30)
        .map_err(|_| Failure::new(400, "Please choose a name of 1 to 30 characters."))?;
    let (key, room) = (key.unwrap_or_else(|| socket.id()), room_of(name));
    kv::try_update(&room, |taken: Option<(String, u64)>| match taken {
        Some((other, until))
            if other != key && (now_ms() < until || !to(&room).ids()?.is_empty()) =>
        {
            Err(Failure::new(409, TAKEN))
        }
        _ => Ok((key.clone(), now_ms() + PATIENCE)),
    })?;
    socket.set("name", name)?;
    Ok(socket.join(&room)?)
}

/// Tells a client that is connected what its name is. From here on the client is in the room of its name, which says
/// that the name is taken.
pub(crate) fn welcome(socket: Socket) -> Result<()> {
    let name: String = socket.get("name")?.unwrap_or_default();
    kv::update(&room_of(&name), |taken: Option<(String, u64)>| {
        (taken.unwrap_or_default().0, 0)
    })?;
    Ok(socket.emit("welcome", &json!({ "name": name, "rooms": ROOMS }))?)
}

/// Returns the room of the clients with a name, which is also the key of the name.
fn room_of(name: &str) -> String {
    format!("name:{}", name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use hitchy_guest::testing;
    use serde_json::Value;

    use super::*;

    fn ask(app: &testing::App, auth: &Value) -> Result<Socket, Failure> {
        app.client().auth(auth).try_connect()
    }

    #[test]
    fn a_name_is_needed() {
        let app = testing::App::new(crate::app);
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
        let app = testing::App::new(crate::app);
        let ada = ask(&app, &json!({ "name": "Ada", "key": "1" })).unwrap();
        let other = json!({ "name": "ADA", "key": "2" });
        assert_eq!(ask(&app, &other).unwrap_err(), Failure::new(409, TAKEN));
        app.disconnect(&ada, "transport close");
        ask(&app, &other).unwrap();
    }

    #[test]
    fn whoever_comes_back_gets_the_name_again() {
        let app = testing::App::new(crate::app);
        let auth = json!({ "name": "Ada", "key": "1" });
        ask(&app, &auth).unwrap();
        ask(&app, &auth).unwrap();
        let welcomed = testing::emitted();
        assert_eq!(welcomed.len(), 2);
        assert!(welcomed.iter().all(|it| it.event == "welcome"));
    }

    #[test]
    fn of_two_who_ask_at_the_same_moment_one_gets_the_name() {
        let app = testing::App::new(crate::app);
        // A client that has asked and is not connected yet.
        kv::set("name:ada", &("1", now_ms() + PATIENCE)).unwrap();
        let other = json!({ "name": "Ada", "key": "2" });
        assert_eq!(ask(&app, &other).unwrap_err(), Failure::new(409, TAKEN));
        ask(&app, &json!({ "name": "Ada", "key": "1" })).unwrap();

        // A client that has asked and never came.
        kv::set("name:bob", &("1", now_ms())).unwrap();
        ask(&app, &json!({ "name": "Bob", "key": "2" })).unwrap();
    }
}
