//! `hitchy build`: builds every handler below a folder once, as it is deployed. `hitchy dev` uses the same [`Builder`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use tokio::process::Command;

use super::cargo::{self, Profile};
use super::error::CommandError;
use super::executor::{self, Threads};
use super::install::HandlersDir;
use super::output::{print, print_error};
use super::serve::Signals;
use super::sources::{BuildMethod, Recipe, Sources};
use super::{job, log, settings};
use crate::config::{self, Config, Setup};
use crate::registry::{Build, Builds};

/// The examples at the end of `hitchy build --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy build
  hitchy build services";

#[derive(Args)]
pub(super) struct BuildArgs {
    /// The folder to look for handlers in; also where hitchy.toml and the handlers folder are
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Read the settings from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Put the .wasm files into DIR [handlers.dir]
    #[arg(long, value_name = "DIR")]
    handlers: Option<String>,
}

/// Runs `hitchy build` to its end, or until a signal stops it.
pub(super) fn main(args: BuildArgs) -> Result<(), CommandError> {
    let folder = folder(&args.path)?;
    let flags = [("handlers.dir", args.handlers, "--handlers")];
    let settings = settings::sources(args.config, Some(folder.clone()), flags);
    let config = Config::load(&settings)?;
    let _log = log::start(&config.log);
    let built = executor::runtime(Threads::Pool)?.block_on(async {
        let mut signals = Signals::new().context("signals cannot be received")?;
        tokio::select! {
            built = build(&folder, &config, &settings) => built,
            () = signals.next() => Err(anyhow!("stopped before everything was built")),
        }
    });
    Ok(built?)
}

/// Builds every handler. Failures are printed as they come; the error at the end says only how many.
async fn build(folder: &Path, config: &Config, settings: &config::Sources) -> anyhow::Result<()> {
    let (sources, mut builder) = prepare(folder, config, settings, Profile::Release).await?;
    let mut failed = sources.problems.len();
    for recipe in sources.recipes.values() {
        if let Err(error) = builder.build(recipe, &[]).await {
            print_error(&error);
            failed += 1;
        }
    }
    builder.remove_obsolete(&sources)?;
    match failed {
        0 => Ok(()),
        1 => bail!("one handler was not built; the reason stands above"),
        many => bail!("{many} handlers were not built; the reasons stand above"),
    }
}

/// Returns the absolute path of the folder to look for handlers in, without links.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn folder(path: &Path) -> Result<PathBuf, CommandError> {
    let folder = path.canonicalize().and_then(|folder| {
        fs::read_dir(&folder)?;
        Ok(folder)
    });
    folder.map_err(|error| {
        CommandError::Usage(anyhow!(
            "{} cannot be read: {error}; name a folder",
            path.display()
        ))
    })
}

/// Prepares builds: runs the setup, finds the sources, adds missing Rust targets, and opens the handlers folder.
///
/// # Errors
/// A step fails, or there is nothing to build.
pub(super) async fn prepare(
    folder: &Path,
    config: &Config,
    settings: &config::Sources,
    profile: Profile,
) -> anyhow::Result<(Sources, Builder)> {
    if let Some(setup) = &config.dev.setup {
        set_up(folder, setup).await?;
    }
    let sources = Sources::find(folder, config).await?;
    for problem in &sources.problems {
        print_error(problem);
    }
    if sources.recipes.is_empty() && sources.problems.is_empty() {
        bail!(
            "there is no handler to build below {}: no Cargo.toml of a library with crate-type cdylib, and no [dev] build in {}",
            folder.display(),
            settings.settings_file().display()
        );
    }
    cargo::ensure_targets(sources.packages()).await?;
    let builder = Builder {
        dir: HandlersDir::open(&config.handlers.dir)?,
        folder: folder.to_owned(),
        settings_file: settings.settings_file(),
        profile,
        builds: Builds::default(),
    };
    Ok((sources, builder))
}

/// Runs the setup if the path that it creates is missing. After a failure that path is removed, so that the next start
/// runs the setup again.
async fn set_up(folder: &Path, setup: &Setup) -> anyhow::Result<()> {
    let Setup { command, creates } = setup;
    let created = folder.join(creates);
    if created.exists() {
        return Ok(());
    }
    print(format_args!("{creates} is missing: running {command}"));
    let mut remove_on_drop = RemoveOnDrop(Some(created.clone()));
    let status = job::run(
        &mut shell(command, folder),
        &format!("running {command}"),
        |_| {},
    )
    .await
    .with_context(|| format!("the setup ({command}) cannot be run"))?;
    if !status.success() {
        bail!(
            "the setup failed ({command}: {status}); run it by hand in {}",
            folder.display()
        );
    }
    if !created.exists() {
        bail!("the setup ({command}) ended well but did not create {creates}; correct [dev] setup");
    }
    remove_on_drop.0 = None;
    Ok(())
}

/// A file or folder that a command may have begun to write. It is removed on drop unless the path was taken out after
/// the command succeeded.
struct RemoveOnDrop(Option<PathBuf>);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        // A killed command may still write a last file. Under the hidden name that file is not taken for a result.
        let hidden = hidden_name(path);
        remove(&hidden);
        if fs::rename(path, &hidden).is_ok() {
            remove(&hidden);
        } else {
            remove(path);
        }
    }
}

/// Returns the hidden name in the same folder under which an incomplete result is removed.
fn hidden_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.half"))
}

