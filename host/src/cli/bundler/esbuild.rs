//! One run of esbuild: its flags, what it makes, and the sentence about its errors.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cli::job;
use crate::cli::output::terminal;
use crate::runtime::{BundleError, SourceMap};

/// The longest time of a run.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of what esbuild makes that are read at most, and of what it says.
const MAX_MADE: u64 = 64 << 20;
const MAX_SAID: u64 = 64 << 10;

/// The flags of every run. There is neither Node nor a page, as in the workers of the web: of packages that come in
/// several forms, those for workers and browsers need the least. Code outside of ASCII is escaped, so that the columns
/// of errors, which count characters, are those of the source map.
const FLAGS: &[&str] = &[
    "--bundle",
    "--format=esm",
    "--platform=browser",
    "--main-fields=browser,module,main",
    "--conditions=worker,browser",
    "--external:hitchy",
    "--target=es2023",
    "--charset=ascii",
    "--legal-comments=none",
    "--define:process.env.NODE_ENV=\"production\"",
    "--sourcemap=external",
    "--sources-content=false",
    "--log-level=warning",
    "--log-limit=20",
];
/// The flags for what would be too large otherwise. Names stay, because errors have them.
const SMALLER: &[&str] = &["--minify-whitespace", "--minify-syntax"];

/// The names of files in the folder of a run. The first is named without its end, which esbuild adds.
const OUT: &str = "out";
const META: &str = "meta.json";
const SAID: &str = "said.txt";

/// What is run.
pub(super) struct Esbuild {
    pub(super) program: PathBuf,
    /// The folder of `package.json`, without links, in which it runs.
    pub(super) folder: PathBuf,
    /// The script, without links.
    pub(super) entry: PathBuf,
    /// The name of the script for people.
    pub(super) name: String,
}

/// What a run has made.
pub(super) struct Made {
    pub(super) code: String,
    /// Its sources are absolute paths.
    pub(super) map: SourceMap,
    /// The files that were read, without links.
    pub(super) inputs: Vec<PathBuf>,
}

/// What esbuild tells about a run, as far as it is read.
#[derive(Deserialize)]
struct Metafile {
    inputs: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
}

impl Esbuild {
    /// Makes a bundle. Dropping the future ends the program. The files in which esbuild finds errors are added to
    /// `read`.
    pub(super) async fn run(
        &self,
        smaller: bool,
        read: &mut Vec<PathBuf>,
    ) -> Result<Made, BundleError> {
        let folder = TempDir::with_prefix("hitchy-bundle-").and_then(|folder| {
            let path = folder.path().canonicalize()?;
            let said = File::create(path.join(SAID))?;
            Ok((folder, path, said))
        });
        let (_folder, out, said) = folder.map_err(|error| self.not_run(error.to_string()))?;
        let mut command = self.command(&out, smaller);
        command.stdout(Stdio::null()).stderr(said);
        let status = self.run_to_end(&mut command).await?;
        let said = content(&out.join(SAID), MAX_SAID).unwrap_or_default();
        let text = String::from_utf8_lossy(&said);
        // Of a run that is repeated, nothing is told twice.
        if !text.is_empty() && !smaller {
            terminal::pass_on(&text);
        }
        if status.success() {
            return self.made(&out);
        }
        let plain = uncoloured(&text);
        let files = plain.lines().filter_map(place).map(|(file, _)| file);
        read.extend(files.map(|file| self.folder.join(file)));
        let program = self.program.display();
        let ended = || format!("{program} ended with {status}");
        Err(BundleError::Failed(sentence(&plain).unwrap_or_else(ended)))
    }

    /// Runs the program to its end, or until it has had enough time.
    async fn run_to_end(&self, command: &mut Command) -> Result<ExitStatus, BundleError> {
        let doing = format!("bundling {}", self.name);
        let too_long = |_| {
            let time = PATIENCE.as_secs();
            self.not_run(format!(
                "it did not end within {time} s; run it by hand to see why"
            ))
        };
        timeout(PATIENCE, job::run_to_end(command, &doing))
            .await
            .map_err(too_long)?
            .map_err(|error| self.not_run(format!("{error}; install it again")))
    }

