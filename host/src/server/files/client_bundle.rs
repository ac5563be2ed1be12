//! Serves the official socket.io client for browsers below the path of the endpoint, as socket.io for Node does.
//!
//! The files are those of the npm package `socket.io-client`, which is not part of this program.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;

use super::{FileRequest, StaticFolder};
use crate::config::Socket;
use crate::dispatch::with_id;
use crate::message::{self, Door};
use crate::payload::Failure;
use crate::server::http::{HttpDoor, to_axum};

/// The files of the package that this server serves. Those with the msgpack parser cannot talk to this server.
const NAMES: [&str; 6] = [
    "/socket.io.js",
    "/socket.io.js.map",
    "/socket.io.min.js",
    "/socket.io.min.js.map",
    "/socket.io.esm.min.js",
    "/socket.io.esm.min.js.map",
];

/// The files of the npm package `socket.io-client` for browsers.
pub(in crate::server) struct ClientBundle {
    http: Arc<HttpDoor>,
    folder: StaticFolder,
    /// The path of the socket.io endpoint.
    path: String,
}

impl ClientBundle {
    /// Creates the bundle from the settings `client` and `path`.
    pub(in crate::server) fn new(http: Arc<HttpDoor>, socket: &Socket) -> Self {
        Self {
            http,
            folder: StaticFolder::new(&socket.client),
            path: socket.path.clone(),
        }
    }

    /// Returns the file that a request is for, or none if it is for another path or not a GET or HEAD.
    pub(in crate::server) fn file_of(&self, parts: &Parts) -> Option<&'static str> {
        let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
        let rest = parts.uri.path().strip_prefix(&self.path)?;
        let name = NAMES.into_iter().find(|name| *name == rest);
        name.filter(|_| is_read)
    }

    /// Answers with a file of [`NAMES`], or with a failure if it is not installed.
    pub(in crate::server) async fn answer(
        &self,
        name: &str,
        parts: &Parts,
        body: Body,
    ) -> Response {
        match self.get(name, parts).await {
            Ok(response) => to_axum(response),
            Err(failure) => self.http.refuse(&parts.headers, body, &failure).await,
        }
    }

    /// Asks dispatch to accept the request, and reads the file.
    async fn get(&self, name: &str, parts: &Parts) -> Result<message::Response, Failure> {
        let dispatch = self.http.dispatch();
        let accepted = dispatch.accept().map_err(|refusal| refusal.failure())?;
        let id = dispatch.next_id();
        let wanted = FileRequest {
            id: &id,
            method: &parts.method,
            path: name,
            slash: false,
            query: None,
            headers: &parts.headers,
        };
        let mut response = self
            .folder
            .get(&wanted)
            .await
            .ok_or_else(|| missing(name))?;
        response.body = response.body.keeping(accepted);
        dispatch.answered(Door::Http, response.status.as_u16());
        Ok(with_id(response, &id))
    }
}

fn missing(name: &str) -> Failure {
    let file = name.trim_start_matches('/');
    let sentence = format!(
        "{file} is not installed: run `npm install socket.io-client` in the project's folder, or set [socket] client to the folder that holds it"
    );
    Failure::new(404, sentence)
}