/// Removes a folder or a file, if there is one. It tries three times, because a program that is being killed may still
/// write into a folder while it is removed.
fn remove(path: &Path) {
    for _ in 0..3 {
        let removed = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
        if removed.is_ok() || path.symlink_metadata().is_err() {
            return;
        }
    }
}

/// Returns `sh -c command`, to be run in `folder`.
fn shell(command: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(folder);
    shell
}

/// Builds handlers and puts them into the handlers folder.
pub(super) struct Builder {
    dir: HandlersDir,
    folder: PathBuf,
    settings_file: PathBuf,
    profile: Profile,
    builds: Builds,
}

impl Builder {
    /// Announces all later builds to `builds`, from which the server takes the time and the cause of a change.
    pub(super) fn announce_to(&mut self, builds: &Builds) {
        self.builds = builds.clone();
    }

    /// Builds one handler and puts it into the handlers folder if its content is new. `saved` lists the sources whose
    /// saves led to this build; none at the start.
    ///
    /// # Errors
    /// The build fails, or the file cannot be written.
    pub(super) async fn build(&mut self, recipe: &Recipe, saved: &[String]) -> anyhow::Result<()> {
        let began = Instant::now();
        // Read before the build, because a command may write the file itself instead of `$OUT`.
        let before = fs::read(self.dir.path(&recipe.file)).ok();
        print(format_args!("building {}", recipe.name));
        let (content, by) = match &recipe.method {
            BuildMethod::Cargo(package) => {
                let Some(wasm) = cargo::build(package, self.profile).await? else {
                    bail!("{}: build failed", recipe.name);
                };
                let content = fs::read(&wasm)
                    .with_context(|| format!("{} cannot be read", wasm.display()))?;
                (content, package.manifest.clone())
            }
            BuildMethod::Command(command) => {
                (self.run(recipe, command).await?, self.settings_file.clone())
            }
        };
        let time = began.elapsed();
        let saved = saved.to_vec();
        self.builds
            .announce(&recipe.file, &content, Build { time, saved });
        self.dir.put(&recipe.file, &content, &by)?;
        let is_new = before.is_none_or(|before| before != content);
        print(built(recipe, content.len(), time, is_new));
        Ok(())
    }

    /// Runs the command of a recipe. Returns the content that it made, from `$OUT` or else from the file itself.
    async fn run(&self, recipe: &Recipe, command: &str) -> anyhow::Result<Vec<u8>> {
        let (path, out) = (self.dir.path(&recipe.file), self.dir.part(&recipe.file));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        let _remove_on_drop = RemoveOnDrop(Some(out.clone()));
        // An interrupted build may have left it.
        let _ = fs::remove_file(&out);
        let before = fs::metadata(&path).and_then(|file| file.modified()).ok();
        let mut shell = shell(command, &self.folder);
        let status = job::run(
            shell.env("OUT", &out),
            &format!("building {}", recipe.name),
            |_| {},
        )
        .await
        .with_context(|| format!("the command of {} cannot be run", recipe.file))?;
        if !status.success() {
            bail!("{}: build failed ({command}: {status})", recipe.name);
        }
        // Only regular files are opened, because opening a named pipe would wait for a writer.
        match fs::symlink_metadata(&out) {
            Ok(file) if file.is_file() && file.len() > 0 => {
                return fs::read(&out).with_context(|| format!("{} cannot be read", out.display()));
            }
            Ok(file) => bail!(
                "{}: build failed: the command ended well but made $OUT {}; write the component to it",
                recipe.name,
                if file.is_file() {
                    "an empty file"
                } else {
                    "something else than a file"
                }
            ),
            Err(_) => {}
        }
        let after = fs::metadata(&path).and_then(|file| file.modified()).ok();
        if after.is_none() {
            bail!(
                "{}: build failed: the command ended well but wrote neither $OUT nor {}; write to $OUT in [dev] build",
                recipe.name,
                path.display()
            );
        }
        if before == after {
            print(format_args!(
                "{}: the command wrote neither $OUT nor the file; it stays as it is",
                recipe.file
            ));
        }
        fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// Removes handlers that an earlier build put into the folder and whose sources no longer exist.
    pub(super) fn remove_obsolete(&mut self, sources: &Sources) -> anyhow::Result<()> {
        // A manifest with an error may be the one that makes them.
        if !sources.problems.is_empty() {
            return Ok(());
        }
        let made: BTreeSet<String> = sources.recipes.keys().cloned().collect();
        let (folder, settings) = (&self.folder, &self.settings_file);
        for file in self.dir.remove_obsolete(&made, folder, settings)? {
            print(format_args!("removed {file}: nothing makes it any more"));
        }
        Ok(())
    }

    /// Returns the files that a build writes where sources may lie: lock files and the handlers themselves.
    pub(super) fn written(&self, sources: &Sources) -> BTreeSet<PathBuf> {
        let files = sources.recipes.keys().map(|file| self.dir.path(file));
        sources.locks().into_iter().chain(files).collect()
    }
}

/// Returns the line that reports a build.
fn built(recipe: &Recipe, size: usize, time: Duration, is_new: bool) -> String {
    format!(
        "built {} in {:.1} s ({} KiB{})",
        recipe.file,
        time.as_secs_f64(),
        size.div_ceil(1024),
        if is_new { "" } else { ", unchanged" }
    )
}
