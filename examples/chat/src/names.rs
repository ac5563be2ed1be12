//! A connection hook that asks for a name and makes sure that no two people have the same name.

use hitchy_guest::{Auth, Failure, Result, Socket, find, to};
use serde::Deserialize;
use serde_json::json;

/// The rooms that are offered to everyone. Other rooms exist as long as somebody is in them.
const ROOMS: [&str; 3] = ["general", "random", "help"];
const TAKEN: &str = "This name is taken. Please choose another.";

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
pub(crate) fn sign_in(socket: Socket, auth: Option<Auth<SignIn>>) -> Result<()> {
    let Auth(SignIn { name, key }) = auth.unwrap_or_default();
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if !crate::is_between(1, &name, 30) {
        return Err(Failure::new(400, "Please choose a name of 1 to 30 characters.").into());
    }
    let key = key.unwrap_or_else(|| socket.id());
    let seat = [
        format!("name:{}", name.to_lowercase()),
        format!("key:{key}"),
    ];
    socket.set("name", &name)?;
    socket.set("seat", &seat)?;
    socket.join(seat)?;
    let is_free = rivals(&socket)?.is_empty();
    if is_free {
        Ok(())
    } else {
        Err(Failure::new(409, TAKEN).into())
    }
}

/// Resolves a race of two clients that ask for one name at the same moment. They do not see each other in `sign_in`,
/// because only connected clients are visible there. The later one sees the other here, and the client with the smaller
/// id stays.
pub(crate) fn welcome(socket: Socket) -> Result<()> {
    let mut all = rivals(&socket)?;
    all.push(socket.id());
    all.sort();
    for loser in all[1..].iter().filter_map(|id| find("/", id)) {
        loser.emit("refused", TAKEN).ok();
        loser.disconnect();
    }
    if all[0] != socket.id() {
        return Ok(());
    }
    let name: Option<String> = socket.get("name")?;
    Ok(socket.emit("welcome", &json!({ "name": name, "rooms": ROOMS }))?)
}

/// Returns the ids of the clients with this socket's name but another key.
fn rivals(socket: &Socket) -> Result<Vec<String>> {
    let [name, key]: [String; 2] = socket.get("seat")?.unwrap_or_default();
    Ok(to(name).except(key).ids()?)
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
    fn of_two_who_ask_at_the_same_moment_one_stays() {
        let connected = |id: &str| {
            let client = testing::client().id(id).room("name:ada");
            let client = client.room(&format!("key:{id}")).context("name", "Ada");
            client
                .context("seat", &["name:ada".to_owned(), format!("key:{id}")])
                .connect()
        };
        testing::reset();
        let (first, second) = (connected("b"), connected("a"));
        welcome(first.clone()).unwrap();
        welcome(second.clone()).unwrap();

        assert!(find("/", &first.id()).is_none() && find("/", &second.id()).is_some());
        let [refused, welcomed] = &testing::emitted()[..] else {
            panic!("{:?}", testing::emitted());
        };
        assert!(refused.event == "refused" && refused.reached(&first));
        assert!(welcomed.event == "welcome" && welcomed.reached(&second));
    }
}
