//! A small site, which is files beside the handlers, and clients that ask for those files.

use std::path::PathBuf;

use crate::clauses::Way;
use crate::door::Client;
use crate::guests::guest;
use crate::server::{Plan, Server};

/// The content of `public/index.html`, the page at `/`.
pub const PAGE: &str = "<!doctype html><h1>Hello</h1>";

/// Returns the plan of a server with the guest `probe` and some files in `public/`.
pub fn site() -> Plan {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .file("public/index.html", PAGE)
        .file("public/style.css", "h1 { color: teal }")
        .file("public/app.js", "console.log(1)")
        .file("public/data.json", "{\"list\":[1, 2]}")
        .file("public/picture.png", b"\x89PNG\r\n\x1a\n\xff")
        .file("public/docs/index.html", "<h1>Docs</h1>")
        .file("public/docs/a page.txt", "with a space")
        .file("public/empty.txt", "")
}

/// Returns a client for each door. Only the client for HTTP is returned if the official client cannot run here.
pub async fn doors(server: &Server) -> Vec<Client> {
    let mut doors = Vec::new();
    for way in [Way::Http, Way::RequestWebsocket] {
        doors.extend(Client::open(way, server).await);
    }
    doors
}

/// Returns the location of a path below the server's `public/`.
pub fn public(server: &Server, path: &str) -> PathBuf {
    server.dir().join("public").join(path)
}
