//! WASI 0.2 over an empty context: clocks, random numbers and output work; files, network and environment are there,
//! because toolchains import them without need, and empty.

use super::capability::{Capability, ImportSupport, Interfaces};

pub(super) const CAPABILITY: Capability = Capability {
    // The first that contains an interface counts.
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

/// The versions that wasmtime-wasi links under one name.
const TRACK: &str = "0.2";

const fn granted(package: &'static str) -> Interfaces {
    Interfaces {
        package,
        names: &[],
        track: TRACK,
        support: ImportSupport::Granted,
    }
}

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
