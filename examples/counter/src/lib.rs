//! A counter of the people who come along. A policy finds the user of a request, the route reads the user from the
//! request's context, and every tab sees the new count at once.
//!
//! Run the example with `cargo run -- dev examples/counter` from the top of the repository, and open
//! <http://localhost:3000> in two tabs.
//!
//! The numbers are in the handler's bucket, which outlives every instance and the server.

use std::collections::BTreeSet;

use hitchy_guest::{App, Context, Failure, Headers, Json, Result, Socket, emit, kv};
use serde::{Deserialize, Serialize};

/// Tokens for this demonstration. A real program contains no tokens: its policy asks the issuer of the token.
const TOKENS: [(&str, &str); 3] = [
    ("token-of-ada", "ada"),
    ("token-of-bob", "bob"),
    ("token-of-eve", "eve"),
];

fn app() -> App {
    App::new()
        .before("/api/count/me", authenticate)
        .get("/api/count", || count().map(Json))
        .put("/api/count/me", |it: Context| change(&it, BTreeSet::insert))
        .delete("/api/count/me", |it: Context| {
            change(&it, |who, user| who.remove(&user))
        })
        .on_connected("/", greet)
}

/// What the page shows.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Count {
    count: usize,
    who: BTreeSet<String>,
    /// The number of changes so far. Of two counts that arrive in the wrong order, a page shows the one with more.
    changes: u64,
}

/// Puts the user of a request into its context: `authorization: Bearer token-of-ada` gives `ada`. The policy refuses
/// all requests without a valid token.
fn authenticate(headers: Headers, context: Context) -> Result<()> {
    let authorization = headers.get("authorization").unwrap_or_default();
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    let Some((_, user)) = TOKENS.iter().find(|(known, _)| *known == token) else {
        return Err(Failure::new(401, "Who are you? Send a token that is known here.").into());
    };
    context.set("user", user)
}

/// Answers `PUT` and `DELETE /api/count/me`, sent by `curl` or by the page over its socket, and tells every tab. Two
/// requests at the same time do not undo each other, because `kv::update` changes the count as one step.
fn change(
    context: &Context,
    change: fn(&mut BTreeSet<String>, String) -> bool,
) -> Result<Json<Count>> {
    let user: String = context.get("user")?.unwrap_or_default();
    let count = kv::update("count", |old: Option<Count>| {
        let mut new = old.unwrap_or_default();
        new.changes += u64::from(change(&mut new.who, user.clone()));
        new.count = new.who.len();
        new
    })?;
    emit("count", &count)?;
    Ok(Json(count))
}

fn count() -> Result<Count> {
    Ok(kv::get("count")?.unwrap_or_default())
}

/// Shows the count to a tab that was opened, and counts the visit.
fn greet(socket: Socket) -> Result<()> {
    socket.emit("count", &count()?)?;
    Ok(emit("visits", &kv::increment("visits", 1)?)?)
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use hitchy_guest::testing;
    use serde_json::{Value, json};

    use super::*;

    fn ask(app: &testing::App, method: &str, token: &str) -> (u16, Value) {
        let request = app.request(method, "/api/count/me");
        let response = request
            .header("authorization", &format!("Bearer {token}"))
            .send();
        (response.status(), response.json().unwrap())
    }

    #[test]
    fn whoever_the_policy_knows_is_counted_once_in_every_tab() {
        let app = testing::App::new(app);
        let (ada, nobody) = (app.client().connect(), app.client().connect());
        let counted = json!({ "count": 1, "who": ["ada"], "changes": 1 });
        for _ in 0..2 {
            assert_eq!(ask(&app, "PUT", "token-of-ada"), (200, counted.clone()));
        }
        let told = testing::emitted().pop().unwrap();
        assert_eq!(told.data::<Value>().unwrap(), counted);
        assert!(told.reached(&ada) && told.reached(&nobody));

        let away = json!({ "count": 0, "who": [], "changes": 2 });
        assert_eq!(ask(&app, "DELETE", "token-of-ada"), (200, away));
    }

    #[test]
    fn others_are_refused() {
        let app = testing::App::new(app);
        assert_eq!(ask(&app, "PUT", "token-of-mallory").0, 401);
        assert_eq!(app.put("/api/count/me").send().status(), 401);
        let count: Value = app.get("/api/count").send().json().unwrap();
        assert_eq!(count["count"], 0);
    }

    #[test]
    fn a_tab_that_is_opened_sees_what_was_counted_before() {
        let app = testing::App::new(app);
        ask(&app, "PUT", "token-of-eve");
        let tab = app.client().connect();
        let [_, count, visits] = &testing::emitted()[..] else {
            panic!("{:?}", testing::emitted());
        };
        assert!(count.event == "count" && count.reached(&tab));
        assert_eq!(count.data::<Value>().unwrap()["who"], json!(["eve"]));
        assert_eq!((&*visits.event, visits.data().unwrap()), ("visits", 1));
    }
}
