//! `hitchy new`: writes the files of a new handler. The folder gets its name only when all files are written.

mod name;
mod sdk;
mod template;
mod workspace;

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use clap::builder::PossibleValuesParser;

use self::template::{Lang, Language, Template, Values};
use super::error::CommandError;
use super::output::print;

/// The examples at the end of `hitchy new --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy new shop
  hitchy new services/shop
  hitchy new shop --lang js
  hitchy new shop --sdk ../hitchy/guest-sdk";

#[derive(Args)]
pub(super) struct NewArgs {
    /// The folder to make; its last part is the name of the handler
    name: PathBuf,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
    /// What it begins with [default: hello]
    #[arg(
        long,
        value_name = "NAME",
        value_parser = PossibleValuesParser::new(Template::names())
    )]
    template: Option<String>,
    /// The folder guest-sdk of Hitchy's sources, if not those that this program was built from
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

/// Runs `hitchy new` and prints the next steps.
pub(super) fn main(args: NewArgs) -> Result<(), CommandError> {
    let usage = |sentence: String| CommandError::Usage(anyhow!(sentence));
    let language = Language::of(args.lang);
    let template = language.template(args.template.as_deref()).map_err(usage)?;
    let name = name_of(&args.name, args.lang).map_err(usage)?;
    let sdk = match language.sdk {
        Some(below) => Some(find_sdk(args.sdk.as_deref(), below)?),
        None => None,
    };
    let new_folder = NewFolder::of(&args.name)?;
    let folder = new_folder.path();
    let sdk = sdk.map(|sdk| dependency(&folder, &sdk)).transpose()?;
    let values = Values {
        name,
        sdk: sdk.as_deref().unwrap_or_default(),
    };
    new_folder.fill(&language.files(template, &values))?;
    print_next_steps(&args.name, name, language, template);
    if args.lang != Lang::Rust {
        return Ok(());
    }
    if let Some((manifest, path)) = workspace::containing(&folder) {
        print(format_args!(
            "\nnote: {} takes this folder in as a member, and cargo refuses that of one that stands alone; add {path:?} to `exclude` \
             of its [workspace]",
            manifest.display()
        ));
    }
    Ok(())
}

/// Returns the folder of an SDK: `below` the named folder, or that of this program's sources.
fn find_sdk(named: Option<&Path>, below: &str) -> Result<PathBuf, CommandError> {
    let found = match (sdk::find(named), named) {
        (Ok(sdk), _) => sdk,
        (Err(sentence), Some(_)) => return Err(CommandError::Usage(anyhow!(sentence))),
        (Err(sentence), None) => return Err(anyhow!(sentence).into()),
    };
    Ok(found.join(below))
}

/// Returns the path of the SDK as a handler in `folder` names it.
fn dependency(folder: &Path, sdk: &Path) -> anyhow::Result<String> {
    let path = sdk::relative_to(folder, sdk);
    let text = path.to_str().with_context(|| {
        format!(
            "the path of the SDK, {}, is not UTF-8; name another with --sdk",
            path.display()
        )
    })?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// Returns the last part of the path.
///
/// # Errors
/// It cannot be the name of a handler.
fn name_of(path: &Path, lang: Lang) -> Result<&str, String> {
    let Some(name) = path.file_name() else {
        return Err(format!(
            "{} has no name for a handler at its end; write for example: hitchy new my-handler",
            path.display()
        ));
    };
    // A name that is not UTF-8 is replaced by a character that the check refuses.
    let name = name.to_str().unwrap_or("\u{fffd}");
    name::check(name, lang == Lang::Rust).map(|()| name)
}

/// The path of the new folder: the nearest folder that exists, and the missing ones below it.
struct NewFolder {
    /// The absolute path of the existing folder, without links.
    existing: PathBuf,
    missing: PathBuf,
}

impl NewFolder {
    /// Splits a path into what exists and what is missing.
    ///
    /// # Errors
    /// The path exists already, or it goes up from a missing folder.
    fn of(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(anyhow!(
                "{} is there already; choose another name, or remove it",
                path.display()
            ));
        }
        let absolute = std::path::absolute(path)
            .with_context(|| format!("{} cannot be found", path.display()))?;
        let mut nearest = absolute.as_path();
        while let Some(parent) = nearest.parent() {
            nearest = parent;
            if nearest.symlink_metadata().is_ok() {
                break;
            }
        }
        let missing = absolute
            .strip_prefix(nearest)
            .unwrap_or(&absolute)
            .to_owned();
        if missing.iter().any(|part| part == "..") {
            return Err(anyhow!(
                "{} goes up from a folder that is not there; write the path without that",
                path.display()
            ));
        }
        let existing = nearest
            .canonicalize()
            .with_context(|| format!("{} cannot be read", nearest.display()))?;
        Ok(Self { existing, missing })
    }

    /// Returns the absolute path of the new folder.
    fn path(&self) -> PathBuf {
        self.existing.join(&self.missing)
    }

    /// Writes the files into a hidden folder, and renames that folder at the end.
    ///
    /// # Errors
    /// The folder cannot be written; then nothing is left of it.
    fn fill(&self, files: &[(String, String)]) -> anyhow::Result<()> {
        self.try_fill(files).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => anyhow!(
                "{} cannot be made: you may not write in {}; choose another folder, or change its permissions",
                self.path().display(),
                self.existing.display()
            ),
            _ => anyhow!(
                "{} cannot be made: {error}; nothing was written",
                self.path().display()
            ),
        })
    }

    fn try_fill(&self, files: &[(String, String)]) -> std::io::Result<()> {
        let mut parts = self.missing.iter();
        let first = parts.next().unwrap_or_default();
        let hidden = tempfile::Builder::new()
            .prefix(".hitchy-new-")
            // The process's mask takes its bits away from these, as for any folder. The default of tempfile is 0o700.
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(&self.existing)?;
        let folder = hidden.path().join(parts.as_path());
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(path, text)?;
        }
        fs::rename(hidden.path(), self.existing.join(first))?;
        // The folder was renamed, so there is nothing to remove at the old path.
        let _ = hidden.keep();
        Ok(())
    }
}

/// Prints the commands that a person runs next.
fn print_next_steps(path: &Path, name: &str, language: &Language, template: &Template) {
    let hitchy = quoted(&this_program());
    let path = path.display();
    let folder = quoted(&path.to_string());
    let steps = language
        .steps
        .iter()
        .map(|(command, does)| (command.replace("{{hitchy}}", &hitchy), does));
    let steps: Vec<_> = steps.collect();
    let widths = steps.iter().map(|(command, _)| command.chars().count());
    let width = widths.max().unwrap_or_default();
    let steps = steps
        .iter()
        .map(|(command, does)| format!("\n  {command:<width$}  # {does}"));
    print(format_args!(
        "\
made {path}, a handler in {} with {}: see {}

  cd {folder}{}

and, while hitchy dev runs, in other terminals

{}",
        language.name,
        template.has,
        language.main.replace("{{name}}", name),
        steps.collect::<String>(),
        template.next(&hitchy)
    ));
}

/// Returns the word that starts this program in a shell: its name if a folder of `PATH` has that name, else its path.
fn this_program() -> String {
    let name = "hitchy";
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    match std::env::current_exe() {
        Ok(program) if !is_found => program.display().to_string(),
        _ => name.to_owned(),
    }
}

/// Returns a text quoted so that a shell reads it as one word.
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
        for (word, expected) in [
            ("services/shop", "services/shop"),
            ("/my code/shop", "'/my code/shop'"),
            ("it's/$x", r"'it'\''s/$x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
