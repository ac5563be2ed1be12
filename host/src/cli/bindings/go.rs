//! Bindings for Go. The generator leaves the packages with the exported functions to the author, below the folder of
//! the bindings. They are written here with variables instead, which the author's own package sets.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use wit_bindgen_core::Files;

use super::{Written, collected, resolve};

/// The packages on which generated bindings stand, which are written with them, so that a build downloads nothing.
const PACKAGES: [(&str, &str); 5] = [
    (
        "abi/collect.go",
        include_str!("../../../bindings/go/abi/collect.go"),
    ),
    (
        "abi/handle.go",
        include_str!("../../../bindings/go/abi/handle.go"),
    ),
    (
        "abi/memory.go",
        include_str!("../../../bindings/go/abi/memory.go"),
    ),
    (
        "abi/realloc_wasm.go",
        include_str!("../../../bindings/go/abi/realloc_wasm.go"),
    ),
    (
        "values/values.go",
        include_str!("../../../bindings/go/values/values.go"),
    ),
];
/// The packages that the generator imports instead, each with the name of ours.
const INSTEAD: [(&str, &str); 2] = [
    ("go.bytecodealliance.org/pkg/wit/runtime", "abi"),
    ("go.bytecodealliance.org/pkg/wit/types", "values"),
];
/// The statement with which the generator ends a call, after the server has read its result, and ours. It leaves out
/// what the server wrote into memory for the handler's own calls, which an instance would keep until it ends.
const CALL_ENDS: [&str; 2] = [
    "syncExportPinner.Unpin()",
    "syncExportPinner.Unpin()\n\twitRuntime.EndCall()",
];

/// The variables of the exported functions of each interface, as Go, with the packages that they import.
const FUNCTIONS: [(&str, &[&str], &str); 6] = [
    (
        "setup",
        &["registration"],
        "// Describe declares everything that the handler offers. The server calls it once, when it loads the file.
var Describe func(to *hitchy_platform_registration.Registrar)
",
    ),
    (
        "http",
        &["requests", "types", ""],
        "// OnRequest answers a request. `route` is the index that Registrar.Route returned.
var OnRequest func(route uint32, request *hitchy_platform_requests.Request) \
         witTypes.Result[hitchy_platform_types.Response, hitchy_platform_types.Failure]
",
    ),
    (
        "policies",
        &["requests", "types", ""],
        "// OnBefore lets a request pass (none), answers it (some), or fails it.
var OnBefore func(policy uint32, request *hitchy_platform_requests.Request) \
         witTypes.Result[witTypes.Option[hitchy_platform_types.Response], hitchy_platform_types.Failure]

// OnAfter runs after a response has been handed over.
var OnAfter func(policy uint32, request *hitchy_platform_requests.Request, status uint16) \
         witTypes.Result[witTypes.Unit, hitchy_platform_types.Failure]
",
    ),
    (
        "events",
        &["sockets", "types", ""],
        "// OnEvent handles an event from a client, and returns the arguments of its ack.
var OnEvent func(listener uint32, socket *hitchy_platform_sockets.Socket, event string, \
         args hitchy_platform_types.Payload, ackWanted bool) \
         witTypes.Result[witTypes.Option[hitchy_platform_types.Payload], hitchy_platform_types.Failure]
",
    ),
    (
        "connections",
        &["sockets", "types", ""],
        "// OnConnect runs when a client asks to connect. A failure refuses the client.
var OnConnect func(hook uint32, socket *hitchy_platform_sockets.Socket) \
         witTypes.Result[witTypes.Unit, hitchy_platform_types.Failure]

// OnConnected runs after the client has connected and before its first event.
var OnConnected func(hook uint32, socket *hitchy_platform_sockets.Socket) \
         witTypes.Result[witTypes.Unit, hitchy_platform_types.Failure]

// OnDisconnect runs after the client has disconnected.
var OnDisconnect func(hook uint32, socket *hitchy_platform_sockets.Socket, reason string) \
         witTypes.Result[witTypes.Unit, hitchy_platform_types.Failure]
",
    ),
    (
        "schedules",
        &["types", ""],
        "// OnSchedule runs a schedule. `dueMs` is the time at which it is due, in milliseconds since 1970.
var OnSchedule func(schedule uint32, dueMs uint64) witTypes.Result[witTypes.Unit, hitchy_platform_types.Failure]
",
    ),
];

/// Returns the packages of the bindings, for a folder below that of `go.mod`, which is the current folder.
///
/// # Errors
/// There is no `go.mod`, or the folder does not lie below it.
pub(super) fn bindings(exports: &[&str], folder: &Path) -> anyhow::Result<Written> {
    let below = folder.to_str().filter(|_| folder.is_relative());
    let Some(below) = below.filter(|path| !path.starts_with('.') && !path.is_empty()) else {
        bail!(
            "{} does not lie below the current folder; run this where go.mod is, and name a folder below it",
            folder.display()
        );
    };
    let base = format!("{}/{}", module()?, below.trim_end_matches('/'));
    let (mut resolve, world) = resolve(exports)?;
    let mut files = Files::default();
    let options = wit_bindgen_go::Opts {
        pkg_name: Some(base.clone()),
        ..wit_bindgen_go::Opts::default()
    };
    options.build().generate(&mut resolve, world, &mut files)?;
    let mut written: Written = collected(&files)
        .into_iter()
        .map(|(path, content)| (path, ours(&content, &base).into_bytes()))
        .collect();
    for (path, text) in PACKAGES {
        written.insert(PathBuf::from(path), text.as_bytes().to_vec());
    }
    for (interface, uses, functions) in FUNCTIONS {
        if interface == "setup" || exports.contains(&interface) {
            let package = format!("export_hitchy_platform_{interface}");
            let text = package_of(&package, &base, uses, functions);
            let path = PathBuf::from(&package).join("functions.go");
            written.insert(path, text.into_bytes());
        }
    }
    Ok(written)
}

/// Returns a generated file that imports the packages below `base` instead of those of the generator.
fn ours(generated: &[u8], base: &str) -> String {
    let text = String::from_utf8_lossy(generated).replace(CALL_ENDS[0], CALL_ENDS[1]);
    INSTEAD.iter().fold(text, |text, (theirs, name)| {
        text.replace(theirs, &format!("{base}/{name}"))
    })
}

/// Returns the text of a package with variables. An empty name among `uses` stands for the types of the generator.
fn package_of(package: &str, base: &str, uses: &[&str], functions: &str) -> String {
    let imports = uses.iter().map(|name| match *name {
        "" => format!("\twitTypes \"{base}/values\"\n"),
        name => format!("\t\"{base}/hitchy_platform_{name}\"\n"),
    });
    format!(
        "// Written by `hitchy bindings`. DO NOT EDIT!

// Package {package} has a variable for each function that the server calls. Set them in an init function.
package {package}

import (
{})

{functions}",
        imports.collect::<String>()
    )
}

/// Returns the name of the module of Go in the current folder.
fn module() -> anyhow::Result<String> {
    let text = fs::read_to_string("go.mod")
        .context("go.mod cannot be read; run this where it is, or make it: go mod init handler")?;
    let mut names = text.lines().filter_map(|line| line.strip_prefix("module "));
    let name = names
        .next()
        .map(|name| name.trim().trim_matches('"').to_owned());
    name.ok_or_else(|| anyhow!("go.mod names no module; make it anew: go mod init handler"))
}
