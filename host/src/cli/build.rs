//! `hitchy build`: makes every handler below a folder once, as it is deployed. What it does for each, `hitchy dev` does
//! too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tokio::process::Command;

use super::cargo::{self, Profile};
use super::install::HandlersDir;
use super::serve::Signals;
use super::sources::{How, Recipe, Sources};
use super::{BuildArgs, CommandError, job, log, print, say_error};
use crate::config::{self, Config, Setup};
use crate::registry::{Build, Builds};

/// For `--help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy build
  hitchy build services";

/// Runs `hitchy build`.
pub(super) fn main(args: BuildArgs) -> Result<(), CommandError> {
    let folder = folder(&args.path)?;
    let settings = config::Sources {
        file: args.config,
        folder: Some(folder.clone()),
        env: std::env::vars_os().collect(),
        flags: args
            .handlers
            .map(|value| config::Flag {
                key: "handlers.dir",
                value,
                flag: "--handlers",
            })
            .into_iter()
            .collect(),
    };
    let config = Config::load(&settings)?;
    log::start(&config.log);
    let runtime = tokio::runtime::Runtime::new().context("the async runtime cannot be set up")?;
    let built = runtime.block_on(async {
        let mut signals = Signals::new().context("signals cannot be received")?;
        tokio::select! {
            built = build(&folder, &config, &settings) => built,
            () = signals.next() => Err(anyhow!("stopped before everything was built")),
        }
    });
    Ok(built?)
}

async fn build(folder: &Path, config: &Config, settings: &config::Sources) -> anyhow::Result<()> {
    let (sources, mut builder) = prepare(folder, config, settings, Profile::Release).await?;
    let mut failed = sources.problems.len();
    for recipe in sources.recipes.values() {
        if let Err(error) = builder.build(recipe, &[]).await {
            say_error(&error);
            failed += 1;
        }
    }
    builder.remove_but(&sources)?;
    match failed {
        0 => Ok(()),
        1 => bail!("one handler was not built; the reason stands above"),
        many => bail!("{many} handlers were not built; the reasons stand above"),
    }
}

/// The folder to look for handlers in, whole.
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

/// All that comes before building: the setup, what there is to build, and what that needs.
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
        say_error(problem);
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

/// Runs the setup when what it creates is missing. What it leaves when it fails is removed, so that it runs again.
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

/// A file that a command may have begun to write. It is removed unless the command is known to have ended well.
struct RemoveOnDrop(Option<PathBuf>);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        // What was told to end may still write a last file. Under another name nobody takes it for the whole.
        let aside = aside(path);
        remove(&aside);
        if fs::rename(path, &aside).is_ok() {
            remove(&aside);
        } else {
            remove(path);
        }
    }
}

/// The hidden name beside it that half of something gets before it is removed.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.half"))
}

/// Removes a folder, a file or nothing; a folder into which something is still written at a second go.
fn remove(path: &Path) {
    for _ in 0..3 {
        let removed = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
        if removed.is_ok() || path.symlink_metadata().is_err() {
            return;
        }
    }
}

fn shell(command: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(folder);
    shell
}

/// Makes handlers and puts them into the handlers folder.
pub(super) struct Builder {
    dir: HandlersDir,
    folder: PathBuf,
    settings_file: PathBuf,
    profile: Profile,
    builds: Builds,
}

impl Builder {
    /// From now on builds are announced here.
    pub(super) fn announce_to(&mut self, builds: &Builds) {
        self.builds = builds.clone();
    }

    /// Makes one handler, of which these sources were `saved`, and puts it into the folder when its content is new.
    pub(super) async fn build(&mut self, recipe: &Recipe, saved: &[String]) -> anyhow::Result<()> {
        let began = Instant::now();
        // A command may write the file itself.
        let before = fs::read(self.dir.path(&recipe.file)).ok();
        print(format_args!("building {}", recipe.name));
        let (content, by) = match &recipe.how {
            How::Cargo(package) => {
                let Some(wasm) = cargo::build(package, self.profile).await? else {
                    bail!("{}: build failed", recipe.name);
                };
                let content = fs::read(&wasm);
                let content = content.with_context(|| format!("{} cannot be read", wasm.display()));
                (content?, package.manifest.clone())
            }
            How::Command(command) => (self.run(recipe, command).await?, self.settings_file.clone()),
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

    /// Runs the command of a recipe: the content that it made, from `$OUT` or else from the file itself.
    async fn run(&self, recipe: &Recipe, command: &str) -> anyhow::Result<Vec<u8>> {
        let (path, out) = (self.dir.path(&recipe.file), self.dir.part(&recipe.file));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        let _remove_on_drop = RemoveOnDrop(Some(out.clone()));
        // What an interrupted build left.
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
        // To open a pipe would wait for its other end.
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

    /// Removes handlers that were built here and are not made of anything any more.
    pub(super) fn remove_but(&mut self, sources: &Sources) -> anyhow::Result<()> {
        // What could not be understood may be what makes them.
        if !sources.problems.is_empty() {
            return Ok(());
        }
        let made: BTreeSet<String> = sources.recipes.keys().cloned().collect();
        let (folder, settings) = (&self.folder, &self.settings_file);
        for file in self.dir.remove_but(&made, folder, settings)? {
            print(format_args!("removed {file}: nothing makes it any more"));
        }
        Ok(())
    }

    /// The files that building writes where sources may lie.
    pub(super) fn written(&self, sources: &Sources) -> BTreeSet<PathBuf> {
        let files = sources.recipes.keys().map(|file| self.dir.path(file));
        sources.locks().into_iter().chain(files).collect()
    }
}

fn built(recipe: &Recipe, size: usize, time: Duration, is_new: bool) -> String {
    format!(
        "built {} in {:.1} s ({} KiB{})",
        recipe.file,
        time.as_secs_f64(),
        size.div_ceil(1024),
        if is_new { "" } else { ", unchanged" }
    )
}
