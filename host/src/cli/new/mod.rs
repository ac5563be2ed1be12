//! `hitchy new`: writes a handler to begin with, whole or not at all.

mod name;
mod sdk;
mod workspace;

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use super::{CommandError, print};

/// For `--help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy new shop
  hitchy new services/shop
  hitchy new shop --sdk ../hitchy/guest-sdk";

/// The files of a handler in Rust. In the manifest `{{name}}` and `{{sdk}}` are filled in.
const RUST: [(&str, &str); 5] = [
    (
        "Cargo.toml",
        include_str!("../../../templates/rust/Cargo.toml.template"),
    ),
    ("src/lib.rs", include_str!("../../../templates/rust/lib.rs")),
    (
        ".cargo/config.toml",
        include_str!("../../../templates/rust/cargo-config.toml"),
    ),
    (
        "hitchy.toml",
        include_str!("../../../templates/rust/hitchy.toml"),
    ),
    (
        ".gitignore",
        include_str!("../../../templates/rust/gitignore"),
    ),
];

#[derive(Args)]
pub(super) struct NewArgs {
    /// The folder to make; its last part is the name of the handler
    name: PathBuf,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
    /// The folder guest-sdk of Hitchy's sources, if not those that this program was built from
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

/// The languages in which handlers can be written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lang {
    Rust,
    // Understood, and answered with what there is instead.
    #[value(hide = true)]
    Js,
    #[value(hide = true)]
    Python,
    #[value(hide = true)]
    C,
}

/// Runs `hitchy new`.
pub(super) fn main(args: NewArgs) -> Result<(), CommandError> {
    let usage = |sentence: String| CommandError::Usage(anyhow!(sentence));
    if args.lang != Lang::Rust {
        return Err(usage(no_template(args.lang)));
    }
    let name = name_of(&args.name).map_err(usage)?;
    let sdk = match (sdk::find(args.sdk.as_deref()), &args.sdk) {
        (Ok(sdk), _) => sdk,
        (Err(sentence), Some(_)) => return Err(usage(sentence)),
        (Err(sentence), None) => return Err(anyhow!(sentence).into()),
    };
    let place = Place::of(&args.name)?;
    let folder = place.whole();
    let sdk = sdk::seen_from(&folder, &sdk);
    let sdk = sdk.to_str().with_context(|| {
        format!(
            "the path of the SDK, {}, is not UTF-8; name another with --sdk",
            sdk.display()
        )
    })?;
    place.fill(&files(name, sdk))?;
    say_next_steps(&args.name);
    if let Some((manifest, path)) = workspace::that_takes_in(&folder) {
        print(format_args!(
            "\nnote: {} takes this folder in as a member, and cargo refuses that of one that stands alone; add {path:?} to `exclude` \
             of its [workspace]",
            manifest.display()
        ));
    }
    Ok(())
}

fn no_template(lang: Lang) -> String {
    let name = lang
        .to_possible_value()
        .map(|value| value.get_name().to_owned());
    format!(
        "there is no template for {} yet, only for rust; handlers in other languages are built against the contract in \
         Hitchy's folder wit/, whose comments are the manual",
        name.unwrap_or_default()
    )
}

/// The last part of the path, if it can be the name of a handler.
fn name_of(path: &Path) -> Result<&str, String> {
    let Some(name) = path.file_name() else {
        return Err(format!(
            "{} has no name for a handler at its end; write for example: hitchy new my-handler",
            path.display()
        ));
    };
    // What is not UTF-8 has characters that are not allowed in any case.
    let name = name.to_str().unwrap_or("\u{fffd}");
    name::check(name).map(|()| name)
}

/// The files of a new handler: where, and what is in them.
fn files(name: &str, sdk: &str) -> Vec<(&'static str, String)> {
    let sdk = toml::Value::from(sdk).to_string();
    let fill = |text: &str| text.replace("{{name}}", name).replace("{{sdk}}", &sdk);
    let filled = |(path, text): (&'static str, &str)| match path {
        "Cargo.toml" => (path, fill(text)),
        _ => (path, text.to_owned()),
    };
    RUST.into_iter().map(filled).collect()
}

/// The place of the new folder: the nearest folder that exists, and the missing ones below it.
struct Place {
    there: PathBuf,
    missing: PathBuf,
}

impl Place {
    /// Fails if there is something already.
    fn of(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(anyhow!(
                "{} is there already; choose another name, or remove it",
                path.display()
            ));
        }
        let whole = std::path::absolute(path)
            .with_context(|| format!("{} cannot be found", path.display()))?;
        let mut there = whole.as_path();
        while let Some(parent) = there.parent() {
            there = parent;
            if there.symlink_metadata().is_ok() {
                break;
            }
        }
        let missing = whole.strip_prefix(there).unwrap_or(&whole).to_owned();
        if missing.iter().any(|part| part == "..") {
            return Err(anyhow!(
                "{} goes up from a folder that is not there; write the path without that",
                path.display()
            ));
        }
        let there = there
            .canonicalize()
            .with_context(|| format!("{} cannot be read", there.display()))?;
        Ok(Self { there, missing })
    }

    fn whole(&self) -> PathBuf {
        self.there.join(&self.missing)
    }

    /// Writes the files into a folder that nobody sees, and gives it its name at the end.
    fn fill(&self, files: &[(&'static str, String)]) -> anyhow::Result<()> {
        self.try_fill(files).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => anyhow!(
                "{} cannot be made: you may not write in {}; choose another folder, or change its permissions",
                self.whole().display(),
                self.there.display()
            ),
            _ => anyhow!(
                "{} cannot be made: {error}; nothing was written",
                self.whole().display()
            ),
        })
    }

    fn try_fill(&self, files: &[(&'static str, String)]) -> std::io::Result<()> {
        let mut parts = self.missing.iter();
        let first = parts.next().unwrap_or_default();
        let hidden = tempfile::Builder::new()
            .prefix(".hitchy-new-")
            // Without the bits of the process's mask, as for any folder.
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(&self.there)?;
        let folder = hidden.path().join(parts.as_path());
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(path, text)?;
        }
        fs::rename(hidden.path(), self.there.join(first))?;
        // It has another name now.
        let _ = hidden.keep();
        Ok(())
    }
}

fn say_next_steps(folder: &Path) {
    let hitchy = quoted(&this_program());
    let name = folder.display();
    let folder = quoted(&name.to_string());
    print(format_args!(
        "\
made {name}, a handler in Rust with a route and an event: see src/lib.rs

  cd {folder}
  cargo test        # runs its tests, without a server
  {hitchy} dev        # builds and serves it, and again on every save

and, while that runs, in other terminals

  curl http://localhost:3000/api/hello/you
  {hitchy} listen chat:said
  {hitchy} emit chat:say '{{\"from\":\"you\",\"text\":\"hi\"}}' --ack"
    ));
}

/// Returns how a person calls this program: by its name where that finds a program, else by its path.
fn this_program() -> String {
    let name = "hitchy";
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    match std::env::current_exe() {
        Ok(program) if !is_found => program.display().to_string(),
        _ => name.to_owned(),
    }
}

/// A word as a shell reads it as one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        for (word, whole) in [
            ("services/shop", "services/shop"),
            ("/my code/shop", "'/my code/shop'"),
            ("it's/$x", r"'it'\''s/$x'"),
        ] {
            assert_eq!(quoted(word), whole);
        }
    }
}
