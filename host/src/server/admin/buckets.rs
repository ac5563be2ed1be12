//! Key-value storage on the console: the list of buckets, and the commands of `hitchy kv`.
//!
//! Commands read and write data of users. They are answered only on a loopback address, and never to a web page: a page
//! of another site cannot send JSON without asking first, which is refused, and requests with an origin are refused.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::view::{Shown, View};
use crate::kv::{self, BucketShown, Command, MAX_COMMAND};
use crate::payload::Failure;

/// The path of the list.
pub(super) const LIST: &str = "/api/buckets";
/// The path of commands.
pub(super) const COMMANDS: &str = "/api/kv";
/// How long a command may take, its body included.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct BucketsShown {
    buckets: Vec<BucketShown>,
}

/// Returns the page `/api/buckets`.
pub(super) async fn list(view: &View) -> Result<Shown, Failure> {
    let buckets = tokio::time::timeout(TIMEOUT, kv::buckets(&*view.store)).await;
    match buckets {
        Ok(Ok(buckets)) => Ok(Shown::json(&BucketsShown { buckets })),
        Ok(Err(error)) => Err(Failure::new(503, error.to_string())),
        Err(_) => Err(late()),
    }
}

/// A command, with the folder of the store that it is meant for.
#[derive(Deserialize)]
struct Sent {
    folder: String,
    command: Command,
}

/// Runs the command of a request, and returns its reply as JSON, or a sentence with status 422.
pub(super) async fn command(
    view: &Arc<View>,
    is_local: bool,
    parts: &Parts,
    body: Body,
) -> Result<Shown, Failure> {
    check(is_local, parts)?;
    let work = async {
        let body = axum::body::to_bytes(body, MAX_COMMAND)
            .await
            .map_err(|error| Failure::new(400, format!("the command cannot be read: {error}")))?;
        let Sent { folder, command } = serde_json::from_slice(&body)
            .map_err(|error| Failure::new(400, format!("this is not a command: {error}")))?;
        if *view.store_folder.to_string_lossy() != *folder {
            return Err(Failure::new(409, other_folder(view, &folder)));
        }
        match command.run(&*view.store).await {
            Ok(reply) => Ok(Shown::json(&reply)),
            Err(error) => Err(Failure::new(422, error.to_string())),
        }
    };
    tokio::time::timeout(TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// Headers that proxies add. A proxy on this machine makes clients elsewhere look local.
const FORWARDED: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

/// Checks that a command comes from a program on this machine.
fn check(is_local: bool, parts: &Parts) -> Result<(), Failure> {
    if !is_local {
        let sentence = "key-value data is read and written only through a console that listens on a loopback address (admin.listen)";
        return Err(Failure::new(403, sentence));
    }
    if parts.headers.contains_key(header::ORIGIN) {
        let sentence = "web pages cannot read and write key-value data; use hitchy kv";
        return Err(Failure::new(403, sentence));
    }
    if FORWARDED
        .iter()
        .any(|name| parts.headers.contains_key(*name))
    {
        let sentence = "key-value data is not read and written through a proxy; use hitchy kv on the server's machine";
        return Err(Failure::new(403, sentence));
    }
    if parts.method != Method::POST {
        return Err(Failure::new(405, "commands are sent with POST"));
    }
    let kind = parts.headers.get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "application/json") {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE.as_u16(),
            "commands are application/json",
        ));
    }
    Ok(())
}

fn other_folder(view: &View, folder: &str) -> String {
    format!(
        "this server keeps its key-value storage in {}, not in {folder}; name its settings file with --config",
        view.store_folder.display()
    )
}

fn late() -> Failure {
    Failure::new(
        504,
        "the key-value storage did not answer in time; what was asked may still be done",
    )
}
