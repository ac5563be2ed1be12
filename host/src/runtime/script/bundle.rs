//! The file in which a bundle lies: a line that names the files of the handlers folder of which it was made, the code,
//! and its source map.
//!
//! The files are named with their hashes, so that a server notices a bundle that is older than they are. Packages are
//! not among them, because a server does not have them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::modules::Modules;
use super::text::MAX_SCRIPT;
use crate::runtime::bundler::BundleError;
use crate::runtime::content_hash::ContentHash;
use crate::runtime::source_map::SourceMap;

/// The folder of bundles in the folder of handlers. A name with a dot is not searched for handlers.
const FOLDER: &str = ".bundles";
/// The beginning of the first line, before the hashes of the files.
const HEAD: &str = "// Made by hitchy of packages of npm and of these files: ";
/// The beginning of the last line.
const MAP: &str = "\n//# sourceMappingURL=data:application/json;base64,";
/// Largest size of the file in bytes.
const MAX_FILE: u64 = 8 << 20;

/// A bundle that was read.
pub(super) struct Bundle {
    pub(super) code: String,
    pub(super) map: Option<SourceMap>,
}

/// Returns the path of the bundle of a script, both below the folder of handlers.
pub fn bundle_path(script: &str) -> String {
    format!("{FOLDER}/{script}")
}

/// Writes a bundle. `files` are those of the handlers folder of which it was made.
pub fn write_bundle(files: &BTreeMap<String, ContentHash>, code: &str, map: &SourceMap) -> Vec<u8> {
    let hashes: BTreeMap<&String, String> = files
        .iter()
        .map(|(name, hash)| (name, hash.in_full()))
        .collect();
    let hashes = serde_json::to_string(&hashes).unwrap_or_default();
    let map = STANDARD.encode(serde_json::to_vec(map).unwrap_or_default());
    let code = code.trim_end();
    format!("{HEAD}{hashes}\n{code}{MAP}{map}\n").into_bytes()
}

/// Returns true if a file is a bundle.
pub fn is_bundle(content: &[u8]) -> bool {
    content.starts_with(HEAD.as_bytes())
}

/// Finds the bundle of a script whose file has this content, if it was made of the files as they are now.
pub(super) fn find(modules: &Modules, script: &str, content: &[u8]) -> Result<Bundle, BundleError> {
    let path = bundle_path(script);
    let unusable = |cause: String| BundleError::Unusable {
        path: path.clone(),
        cause,
    };
    let file = modules
        .read(&path, MAX_FILE)
        .map_err(|error| unusable(format!("cannot be read: {error}")))?
        .ok_or(BundleError::Absent)?;
    let damaged = || unusable("is damaged".to_owned());
    let text = String::from_utf8(file).map_err(|_| damaged())?;
    let (hashes, rest) = read_head(&text).ok_or_else(damaged)?;
    if !hashes.contains_key(script) {
        return Err(damaged());
    }
    let is_as_it_was = |name: &str, hash: &str| {
        let now = if name == script {
            Some(ContentHash::of(content))
        } else {
            let file = modules.read_any(name, MAX_FILE).ok().flatten();
            file.map(|file| ContentHash::of(&file))
        };
        now.is_some_and(|now| now.in_full() == hash)
    };
    let mut files = hashes.into_iter();
    if let Some((file, _)) = files.find(|(name, hash)| !is_as_it_was(name, hash)) {
        return Err(BundleError::Stale { file });
    }
    let bundle = read_code(rest);
    let (size, max) = (bundle.code.len() as u64, MAX_SCRIPT);
    if size > max {
        return Err(BundleError::TooLarge { size, max });
    }
    Ok(bundle)
}

/// Reads the hashes of the files from the first line of a bundle. Returns the other lines too.
fn read_head(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let (head, rest) = text.split_once('\n')?;
    let hashes = serde_json::from_str(head.strip_prefix(HEAD)?);
    Some((hashes.ok()?, rest))
}

/// Reads the other lines of a bundle. Without its source map, it can be run all the same.
fn read_code(text: &str) -> Bundle {
    let (code, map) = text.rsplit_once(MAP).unwrap_or((text, ""));
    let map = STANDARD.decode(map.trim_end()).ok();
    Bundle {
        code: code.to_owned(),
        map: map.and_then(|map| SourceMap::parse(&map)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn i14_5_a_bundle_is_found_while_its_files_are_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, content: &[u8]| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let find = |content: &[u8]| {
            let found = find(&Modules::below(root), "api/shop.ts", content);
            found.map(|bundle| (bundle.code, bundle.map.map(|map| map.sources)))
        };
        assert_eq!(find(b"entry"), Err(BundleError::Absent));

        write("api/view.tsx", b"view");
        let hashes = [("api/shop.ts", "entry"), ("api/view.tsx", "view")];
        let files =
            hashes.map(|(name, content)| (name.to_owned(), ContentHash::of(content.as_bytes())));
        let map =
            SourceMap::parse(br#"{"version":3,"sources":["api/shop.ts"],"mappings":""}"#).unwrap();
        let bundle = write_bundle(&files.into(), "// a line\ncode();\n", &map);
        assert!(is_bundle(&bundle));
        write(".bundles/api/shop.ts", &bundle);
        let wanted = (
            "// a line\ncode();".to_owned(),
            Some(vec!["api/shop.ts".to_owned()]),
        );
        assert_eq!(find(b"entry"), Ok(wanted));
        let stale = |file: &str| {
            Err(BundleError::Stale {
                file: file.to_owned(),
            })
        };
        assert_eq!(find(b"other"), stale("api/shop.ts"));
        write("api/view.tsx", b"other");
        assert_eq!(find(b"entry"), stale("api/view.tsx"));
        fs::remove_file(root.join("api/view.tsx")).unwrap();
        assert_eq!(find(b"entry"), stale("api/view.tsx"));
        for damaged in [&b"\xff\n"[..], b"", b"code", HEAD.as_bytes()] {
            write(".bundles/api/shop.ts", damaged);
            assert!(matches!(find(b"entry"), Err(BundleError::Unusable { .. })));
        }
    }
}
