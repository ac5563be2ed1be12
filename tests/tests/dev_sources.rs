//! What `hitchy dev` follows: exactly what a build reads, and nothing that dev writes itself.

use std::fs;
use std::time::Duration;

use hitchy_tests::Server;
use hitchy_tests::edits::{LoggingDev, edit};
use hitchy_tests::guest;
use hitchy_tests::guests::stamped;
use hitchy_tests::project::{BUILT, package, project, source, with_package};
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{eventually, until};
use serde_json::json;

/// The time in which a build that nobody asked for would begin. A build begins within 0.2 s after a change.
const IDLE: Duration = Duration::from_secs(3);

fn copying(command: &str) -> Plan {
    project()
        .file(
            "hitchy.toml",
            format!("[dev.build]\n\"handlers/copy.wasm\" = {command:?}\n"),
        )
        .file("prebuilt.wasm", guest("version_one"))
}

fn version(mark: &str) -> Vec<u8> {
    stamped(&guest("version_one"), mark)
}

fn save(server: &Server, path: &str, text: impl AsRef<[u8]>) {
    fs::write(server.dir().join(path), text).expect("a file can be written");
}

async fn wait_for_body(server: &Server, target: &str, text: &str) {
    let what = format!("GET {target} answers {text}");
    let answers = async || {
        let answer = server.get(target).await;
        answer.status == 200 && answer.text() == text
    };
    until(&what, BUILT, answers).await;
}

#[tokio::test]
async fn i11_2_every_kind_of_source_is_built_once_and_nothing_without_a_save() {
    let seen = edit(12, IDLE).await;
    assert_eq!(seen.builds, seen.edits, "{seen:?}");
    assert_eq!((seen.unchanged, seen.idle), (0, 0), "{seen:?}");
}

#[tokio::test]
async fn i11_4_its_own_output_in_the_project_is_no_save() {
    for script in [
        "exec \"$@\" > dev.log 2>&1",
        "exec \"$@\" >> dev.log 2>> dev.log",
        "\"$@\" 2>&1 | tee dev.log",
        "\"$@\" 2>&1 | sed -u s/^// | tee -a dev.log",
        // Nothing holds the file open.
        "\"$@\" 2>&1 | while IFS= read -r line; do echo \"$line\" >> dev.log; done",
    ] {
        let plan = copying("cp prebuilt.wasm $OUT");
        let dev = LoggingDev::start(plan, script, "dev.log").await;
        // The last of these scripts is recognised by what it writes, which takes a build.
        dev.builds_within(Duration::from_secs(1)).await;
        let before = dev.count("built ");
        assert!(before <= 3, "{script}: {}", dev.output());
        fs::write(dev.dir().join("prebuilt.wasm"), version("saved")).expect("it can be written");
        dev.wait_for("built ", before + 1).await;
        assert_eq!(
            dev.builds_within(IDLE).await,
            0,
            "{script}: {}",
            dev.output()
        );
        // Rotated, it is still no source.
        let (log, rotated) = (dev.dir().join("dev.log"), dev.dir().join("dev.log.1"));
        fs::copy(&log, &rotated).expect("it can be copied");
        assert_eq!(
            dev.builds_within(Duration::from_secs(1)).await,
            0,
            "{script}: {}",
            dev.output()
        );
    }
}

#[tokio::test]
async fn i12_2_what_handlers_store_in_the_project_is_no_save() {
    let settings = "[dev.build]\n\"handlers/keeper.wasm\" = \"cp prebuilt.wasm $OUT\"\n";
    let plan = project().file("hitchy.toml", settings);
    let server = plan.file("prebuilt.wasm", guest("keeper")).start().await;
    server.wait_for_log(&["keeper.wasm: loaded"]).await;
    let builds = || {
        let lines = [server.log().all(), server.out().all()].concat();
        lines
            .iter()
            .filter(|line| line.contains("building "))
            .count()
    };
    let before = builds();
    for number in 0..20 {
        let deed = json!({ "do": "set", "key": "a", "value": number });
        assert_eq!(server.post("/keeper", &deed).await.status, 200);
    }
    assert!(server.dir().join("data").is_dir(), "it is in the project");
    tokio::time::sleep(IDLE).await;
    assert_eq!(builds(), before, "{}", server.log().all().join("\n"));
}

