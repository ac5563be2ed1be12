//! A handler for Hitchy that calls another server: it asks for a repository and answers with what a page needs.
//!
//! `cargo test` runs its tests here, without the other server. `hitchy dev` builds it, serves it, and replaces it on
//! every save. The servers that it may call are named in hitchy.toml.

use hitchy_guest::{App, Failure, Json, Path, Result, http};
use serde::{Deserialize, Serialize};

/// The server that is called. hitchy.toml allows it.
const API: &str = "https://api.github.com";

/// What this handler offers: a path, with the function that answers.
fn app() -> App {
    App::new().get("/api/stars/{owner}/{name}", stars)
}

/// `GET /api/stars/rust-lang/rust` answers `{"repository":"rust-lang/rust","stars":…}`.
///
/// The question mark passes errors on: the client gets a 504 if the other server takes too long, and a 502 if it fails.
fn stars(Path((owner, name)): Path<(String, String)>) -> Result<Json<Stars>> {
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !is_name(&owner) || !is_name(&name) {
        return Err(Failure::new(400, "a name has letters, digits, -, _ and .").into());
    }
    let answer = http::get(format!("{API}/repos/{owner}/{name}"))?;
    if answer.status() == 404 {
        return Err(Failure::new(404, "there is no such repository").into());
    }
    let repository: Repository = answer.error_for_status()?.json()?;
    Ok(Json(Stars {
        repository: repository.full_name,
        stars: repository.stargazers_count,
    }))
}

/// What is read of the other server's answer. Other fields are ignored.
#[derive(Deserialize)]
struct Repository {
    full_name: String,
    stargazers_count: u64,
}

#[derive(Serialize)]
struct Stars {
    repository: String,
    stars: u64,
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use hitchy_guest::testing;
    use serde_json::{Value, json};

    use super::*;

    const RUST: &str = "https://api.github.com/repos/rust-lang/rust";

    #[test]
    fn tells_the_stars() {
        let app = testing::App::new(app);
        let rust = json!({ "full_name": "rust-lang/rust", "stargazers_count": 7 });
        testing::on_http("GET", RUST, http::Response::new(200).with_json(&rust));

        let answer = app.get("/api/stars/rust-lang/rust").send();
        let told = json!({ "repository": "rust-lang/rust", "stars": 7 });
        assert_eq!(answer.json::<Value>().unwrap(), told);
        assert_eq!(testing::http_requests().len(), 1);
    }

    #[test]
    fn a_server_that_fails_is_not_the_clients_fault() {
        let app = testing::App::new(app);
        for (answer, status) in [
            (http::Response::new(404).into(), 404),
            (http::Response::new(500).into(), 502),
            (testing::HttpAnswer::from(http::ErrorKind::TimedOut), 504),
        ] {
            testing::on_http("GET", RUST, answer);
            assert_eq!(app.get("/api/stars/rust-lang/rust").send().status(), status);
        }
    }
}
