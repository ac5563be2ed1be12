//! What build scripts say about the files that they read.

use std::fs;
use std::path::Path;

/// Returns true if the build script with this `OUT_DIR` did not say what it reads. Cargo then runs it again whenever a
/// file of its package changes. What it does say stands in the dep-info beside the artifact.
pub(in crate::cli) fn reads_whole_package(out_dir: &Path) -> bool {
    // Cargo keeps what the script printed beside its OUT_DIR.
    let printed = out_dir.parent().map(|folder| folder.join("output"));
    let printed = printed
        .and_then(|file| fs::read(file).ok())
        .unwrap_or_default();
    !says_what_it_reads(&String::from_utf8_lossy(&printed))
}

fn says_what_it_reads(printed: &str) -> bool {
    printed.lines().any(|line| {
        let instruction = line
            .strip_prefix("cargo::")
            .or_else(|| line.strip_prefix("cargo:"));
        instruction.is_some_and(|instruction| {
            ["rerun-if-changed=", "rerun-if-env-changed="]
                .iter()
                .any(|start| instruction.starts_with(start))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_2_a_script_that_names_nothing_reads_its_package() {
        for (printed, says) in [
            ("", false),
            ("cargo:warning=rerun-if-changed=x\nhello\n", false),
            ("cargo:rustc-cfg=x\n", false),
            ("x\ncargo:rerun-if-changed=a b\n", true),
            ("cargo::rerun-if-env-changed=X\n", true),
        ] {
            assert_eq!(says_what_it_reads(printed), says, "{printed}");
        }
    }
}