#[tokio::test]
async fn i11_4_target_folders_hold_no_sources_whatever_their_names() {
    let plan = project().env("CARGO_TARGET_DIR", "out");
    let plan = plan.file("out/keep.txt", "the folder was there before cargo");
    let manifest = "[package]\nname = \"named\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    let plan = plan
        .file("named/Cargo.toml", manifest)
        .file("named/src/lib.rs", "")
        .file(
            "named/.cargo/config.toml",
            "[build]\nbuild-dir = \"intermediate\"\n",
        )
        .file(
            "hitchy.toml",
            "[dev.build]\n\"handlers/copy.wasm\" = \"cp prebuilt.wasm $OUT\"\n",
        )
        .file("prebuilt.wasm", guest("version_one"));
    let dev = LoggingDev::start(plan, "exec \"$@\" > dev.log 2>&1", "dev.log").await;
    assert_eq!(dev.builds_within(IDLE).await, 0, "{}", dev.output());
    assert_eq!(dev.count("building "), 2, "{}", dev.output());
}

#[tokio::test]
async fn i11_2_a_file_that_was_missing_is_built_when_it_appears() {
    let plan = with_package(project(), "waiting", "one");
    let outside = tempfile::TempDir::with_prefix("hitchy-outside-").expect("a folder can be made");
    let missing = outside.path().join("deep/text.txt");
    let text = source("waiting", "").replace(
        "\"\";",
        &format!(
            "include_str!({:?});",
            missing.to_str().expect("it is UTF-8")
        ),
    );
    let plan = plan.file("waiting/src/lib.rs", text);
    let server = plan.start().await;
    server.wait_for_log(&["couldn't read"]).await;
    fs::create_dir(outside.path().join("deep")).expect("a folder can be made");
    fs::write(&missing, "here").expect("a file can be written");
    wait_for_body(&server, "/waiting", "here").await;
    fs::write(&missing, "changed").expect("a file can be written");
    wait_for_body(&server, "/waiting", "changed").await;
    // A link in the place of the file, to another.
    fs::write(outside.path().join("other.txt"), "linked").expect("a file can be written");
    fs::remove_file(&missing).expect("a file can be removed");
    std::os::unix::fs::symlink("../other.txt", &missing).expect("a link can be made");
    wait_for_body(&server, "/waiting", "linked").await;
    fs::write(outside.path().join("other.txt"), "through the link").expect("it can be written");
    wait_for_body(&server, "/waiting", "through the link").await;
}

#[tokio::test]
async fn i11_2_a_build_script_that_names_nothing_reads_its_package_and_other_files_are_no_sources()
{
    let plan = with_package(project(), "scripted_build", "");
    let text = source("scripted_build", "").replace("\"\";", "env!(\"DATA\");");
    let script = "fn main() { println!(\"cargo::rustc-env=DATA={}\", std::fs::read_to_string(\"data.txt\").unwrap()); }";
    let named = script.replace(
        "println",
        "println!(\"cargo::rerun-if-changed=data.txt\"); println",
    );
    let server = plan
        .file("scripted_build/src/lib.rs", text)
        .file("scripted_build/build.rs", script)
        .file("scripted_build/data.txt", "one")
        .start()
        .await;
    wait_for_body(&server, "/scripted_build", "one").await;
    save(&server, "scripted_build/data.txt", "two");
    wait_for_body(&server, "/scripted_build", "two").await;
    // From now on it says what it reads.
    save(&server, "scripted_build/build.rs", named);
    save(&server, "scripted_build/data.txt", "three");
    wait_for_body(&server, "/scripted_build", "three").await;
    let builds = |server: &Server| {
        server
            .out()
            .all()
            .iter()
            .filter(|line| line.starts_with("building"))
            .count()
    };
    let quiet = async || {
        let before = builds(&server);
        tokio::time::sleep(Duration::from_secs(1)).await;
        builds(&server) == before
    };
    until("its builds have ended", BUILT, quiet).await;
    let before = builds(&server);
    save(&server, "scripted_build/README.md", "not read");
    tokio::time::sleep(IDLE).await;
    assert_eq!(builds(&server), before, "{:?}", server.out().all());
}

