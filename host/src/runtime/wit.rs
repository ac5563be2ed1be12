//! The text of the contract, which the binary carries: for the types of core modules that lack them, and for bindings.

/// The files of the package, with their paths below `wit/`.
pub const PACKAGE_FILES: &[(&str, &str)] = &[
    ("exports.wit", include_str!("../../../wit/exports.wit")),
    ("instances.wit", include_str!("../../../wit/instances.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    (
        "registration.wit",
        include_str!("../../../wit/registration.wit"),
    ),
    ("requests.wit", include_str!("../../../wit/requests.wit")),
    ("sockets.wit", include_str!("../../../wit/sockets.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
];

/// The packages of WASI that the contract uses, one file each.
pub const DEPENDENCIES: &[(&str, &str)] = &[
    ("deps/cli.wit", include_str!("../../../wit/deps/cli.wit")),
    (
        "deps/clocks.wit",
        include_str!("../../../wit/deps/clocks.wit"),
    ),
    (
        "deps/config.wit",
        include_str!("../../../wit/deps/config.wit"),
    ),
    (
        "deps/filesystem.wit",
        include_str!("../../../wit/deps/filesystem.wit"),
    ),
    ("deps/http.wit", include_str!("../../../wit/deps/http.wit")),
    ("deps/io.wit", include_str!("../../../wit/deps/io.wit")),
    (
        "deps/keyvalue.wit",
        include_str!("../../../wit/deps/keyvalue.wit"),
    ),
    (
        "deps/random.wit",
        include_str!("../../../wit/deps/random.wit"),
    ),
    (
        "deps/sockets.wit",
        include_str!("../../../wit/deps/sockets.wit"),
    ),
];

/// The interfaces that a handler may export besides `setup`, in the order of the contract.
pub const EXPORTS: [&str; 5] = ["http", "policies", "events", "connections", "schedules"];

/// The name of the world that [`world`] writes.
pub const WORLD: &str = "chosen";

/// Returns a world of the package that exports `setup` and these interfaces, and imports everything.
pub fn world(exports: &[&str]) -> String {
    let exports = exports.iter().map(|name| format!("    export {name};\n"));
    let exports: String = exports.collect();
    format!("world {WORLD} {{\n    include imports;\n    export setup;\n{exports}}}\n")
}
