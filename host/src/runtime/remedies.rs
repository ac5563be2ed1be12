//! How toolchains leave out what this server does not provide. They import some interfaces unless they are told not to.

use std::collections::BTreeSet;

/// The advice for imports of which no toolchain is known to be the cause.
pub(super) const OTHERWISE: &str = "build it without, or update the server";

/// Imports of one package, as a toolchain adds them, and how it leaves them out.
struct Remedy {
    /// The beginning of the names of the imports.
    imports: &'static str,
    /// The language of the toolchain, as the producers section of the file names it; empty for all others.
    language: &'static str,
    /// The advice, which ends the sentence of the refusal.
    advice: &'static str,
}

/// The one table of remedies. The first one that fits counts.
const REMEDIES: &[Remedy] = &[
    Remedy {
        imports: "wasi:http/",
        language: "",
        advice: "of wasi:http this server provides types and outgoing-handler in version 0.2; build it with a toolchain for \
                 WASI 0.2, and leave out what it does not use (with jco: `--disable http fetch-event`)",
    },
    Remedy {
        imports: "wasi:keyvalue/",
        language: "",
        advice: "this server provides store, atomics and batch of the drafts 0.2.0-draft2 and 0.2.0-draft; build it against \
                 one of them",
    },
    Remedy {
        imports: "wasi:config/",
        language: "",
        advice: "this server provides store of 0.2.0-rc.1 and 0.2.0-draft-2024-09-27, and runtime of 0.2.0-draft; build it \
                 against one of them",
    },
    Remedy {
        imports: "wasi:logging/",
        language: "",
        advice: "print to standard error instead, or call log of hitchy:platform; both go to the server's log",
    },
    Remedy {
        imports: "wasi:nn/",
        language: "",
        advice: OTHERWISE,
    },
    Remedy {
        imports: "wasi_snapshot_preview1",
        language: "",
        advice: "it was not made a component completely; give `wasm-tools component new` the adapter \
                 (`--adapt wasi_snapshot_preview1.reactor.wasm`), or build it for wasm32-wasip2",
    },
    Remedy {
        imports: "wasi:",
        language: "Python",
        advice: "build it with `componentize-py componentize --stub-wasi`, or with a version that imports WASI 0.2",
    },
];

/// Returns the advice for the first of the imports for which there is some.
pub(super) fn remedy(imports: &[String], languages: &BTreeSet<String>) -> &'static str {
    let fits = |remedy: &&Remedy| {
        let is_language = remedy.language.is_empty() || languages.contains(remedy.language);
        is_language && imports.iter().any(|name| name.starts_with(remedy.imports))
    };
    REMEDIES
        .iter()
        .find(fits)
        .map_or_else(|| otherwise(imports), |remedy| remedy.advice)
}

/// Returns the advice for imports that the table does not have.
fn otherwise(imports: &[String]) -> &'static str {
    let is_newer = |name: &String| name.starts_with("wasi:") && name.contains("@0.3");
    if imports.iter().any(is_newer) {
        return "this server provides WASI 0.2; build it for wasm32-wasip2 with a toolchain for WASI 0.2";
    }
    OTHERWISE
}