#[tokio::test]
async fn i11_5_a_save_ends_the_stale_build_with_all_that_it_started() {
    // The first build would take 100 s. `timeout` puts its program into a process group of its own.
    let command = "[ -e fast ] || timeout 100 sh -c 'echo $$ > pid; head -c 9 prebuilt.wasm > handlers/copy.wasm; sleep 100'; cp prebuilt.wasm $OUT";
    let plan = copying(command)
        .file(".gitignore", "fast\npid\n")
        .handler("copy.wasm", guest("version_two"));
    let dir = plan.dir().to_owned();
    let meanwhile = async {
        let pid = eventually("the build has begun", BUILT, async || {
            let half =
                fs::metadata(dir.join("handlers/copy.wasm")).is_ok_and(|file| file.len() == 9);
            let pid = fs::read_to_string(dir.join("pid")).ok()?;
            half.then(|| pid.trim().to_owned())
        })
        .await;
        fs::write(dir.join("fast"), "").expect("a file can be written");
        fs::write(dir.join("prebuilt.wasm"), version("saved")).expect("a file can be written");
        pid
    };
    let began = std::time::Instant::now();
    let (server, pid) = tokio::join!(plan.start(), meanwhile);
    wait_for_body(&server, "/version", "one").await;
    assert!(
        began.elapsed() < Duration::from_secs(90),
        "the stale build was ended"
    );
    let made = fs::read(server.handlers("copy.wasm")).expect("it is there");
    assert_eq!(made, version("saved"));
    let is_gone = async || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat"));
        state.map_or(true, |state| state.contains(") Z "))
    };
    until("what it started has ended", BUILT, is_gone).await;
}

#[tokio::test]
async fn i11_5_builds_of_other_handlers_go_on() {
    let slow = "echo begun >> begun.txt; while [ ! -e go ]; do sleep 0.05; done; cp slow.txt $OUT";
    let settings = format!("[dev.build]\n\"handlers/slow.wasm\" = {slow:?}\n");
    let plan = with_package(project(), "beside", "one")
        .file("hitchy.toml", settings)
        .file(".gitignore", "begun.txt\ngo\n")
        .file("slow.txt", guest("version_one"));
    let dir = plan.dir().to_owned();
    let meanwhile = async {
        until("the slow build has begun", BUILT, async || {
            dir.join("begun.txt").exists()
        })
        .await;
        // The package is another handler's.
        fs::write(dir.join("beside/src/lib.rs"), source("beside", "two"))
            .expect("it can be written");
        tokio::time::sleep(Duration::from_secs(1)).await;
        fs::write(dir.join("go"), "").expect("a file can be written");
    };
    let (server, ()) = tokio::join!(plan.start(), meanwhile);
    wait_for_body(&server, "/beside", "two").await;
    let begun = fs::read_to_string(server.dir().join("begun.txt")).expect("it is there");
    assert_eq!(
        begun, "begun\n",
        "the build of the other handler was not ended"
    );
}

#[tokio::test]
async fn i11_5_a_build_that_changes_its_sources_every_time_comes_to_an_end() {
    let command = "date +%N > stamp.txt; sleep 0.5; date +%N > stamp.txt; cp prebuilt.wasm $OUT";
    let server = copying(command).start().await;
    let warned = |_, line: &str| line.contains("stamp.txt").then_some(());
    server.log().wait("the warning", 0, BUILT, warned).await;
    let builds = || {
        server
            .out()
            .all()
            .iter()
            .filter(|line| *line == "building copy")
            .count()
    };
    let before = builds();
    save(&server, "prebuilt.wasm", guest("version_two"));
    wait_for_body(&server, "/version", "two").await;
    tokio::time::sleep(IDLE).await;
    assert_eq!(builds(), before + 1, "{:?}", server.out().all());
}

#[tokio::test]
async fn i11_3_a_package_that_a_link_leads_to_is_a_handler_and_loops_end() {
    let outside = tempfile::TempDir::with_prefix("hitchy-outside-").expect("a folder can be made");
    package(outside.path(), "linked_package", "one");
    let plan = project();
    for (target, link) in [
        (outside.path().join("linked_package"), "mine"),
        (plan.dir().to_owned(), "loop"),
        ("/".into(), "everything"),
    ] {
        std::os::unix::fs::symlink(target, plan.dir().join(link)).expect("a link can be made");
    }
    let server = plan.start().await;
    wait_for_body(&server, "/linked_package", "one").await;
    let library = outside.path().join("linked_package/src/lib.rs");
    fs::write(library, source("linked_package", "two")).expect("a file can be written");
    wait_for_body(&server, "/linked_package", "two").await;
}
