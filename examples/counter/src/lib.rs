//! A counter of the people who come along. A policy finds the user of a request, the route reads the user from the
//! request's context, and every tab sees the new count at once.
//!
//! Run the example with `cargo run -- dev examples/counter` from the top of the repository, and open
//! <http://localhost:3000> in two tabs.
//!
//! Every call runs in a fresh instance, so the count is kept in rooms, which the server keeps between calls. All tabs
//! of Ada are in the room `user:ada`. The tabs of users who come along are also in the room `in`, and a user who closes
//! the last tab is no longer counted.

use std::collections::BTreeSet;

use hitchy_guest::{App, Auth, Context, Failure, Headers, Json, Result, Socket, emit, find, to};
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
        .put("/api/count/me", come)
        .delete("/api/count/me", stay_away)
        .on_connect("/", connect)
        .on_connected("/", tell)
        .on_disconnect("/", tell)
}

/// The count that the page shows.
#[derive(Serialize, PartialEq)]
struct Count {
    count: usize,
    who: BTreeSet<String>,
}

/// Puts the user of a request into its context: `authorization: Bearer token-of-ada` gives `ada`. The policy refuses
/// all requests without a valid token.
fn authenticate(headers: Headers, context: Context) -> Result<()> {
    let authorization = headers.get("authorization").unwrap_or_default();
    let user = authorization.strip_prefix("Bearer ").and_then(user_of);
    let user = user.ok_or(Failure::new(
        401,
        "Who are you? Send a token that is known here.",
    ))?;
    context.set("user", user)
}

fn user_of(token: &str) -> Option<&'static str> {
    let known = TOKENS.iter().find(|(known, _)| *known == token);
    known.map(|(_, user)| *user)
}

/// Answers `PUT /api/count/me`, sent by `curl` or by the page over its socket, and counts every tab of the user.
fn come(context: Context) -> Result<Json<Count>> {
    let tabs = tabs_of(&context)?;
    if to(&tabs).ids()?.is_empty() {
        return Err(Failure::new(
            409,
            "Open the page first: who has no tab open is not counted.",
        )
        .into());
    }
    to(&tabs).join("in")?;
    tell()?;
    count().map(Json)
}

/// Answers `DELETE /api/count/me` and counts the user no longer.
fn stay_away(context: Context) -> Result<Json<Count>> {
    to(tabs_of(&context)?).leave("in")?;
    tell()?;
    count().map(Json)
}

/// Returns the room of the user that the policy found.
fn tabs_of(context: &Context) -> Result<String> {
    let user: Option<String> = context.get("user")?;
    Ok(format!("user:{}", user.unwrap_or_default()))
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
}

/// Handles `io({ auth: { token } })`. Policies are for requests, so the token of a connection is checked here. A client
/// without a token may connect too and see the count.
fn connect(socket: Socket, auth: Option<Auth<SignIn>>) -> Result<()> {
    let Some(user) = auth.and_then(|Auth(auth)| user_of(&auth.token)) else {
        return Ok(());
    };
    let is_in = count()?.who.contains(user);
    socket.set("user", user)?;
    socket.join(format!("user:{user}"))?;
    if is_in {
        Ok(socket.join("in")?)
    } else {
        Ok(())
    }
}

/// Sends the count to every tab. Two calls may count and send at the same time. The call whose count is outdated by
/// then sends again.
fn tell() -> Result<()> {
    let mut told = None;
    loop {
        let count = count()?;
        if told.as_ref() == Some(&count) {
            return Ok(());
        }
        emit("count", &count)?;
        told = Some(count);
    }
}

fn count() -> Result<Count> {
    let tabs = to("in").ids()?.into_iter().filter_map(|id| find("/", &id));
    let who: BTreeSet<String> = tabs
        .filter_map(|tab| tab.get("user").transpose())
        .collect::<Result<_>>()?;
    Ok(Count {
        count: who.len(),
        who,
    })
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use hitchy_guest::testing;
    use serde_json::{Value, json};

    use super::*;

    fn tab(app: &testing::App, token: &str) -> Socket {
        app.client().auth(&json!({ "token": token })).connect()
    }

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
        let (ada, _again) = (tab(&app, "token-of-ada"), tab(&app, "token-of-ada"));
        let nobody = app.client().connect();
        let answer = ask(&app, "PUT", "token-of-ada");
        assert_eq!(answer, (200, json!({ "count": 1, "who": ["ada"] })));

        let told = testing::emitted().pop().unwrap();
        assert_eq!(told.data::<Value>().unwrap()["count"], 1);
        assert!(told.reached(&ada) && told.reached(&nobody));
        assert_eq!(ask(&app, "DELETE", "token-of-ada").1["count"], 0);
    }

    #[test]
    fn others_are_refused() {
        let app = testing::App::new(app);
        tab(&app, "token-of-ada");
        assert_eq!(ask(&app, "PUT", "token-of-mallory").0, 401);
        assert_eq!(app.put("/api/count/me").send().status(), 401);
        assert_eq!(
            app.get("/api/count").send().json::<Value>().unwrap()["count"],
            0
        );
    }

    #[test]
    fn who_has_no_tab_open_cannot_come() {
        let app = testing::App::new(app);
        assert_eq!(ask(&app, "PUT", "token-of-bob").0, 409);
    }

    #[test]
    fn another_tab_is_in_too_and_the_last_one_takes_its_user_along() {
        let app = testing::App::new(app);
        let first = tab(&app, "token-of-eve");
        ask(&app, "PUT", "token-of-eve");
        let second = tab(&app, "token-of-eve");
        app.disconnect(&first, "transport close");
        assert_eq!(count().unwrap().count, 1);
        app.disconnect(&second, "transport close");
        let told: Value = testing::emitted().pop().unwrap().data().unwrap();
        assert_eq!(told, json!({ "count": 0, "who": [] }));
    }
}
