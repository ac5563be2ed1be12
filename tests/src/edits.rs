//! `hitchy dev` with its output in a file of the project, and edits of every kind of source.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::guest;
use crate::guests::stamped;
use crate::project::{BUILT, manifest, project, with_package};
use crate::server::Plan;
use crate::wait::until;

/// A running `hitchy dev` whose output goes to a file of its project. Dropping it ends the process.
pub struct LoggingDev {
    plan: Plan,
    shell: Child,
    log: PathBuf,
}

impl LoggingDev {
    /// Starts `hitchy dev` through a shell and waits until it listens. In `script`, `"$@"` is the command; the script
    /// puts the output into the file `log` of the project.
    ///
    /// # Panics
    /// Panics if it does not listen by the deadline of a build.
    pub async fn start(plan: Plan, script: &str, log: &str) -> Self {
        let (shell, log) = (plan.spawn_in_shell(script), plan.dir().join(log));
        let dev = Self { plan, shell, log };
        let listens = async || dev.output().contains("listening on");
        until("it listens", BUILT, listens).await;
        dev
    }

    /// Returns the folder of the project.
    pub fn dir(&self) -> &Path {
        self.plan.dir()
    }

    /// Returns the output so far.
    pub fn output(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the number of lines of the output that begin with `start`.
    pub fn count(&self, start: &str) -> usize {
        let output = self.output();
        output
            .lines()
            .filter(|line| line.starts_with(start))
            .count()
    }

    /// Waits until this many lines of the output begin with `start`.
    ///
    /// # Panics
    /// Panics with the output if that is not so by the deadline of a build.
    pub async fn wait_for(&self, start: &str, count: usize) {
        let deadline = std::time::Instant::now() + BUILT;
        while self.count(start) < count {
            assert!(
                std::time::Instant::now() < deadline,
                "{count} lines with {start:?}: {}",
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Watches for a time and returns the number of builds that begin.
    pub async fn builds_within(&self, time: Duration) -> usize {
        let before = self.count("building ");
        tokio::time::sleep(time).await;
        self.count("building ") - before
    }
}

impl Drop for LoggingDev {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::TERM);
        let _ = self.shell.wait();
    }
}

/// What was seen during edits.
#[derive(Debug, PartialEq, Eq)]
pub struct Edited {
    /// The number of edits.
    pub edits: usize,
    /// The number of builds that they led to.
    pub builds: usize,
    /// The number of builds that made the same file as before.
    pub unchanged: usize,
    /// The number of builds that began while nothing was edited.
    pub idle: usize,
}

/// The kinds of sources that are edited in turn, as the paths of the files. A path that begins with `outside/` is not
/// in the project.
const KINDS: [&str; 6] = [
    "edited/src/module.rs",
    "outside/shared/text.txt",
    "outside/linked/mod.rs",
    "outside/patched/src/lib.rs",
    "outside/input.txt",
    "outside/raw.wasm",
];

const LIBRARY: &str = "use hitchy_guest::App;
mod linked;
mod module;
fn app() -> App { App::new().get(\"/edited\", route) }
fn route() -> String {
    let include = include_str!(\"../outside/shared/text.txt\");
    format!(\"{} {include} {} {} {}\", module::TEXT, linked::TEXT, hitchy_patched_crate::TEXT, env!(\"INPUT\"))
}
hitchy_guest::export!(app);
";

/// Saves sources of each kind in turn, each after the build of the last, and watches for `idle` afterwards.
///
/// # Panics
/// Panics if an edit is not built by the deadline of a build.
pub async fn edit(edits: usize, idle: Duration) -> Edited {
    let outside = TempDir::with_prefix("hitchy-outside-").expect("a folder can be made");
    let plan = prepare(outside.path());
    let dev = LoggingDev::start(plan, "exec \"$@\" > dev.log 2>&1", "dev.log").await;
    let (first, begun) = (dev.count("built "), dev.count("building "));
    for edit in 0..edits {
        let kind = KINDS[edit % KINDS.len()];
        save(dev.dir(), outside.path(), kind, &format!("edit {edit}"));
        dev.wait_for("built ", first + edit + 1).await;
    }
    let builds = dev.count("building ") - begun;
    let output = dev.output();
    Edited {
        edits,
        builds,
        unchanged: output
            .lines()
            .filter(|line| line.ends_with("unchanged)"))
            .count(),
        idle: dev.builds_within(idle).await,
    }
}

/// Returns the plan of a project with sources of all kinds.
fn prepare(outside: &Path) -> Plan {
    let plan = with_package(project(), "edited", "");
    let folder = plan.dir().join("edited");
    for kind in KINDS {
        save(plan.dir(), outside, kind, "at first");
    }
    let write = |path: PathBuf, text: &str| fs::write(path, text).expect("a file can be written");
    write(folder.join("src/lib.rs"), LIBRARY);
    let input = outside.join("input.txt");
    let script = format!(
        "fn main() {{ println!(\"cargo::rerun-if-changed={0}\"); \
         println!(\"cargo::rustc-env=INPUT={{}}\", std::fs::read_to_string({0:?}).unwrap()); }}",
        input.to_str().expect("temporary paths are UTF-8")
    );
    write(folder.join("build.rs"), &script);
    let text = manifest("edited").replace(
        "[workspace]",
        "hitchy-patched-crate = \"0.0.1\"\n[workspace]",
    ) + &format!(
        "[patch.crates-io]\nhitchy-patched-crate = {{ path = {:?} }}\n",
        outside.join("patched")
    );
    write(folder.join("Cargo.toml"), &text);
    let patched = "[package]\nname = \"hitchy-patched-crate\"\nversion = \"0.0.1\"\nedition = \"2024\"\n[workspace]\n";
    write(outside.join("patched/Cargo.toml"), patched);
    // The package names it by a path beside its folder, where a link leads outside.
    symlink(outside, folder.join("outside")).expect("a link can be made");
    symlink(outside.join("linked"), folder.join("src/linked")).expect("a link can be made");
    let recipe = format!("cp {} $OUT", outside.join("raw.wasm").display());
    plan.file(
        "hitchy.toml",
        format!("[dev.build]\n\"handlers/raw.wasm\" = {recipe:?}\n"),
    )
}

/// Saves a source of a kind with a content that `text` makes different.
fn save(project: &Path, outside: &Path, kind: &str, text: &str) {
    let path = match kind.strip_prefix("outside/") {
        Some(path) => outside.join(path),
        None => project.join(kind),
    };
    let content = match path.extension().and_then(|extension| extension.to_str()) {
        Some("wasm") => stamped(&guest("version_one"), text),
        Some("rs") => format!("pub const TEXT: &str = {text:?};\n").into_bytes(),
        _ => text.as_bytes().to_vec(),
    };
    fs::create_dir_all(path.parent().expect("a file lies in a folder"))
        .and_then(|()| fs::write(&path, content))
        .expect("a file can be written");
}
