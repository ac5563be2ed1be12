//! The file that a command of `[dev] build` makes. The command writes to `$OUT` or to the file in the handlers folder
//! itself.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::install::HandlersDir;
use super::output::print;
use super::shell::remove;
use super::sources::Recipe;

/// The beginning of the names of the folders that hold `$OUT`. Files and folders that begin with a dot are no sources.
const PREFIX: &str = ".hitchy-out-";

/// Where one run of a command puts its result. After a run without a result, dropping this leaves the file in the
/// handlers folder as it was before.
pub(super) struct CommandOutput {
    name: String,
    /// The folder of `$OUT`, which no other run uses.
    folder: TempDir,
    out: PathBuf,
    file: Option<File>,
}

/// The file in the handlers folder, before the command ran.
struct File {
    path: PathBuf,
    part: PathBuf,
    content: Option<Vec<u8>>,
    written: Option<SystemTime>,
}

impl CommandOutput {
    /// Prepares a run of a command in the folder `working`.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub(super) fn new(dir: &HandlersDir, recipe: &Recipe, working: &Path) -> anyhow::Result<Self> {
        let path = dir.path(&recipe.file);
        let parent = path.parent().unwrap_or(working);
        fs::create_dir_all(parent)
            .with_context(|| format!("{} cannot be made", parent.display()))?;
        let folder = out_folder(parent, working)?;
        Ok(Self {
            name: recipe.name.clone(),
            out: shown(folder.path(), working).join("out.wasm"),
            folder,
            file: Some(File {
                part: dir.part(&recipe.file),
                content: fs::read(&path).ok(),
                written: written(&path),
                path,
            }),
        })
    }

    /// Returns the value of `$OUT`. It has no character that a shell takes for something else.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    /// Returns the content that the command made, from `$OUT` or else from the file itself.
    ///
    /// # Errors
    /// The command made nothing, or something that is not a handler.
    pub(super) fn take(mut self) -> anyhow::Result<Vec<u8>> {
        let (name, out) = (&self.name, self.folder.path().join("out.wasm"));
        // Only regular files are opened, because opening a named pipe would wait for a writer.
        match fs::symlink_metadata(&out) {
            Ok(file) if file.is_file() && file.len() > 0 => {
                return fs::read(&out).with_context(|| format!("{} cannot be read", out.display()));
            }
            Ok(file) => bail!(
                "{name}: build failed: the command ended well but made $OUT {}; write the component to it",
                if file.is_file() {
                    "an empty file"
                } else {
                    "something else than a file"
                }
            ),
            Err(_) => {}
        }
        let Some(file) = &self.file else {
            bail!("{name}: build failed: there is no file to make");
        };
        let after = written(&file.path);
        if after.is_none() {
            bail!(
                "{name}: build failed: the command ended well but wrote neither $OUT nor {}; write to $OUT in [dev] build",
                file.path.display()
            );
        }
        if file.written == after {
            print(format_args!(
                "{name}: the command wrote neither $OUT nor the file; it stays as it is"
            ));
        }
        let content = fs::read(&file.path)
            .with_context(|| format!("{} cannot be read", file.path.display()))?;
        self.file = None;
        Ok(content)
    }
}

impl Drop for CommandOutput {
    fn drop(&mut self) {
        // A command that fails or is stopped may have written a part of the file.
        let Some(file) = &self.file else { return };
        if written(&file.path) == file.written {
            return;
        }
        let restored = match &file.content {
            Some(content) => {
                fs::write(&file.part, content).and_then(|()| fs::rename(&file.part, &file.path))
            }
            None => fs::remove_file(&file.path),
        };
        if let Err(error) = restored {
            tracing::warn!("{} cannot be restored: {error}", file.path.display());
            remove(&file.part);
        }
    }
}

/// Makes a folder for `$OUT`: beside the file, or where paths have only characters that are safe in a shell, or else in
/// the folder in which the command runs.
fn out_folder(beside: &Path, working: &Path) -> anyhow::Result<TempDir> {
    let temporary = std::env::temp_dir();
    let mut places = vec![beside, &temporary, Path::new("/tmp")];
    places.retain(|place| is_safe(place));
    places.push(working);
    let mut made = places
        .iter()
        .map(|place| tempfile::Builder::new().prefix(PREFIX).tempdir_in(place));
    let first = made.find(Result::is_ok);
    let made = first.unwrap_or_else(|| tempfile::Builder::new().prefix(PREFIX).tempdir_in(working));
    made.with_context(|| format!("no folder for $OUT can be made in {}", working.display()))
}

/// Returns the path as a command in the folder `working` uses it: relative if the absolute path is not safe.
fn shown(path: &Path, working: &Path) -> PathBuf {
    match path.strip_prefix(working) {
        Ok(relative) if !is_safe(path) => Path::new(".").join(relative),
        _ => path.to_owned(),
    }
}

/// Returns true if an absolute path stays one word in a shell, also without quotes.
fn is_safe(path: &Path) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
    path.is_absolute() && path.as_os_str().as_bytes().iter().all(is_plain)
}

/// Returns the time at which a file was written, or none if it does not exist.
fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}
