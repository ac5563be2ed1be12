//! Builds handlers and puts them into the handlers folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};

use super::cargo::{self, Package, Profile};
use super::command_output::CommandOutput;
use super::inputs::{Inputs, named};
use super::install::HandlersDir;
use super::job::{self, Ended, Stop};
use super::output::print;
use super::shell::shell;
use super::sources::{BuildMethod, Recipe, Sources};
use super::toolchains;
use crate::registry::{Build, Builds};

/// Builds handlers and puts them into the handlers folder.
pub(super) struct Builder {
    dir: HandlersDir,
    folder: PathBuf,
    settings_file: PathBuf,
    profile: Profile,
    builds: Builds,
    /// When the programs of the last build ended.
    ended: SystemTime,
}

/// The end of a build, with what it read.
pub(super) enum Built {
    /// The handler is in the handlers folder. The text is the line that reports the build.
    Made(String, Inputs),
    /// The build failed. The handlers folder is as it was.
    Failed(anyhow::Error, Inputs),
    /// The build was stopped. The handlers folder is as it was.
    Stopped,
}

/// The content of a handler that was built, with the file that describes the build.
struct Made {
    content: Vec<u8>,
    by: PathBuf,
}

/// A step of a build that did not make a handler.
enum NotMade {
    Failed(anyhow::Error),
    Stopped,
}

impl<E: Into<anyhow::Error>> From<E> for NotMade {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Builder {
    /// Returns a builder of handlers below `folder`.
    pub(super) fn new(
        dir: HandlersDir,
        folder: PathBuf,
        settings_file: PathBuf,
        profile: Profile,
    ) -> Self {
        Self {
            dir,
            folder,
            settings_file,
            profile,
            builds: Builds::default(),
            ended: SystemTime::now(),
        }
    }

    /// Announces all later builds to `builds`, from which the server takes the time and the cause of a change.
    pub(super) fn announce_to(&mut self, builds: &Builds) {
        self.builds = builds.clone();
    }

    /// Builds one handler and puts it into the handlers folder if its content is new, unless `stop` ends the build.
    /// `saved` lists the sources whose saves led to this build; none at the start.
    pub(super) async fn build(&mut self, recipe: &Recipe, saved: &[String], stop: &Stop) -> Built {
        let began = Instant::now();
        // Read before the build, because a command may write the file itself instead of `$OUT`.
        let before = fs::read(self.dir.path(&recipe.file)).ok();
        print(format_args!("building {}", recipe.name));
        let (made, inputs) = match &recipe.method {
            BuildMethod::Cargo(package) => self.run_cargo(recipe, package, stop).await,
            BuildMethod::Command(command) => {
                let inputs = named::inputs(command, &self.folder, self.dir.path("").as_path());
                (self.run(recipe, command, stop).await, inputs)
            }
        };
        self.ended = SystemTime::now();
        let installed = made.and_then(|made| {
            let line = self.install(recipe, &made, began.elapsed(), saved, before.as_deref())?;
            Ok(line)
        });
        match installed {
            Ok(line) => {
                print(&line);
                Built::Made(line, inputs)
            }
            Err(NotMade::Failed(error)) => Built::Failed(error, inputs),
            Err(NotMade::Stopped) => Built::Stopped,
        }
    }

    /// Puts a handler into the folder. Returns the line that reports the build.
    fn install(
        &mut self,
        recipe: &Recipe,
        made: &Made,
        time: Duration,
        saved: &[String],
        before: Option<&[u8]>,
    ) -> anyhow::Result<String> {
        let saved = saved.to_vec();
        self.builds
            .announce(&recipe.file, &made.content, Build { time, saved });
        self.dir.put(&recipe.file, &made.content, &made.by)?;
        let is_new = before.is_none_or(|before| before != made.content);
        Ok(built(recipe, made.content.len(), time, is_new))
    }

    /// Lets cargo build a package.
    async fn run_cargo(
        &self,
        recipe: &Recipe,
        package: &Package,
        stop: &Stop,
    ) -> (Result<Made, NotMade>, Inputs) {
        match cargo::build(package, self.profile, stop).await {
            Ok(cargo::Build::Made(wasm, inputs)) => {
                let content =
                    fs::read(&wasm).with_context(|| format!("{} cannot be read", wasm.display()));
                let by = package.manifest.clone();
                let made = content.map(|content| Made { content, by });
                (made.map_err(NotMade::Failed), inputs)
            }
            Ok(cargo::Build::Failed(inputs)) => {
                let error = anyhow!("{}: build failed", recipe.name);
                (Err(NotMade::Failed(error)), inputs)
            }
            Ok(cargo::Build::Stopped) => (Err(NotMade::Stopped), Inputs::default()),
            Err(error) => (Err(NotMade::Failed(error)), Inputs::default()),
        }
    }

    /// Runs the command of a recipe.
    async fn run(&self, recipe: &Recipe, command: &str, stop: &Stop) -> Result<Made, NotMade> {
        let output = CommandOutput::new(&self.dir, recipe, &self.folder)?;
        let mut shell = shell(command, &self.folder);
        shell.env("OUT", output.out());
        let doing = format!("building {}", recipe.name);
        let ended = job::run(&mut shell, &doing, stop, |_| {})
            .await
            .with_context(|| format!("the command of {} cannot be run", recipe.file))?;
        match ended {
            Ended::Stopped => Err(NotMade::Stopped),
            Ended::By(status) if status.success() => Ok(Made {
                content: output.take()?,
                by: self.settings_file.clone(),
            }),
            Ended::By(status) => Err(match toolchains::missing(command, status) {
                Some(sentence) => anyhow!("{}: build failed: {sentence}", recipe.name),
                None => anyhow!("{}: build failed ({command}: {status})", recipe.name),
            }
            .into()),
        }
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

    /// Returns the time at which the programs of the last build ended. Later changes are not theirs.
    pub(super) fn ended(&self) -> SystemTime {
        self.ended
    }

    /// Returns the path of a file of the handlers folder.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.path(file)
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
