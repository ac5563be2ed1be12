//! WASI 0.2 with an empty context.
//!
//! Clocks, random numbers and output work. Files, network and environment are linked, because toolchains import them
//! even if they are not needed, but they are empty.

use super::capability::{Capability, ImportSupport, Interfaces};

pub(super) const CAPABILITY: Capability = Capability {
    // The first entry that contains an interface counts.
    interfaces: &[
        empty(
            "wasi:cli",
            &["environment"],
            "no variables and no arguments",
        ),
        empty(
            "wasi:cli",
            &[
                "stdin",
                "terminal-stdin",
                "terminal-stdout",
                "terminal-stderr",
            ],
            "no terminal and no input",
        ),
        empty("wasi:filesystem", &[], "no files"),
        empty("wasi:sockets", &[], "no network"),
        granted("wasi:io"),
        granted("wasi:cli"),
        granted("wasi:clocks"),
        granted("wasi:random"),
    ],
    link: wasmtime_wasi::p2::add_to_linker_async,
};

/// The start of the versions that wasmtime-wasi links.
const TRACK: &str = "0.2.";

/// Makes all interfaces of a package, which work.
const fn granted(package: &'static str) -> Interfaces {
    Interfaces {
        package,
        names: &[],
        track: TRACK,
        support: ImportSupport::Granted,
    }
}

/// Makes interfaces without content. `why` says what is missing.
const fn empty(
    package: &'static str,
    names: &'static [&'static str],
    why: &'static str,
) -> Interfaces {
    Interfaces {
        support: ImportSupport::Empty(why),
        names,
        ..granted(package)
    }
}
