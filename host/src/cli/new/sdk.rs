//! Finds the SDK on which a new handler depends. It is not on crates.io yet, so the dependency is a path.

use std::path::{Component, Path, PathBuf};

/// The SDK of the sources that this program was built from.
const BUILT_WITH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk");

/// The folder of the SDK, without links in it: the one that was named, else the one this program was built with.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, String> {
    let folder = named.unwrap_or(Path::new(BUILT_WITH));
    let found = folder
        .canonicalize()
        .ok()
        .filter(|folder| is_sdk(&folder.join("Cargo.toml")));
    found.ok_or_else(|| match named {
        Some(named) => format!(
            "{} is not the SDK: there is no Cargo.toml of hitchy-guest in it; name the folder guest-sdk of Hitchy's sources",
            named.display()
        ),
        None => "the SDK for handlers, hitchy-guest, is not where this program was built; get Hitchy's sources and name \
                 their folder guest-sdk: hitchy new NAME --sdk PATH/TO/guest-sdk"
            .to_owned(),
    })
}

fn is_sdk(manifest: &Path) -> bool {
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    let manifest = text.parse::<toml::Table>().unwrap_or_default();
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"));
    name.and_then(toml::Value::as_str) == Some("hitchy-guest")
}

/// The SDK as seen from `folder`: a relative path when both lie in the folder that holds Hitchy's sources, so that they
/// can be moved together; else the whole path. Both arguments are whole paths without links.
pub(super) fn seen_from(folder: &Path, sdk: &Path) -> PathBuf {
    let around = sdk.parent().and_then(Path::parent);
    let Some(around) = around.filter(|around| around.parent().is_some()) else {
        return sdk.to_owned();
    };
    match (folder.strip_prefix(around), sdk.strip_prefix(around)) {
        (Ok(below), Ok(rest)) => {
            let up = below.components().map(|_| Component::ParentDir);
            // Inside the sources both ways begin alike.
            let shared = below.components().zip(rest.components());
            let shared = shared.take_while(|(a, b)| a == b).count();
            let up = up.skip(shared);
            up.chain(rest.components().skip(shared)).collect()
        }
        _ => sdk.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_near_the_sources_is_seen_by_a_relative_path() {
        for (folder, seen) in [
            ("/src/mine", "../hitchy/guest-sdk"),
            ("/src/services/mine", "../../hitchy/guest-sdk"),
            ("/src/hitchy/mine", "../guest-sdk"),
            ("/src/hitchy/examples/mine", "../../guest-sdk"),
            ("/home/mine", "/src/hitchy/guest-sdk"),
        ] {
            let path = seen_from(Path::new(folder), Path::new("/src/hitchy/guest-sdk"));
            assert_eq!(path, Path::new(seen), "{folder}");
        }
    }

    #[test]
    fn sources_at_the_top_of_the_file_system_are_near_nothing() {
        let sdk = Path::new("/hitchy/guest-sdk");
        assert_eq!(seen_from(Path::new("/mine"), sdk), sdk);
    }
}