    fn command(&self, out: &Path, smaller: bool) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).args(FLAGS);
        if smaller {
            command.args(SMALLER);
        }
        command.arg(format!("--color={}", terminal::has_coloured_notes()));
        let path = |flag: &str, path: &Path| {
            let mut argument = std::ffi::OsString::from(flag);
            argument.push(path);
            argument
        };
        command
            .arg(path("--metafile=", &out.join(META)))
            .arg(path("--outdir=", out))
            // The name of the output comes first, so that a `=` in the name of the script is none of esbuild's.
            .arg(path(&format!("{OUT}="), &self.entry));
        command
    }

    /// Reads what a run has made.
    fn made(&self, out: &Path) -> Result<Made, BundleError> {
        let broken = |what: &str| self.not_run(format!("it made no {what}; install it again"));
        let read = |name: &str| content(&out.join(name), MAX_MADE).ok_or_else(|| broken(name));
        let code =
            String::from_utf8(read(&format!("{OUT}.js"))?).map_err(|_| broken("text in UTF-8"))?;
        let mut map = SourceMap::parse(&read(&format!("{OUT}.js.map"))?)
            .ok_or_else(|| broken("source map"))?;
        for source in &mut map.sources {
            *source = plain(&out.join(&source)).display().to_string();
        }
        let meta: Metafile = serde_json::from_slice(&read(META)?).map_err(|_| broken(META))?;
        // What is not read from a file, as an empty module in the place of one of Node's, has no path.
        let path = |input: &String| self.folder.join(input).canonicalize().ok();
        Ok(Made {
            code,
            map,
            inputs: meta.inputs.keys().filter_map(path).collect(),
        })
    }

    fn not_run(&self, cause: String) -> BundleError {
        BundleError::NotRun {
            program: self.program.clone(),
            cause,
        }
    }
}

/// Reads at most `max` bytes of a file.
fn content(path: &Path, max: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)
        .ok()?
        .take(max)
        .read_to_end(&mut content)
        .ok()?;
    Some(content)
}

/// Returns an absolute path without `..`. No link is on the way.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// Returns the first error that esbuild has printed, with its place and what to do. The terminal shows all of it.
fn sentence(said: &str) -> Option<String> {
    let mut lines = said.lines().skip_while(|line| !line.contains("[ERROR]"));
    let (_, error) = lines.next()?.split_once("[ERROR]")?;
    let error = error.trim();
    let next = lines.find(|line| !line.trim().is_empty());
    let place = next.and_then(place);
    let more = match said.matches("[ERROR]").count().saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let unresolved = error.strip_prefix("Could not resolve \"");
    let unresolved = unresolved.and_then(|rest| rest.strip_suffix('"'));
    let remedy = match unresolved {
        Some(_) if said.contains("built into node") => {
            "the modules of Node are not here; use a package that needs none of them".to_owned()
        }
        Some(name) if !name.starts_with(['.', '/', '#']) => format!("npm install {name}"),
        _ => "correct it".to_owned(),
    };
    let place = place.map_or_else(String::new, |(file, at)| format!("{file}:{at}: "));
    Some(format!("{place}{error}{more}; {remedy}"))
}

/// Returns the file, and the line with the column, if a line of esbuild says nothing but the place of an error.
fn place(line: &str) -> Option<(&str, &str)> {
    let place = line.trim().strip_suffix(':')?;
    let (rest, column) = place.rsplit_once(':')?;
    let (file, row) = rest.rsplit_once(':')?;
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    (is_number(row) && is_number(column)).then(|| (file, &place[file.len() + 1..]))
}

/// Returns a text without the sequences that colour it.
fn uncoloured(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i14_5_errors_of_esbuild_become_a_sentence() {
        let coloured = "\u{1b}[31m✘ \u{1b}[41;31m[\u{1b}[41;97mERROR\u{1b}[41;31m]\u{1b}[0m \u{1b}[1mUnexpected \";\"\u{1b}[0m\n\n    \
                        handlers/bad.ts:1:32:\n\u{1b}[37m      1 │ let y = ;\n";
        assert_eq!(
            sentence(&uncoloured(coloured)).unwrap(),
            "handlers/bad.ts:1:32: Unexpected \";\"; correct it"
        );
        let node = "✘ [ERROR] Could not resolve \"fs\"\n\n    a.js:1:15:\n      1 │ import fs from \"fs\";\n\n  The package \"fs\" wasn't \
                    found on the file system but is built into node.\n\n✘ [ERROR] Could not resolve \"x\"\n";
        let said = sentence(node).unwrap();
        assert!(
            said.starts_with(
                "a.js:1:15: Could not resolve \"fs\" (and 1 more); the modules of Node"
            ),
            "{said}"
        );
        let missing = sentence("✘ [ERROR] Could not resolve \"nope\"\n\n    a.js:1:15:\n").unwrap();
        assert_eq!(
            missing,
            "a.js:1:15: Could not resolve \"nope\"; npm install nope"
        );
        assert_eq!(sentence("✘ [ERROR] Odd\n").unwrap(), "Odd; correct it");
        assert_eq!(sentence("panic: oh"), None);
    }

    #[test]
    fn i14_5_paths_of_source_maps_are_made_absolute() {
        assert_eq!(
            plain(Path::new("/tmp/x/../../p/a.js")),
            Path::new("/p/a.js")
        );
    }
}
