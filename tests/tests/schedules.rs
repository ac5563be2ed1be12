//! Schedules: handlers that run at times instead of for clients.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hitchy_tests::commands::{folder, hitchy, json_of, out};
use hitchy_tests::console::{find, page};
use hitchy_tests::covered::{Part, covers};
use hitchy_tests::guests::stamped;
use hitchy_tests::wait::{SOON, eventually, until};
use hitchy_tests::{Server, guest, official_client, scripted};
use serde_json::{Value, json};

/// Returns the runs of a schedule that the log shows, as the times at which they were due, in milliseconds since the
/// Unix epoch. Lines before index `from` are ignored.
fn runs(server: &Server, from: usize, schedule: &str) -> Vec<u64> {
    let words = format!(" ran {schedule} due ");
    let lines = server.log().all();
    let dues = lines.iter().skip(from).filter_map(|line| {
        let (_, due) = line.split_once(&words)?;
        let digits = due.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    dues.collect()
}

/// Waits until a schedule has run `count` times since the line `from` of the log, and returns when the runs were due.
async fn wait_for_runs(server: &Server, from: usize, schedule: &str, count: usize) -> Vec<u64> {
    let what = format!("{schedule} runs {count} times");
    eventually(&what, SOON * 2, async || {
        Some(runs(server, from, schedule)).filter(|runs| runs.len() >= count)
    })
    .await
}

/// Watches for two seconds and a half that a schedule of each second does not run.
async fn assert_rests(server: &Server, schedule: &str) {
    let from = server.log().len();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(runs(server, from, schedule), [0; 0], "{schedule} runs");
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("a time")
}

fn is_increasing(dues: &[u64]) -> bool {
    dues.is_sorted_by(|a, b| a < b)
}

#[tokio::test]
async fn d07_a_schedule_runs_once_at_each_of_its_times() {
    let began = now();
    let script = "name jobs\nschedule tick every 1s\nschedule night 0 3 * * * Europe/Berlin";
    let mut server = Server::prepare()
        .handler("jobs.wasm", scripted(script))
        .console()
        .start()
        .await;
    let dues = wait_for_runs(&server, 0, "tick", 3).await;
    assert!(is_increasing(&dues), "{dues:?}");
    assert!(
        dues.iter()
            .all(|due| due % 1_000 == 0 && *due > began && *due <= now()),
        "on the grid of seconds: {dues:?}"
    );
    let line = server.wait_for_log(&[" ran tick due "]).await;
    assert!(
        line.contains("jobs.wasm") && line.contains("call="),
        "{line}"
    );
    assert_eq!(runs(&server, 0, "night"), [0; 0]);
    covers("rust", &[Part::Schedule]);

    let calls = "hitchy_calls_total{handler=\"jobs.wasm\",kind=\"schedule\",outcome=\"ok\"}";
    let metrics = server.metrics().await;
    assert!(metrics.value(calls) >= 3.0);
    let next = "hitchy_schedule_next_timestamp_seconds{handler=\"jobs.wasm\",schedule=\"tick\"}";
    assert!(metrics.value(next) * 1_000.0 > began as f64);
    let late =
        "hitchy_schedule_skips_total{handler=\"jobs.wasm\",schedule=\"tick\",reason=\"running\"}";
    assert_eq!(metrics.value(late), 0.0);
    let list = page(&server, "/api/schedules").await;
    let night = find(&list["schedules"], "name", "night").expect("listed");
    assert_eq!(night["handler"], "jobs.wasm");
    assert_eq!(night["times"], "0 3 * * * Europe/Berlin");
    assert_eq!(night["running"], false);
    assert_eq!(
        night["skipped"],
        json!({ "running": 0, "late": 0, "refused": 0 })
    );
    let next = night["next"].as_str().expect("a time");
    assert!(next.ends_with(":00:00.000Z"), "{next}");
    let handlers = page(&server, "/api/handlers").await;
    let handler = find(&handlers["handlers"], "name", "jobs.wasm").expect("served");
    assert_eq!(
        handler["schedules"][0],
        json!({ "name": "tick", "times": "every 1s" })
    );
    server.assert_unharmed();
}

#[tokio::test]
async fn d07_reloads_neither_double_a_time_nor_lose_one() {
    let component = scripted("name jobs\nschedule tick every 1s");
    let server = Server::with("jobs.wasm", &component).await;
    wait_for_runs(&server, 0, "tick", 1).await;
    let began = now();
    let mut reload = 0;
    while now() < began + 4_000 {
        reload += 1;
        server.drop_in(
            "jobs.wasm",
            stamped(&component, &format!("reload {reload}")),
        );
        let generation = format!("generation {}", reload + 1);
        server
            .wait_for_log(&["jobs.wasm: reloaded", &generation])
            .await;
    }
    let dues = wait_for_runs(&server, 0, "tick", 5).await;
    let steps: Vec<u64> = dues.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(is_increasing(&dues), "{reload} reloads: {dues:?}");
    // On a machine that is busy for seconds a time may be skipped, which is then logged.
    let is_whole = steps.iter().all(|step| *step == 1_000);
    assert!(
        is_whole
            || server
                .log()
                .all()
                .iter()
                .any(|line| line.contains("is skipped")),
        "{reload} reloads: {dues:?}"
    );
}

#[tokio::test]
async fn d07_a_call_that_still_runs_lets_times_be_skipped_and_counted() {
    let script = "name jobs\nschedule slow every 1s\nrun sleep 3500";
    let server = Server::prepare()
        .handler("jobs.wasm", scripted(script))
        .console()
        .start()
        .await;
    server.wait_for_log(&["jobs slept in slow"]).await;
    let dues = wait_for_runs(&server, 0, "slow", 2).await;
    assert!(dues[1] >= dues[0] + 3_500, "one call at a time: {dues:?}");
    server
        .wait_for_log(&["schedule slow is skipped", "the call before still runs"])
        .await;
    let skipped =
        "hitchy_schedule_skips_total{handler=\"jobs.wasm\",schedule=\"slow\",reason=\"running\"}";
    assert!(server.metrics().await.value(skipped) >= 2.0);
    let lines = server.log().all();
    let told = lines.iter().filter(|line| line.contains("is skipped"));
    assert_eq!(told.count(), 1, "once a minute");
}

#[tokio::test]
async fn d07_nothing_runs_before_the_folder_has_been_read_nor_while_draining() {
    let began = now();
    let server = Server::prepare()
        .handler("a.wasm", scripted("name a\nschedule tick every 1s"))
        // The folder has not been read before this file has been described.
        .handler("b.wasm", scripted("name b\nroute GET /b\nsleep 1500"))
        .start()
        .await;
    let first = wait_for_runs(&server, 0, "tick", 1).await[0];
    assert!(first >= began + 1_500, "{first} is too early after {began}");
    server.wait_for_log(&["b.wasm: loaded"]).await;
    drop(server);

    let mut server = Server::prepare()
        .handler("tick.wasm", scripted("name t\nschedule tick every 1s"))
        .handler(
            "slow.wasm",
            scripted("name s\nschedule slow every 1s\nrun sleep 4000"),
        )
        .start()
        .await;
    wait_for_runs(&server, 0, "slow", 1).await;
    wait_for_runs(&server, 0, "tick", 1).await;
    server.terminate();
    // A tick may have begun before the signal was handled.
    let told = now();
    server.wait_for_log(&["s slept in slow"]).await;
    assert!(server.wait_for_end(SOON).await.success());
    let late = runs(&server, 0, "tick")
        .into_iter()
        .filter(|due| *due > told + 1_000);
    assert_eq!(
        late.count(),
        0,
        "none while draining, though a call still ran"
    );
    let lines = server.log().all();
    let about_refusals = lines.iter().filter(|line| line.contains("is missing"));
    assert_eq!(
        about_refusals.count(),
        0,
        "a server that shuts down has said so"
    );
    let slow = runs(&server, 0, "slow");
    assert_eq!(
        slow.len(),
        1,
        "the shutdown waits for the call and lets no other begin"
    );
}

#[tokio::test]
async fn d07_nothing_runs_while_a_required_handler_is_missing() {
    let server = Server::prepare()
        .handler("jobs.wasm", scripted("name jobs\nschedule tick every 1s"))
        .settings("[handlers]\nrequired = [\"auth\"]")
        .console()
        .start_at_once()
        .await;
    server
        .wait_for_log(&["schedule tick is skipped", "a required handler is missing"])
        .await;
    assert_eq!(runs(&server, 0, "tick"), [0; 0]);
    let skipped =
        "hitchy_schedule_skips_total{handler=\"jobs.wasm\",schedule=\"tick\",reason=\"refused\"}";
    assert!(server.metrics().await.value(skipped) >= 1.0);
    server.drop_in("auth.wasm", scripted("name auth\nbefore * /"));
    wait_for_runs(&server, 0, "tick", 2).await;
}

#[tokio::test]
async fn i12_5_a_schedule_emits_and_asks_this_server_without_a_client() {
    let server = Server::prepare()
        .handler(
            "jobs.wasm",
            scripted("name jobs\nschedule ask every 1s\nrun get /hello/jobs"),
        )
        .handler("probe.wasm", guest("probe"))
        .start()
        .await;
    server.wait_for_log(&["GET /hello/jobs gave 200"]).await;
    let Some(node) = official_client().await else {
        return;
    };
    server.drop_in(
        "jobs.wasm",
        scripted("name jobs\nschedule tell every 1s\nrun emit"),
    );
    let socket = node.connect(&server, "/").await;
    let ran = socket.wait_event("ran").await;
    assert_eq!(ran[0], "tell", "{ran}");
    assert!(ran[1].as_u64().is_some_and(|due| due % 1_000 == 0), "{ran}");
}

#[tokio::test]
async fn i12_5_a_trap_harms_only_that_run_and_does_not_fill_the_log() {
    let mut server = Server::prepare()
        .handler(
            "bad.wasm",
            scripted("name bad\nroute GET /bad\nschedule traps every 1s\nrun trap"),
        )
        .handler(
            "fails.wasm",
            scripted("name fails\nschedule fails every 1s\nrun fail"),
        )
        .handler("good.wasm", scripted("name good\nschedule works every 1s"))
        .console()
        .start()
        .await;
    wait_for_runs(&server, 0, "traps", 4).await;
    wait_for_runs(&server, 0, "works", 4).await;
    wait_for_runs(&server, 0, "fails", 4).await;
    assert_eq!(server.get("/bad").await.status, 200);
    let traps = "hitchy_calls_total{handler=\"bad.wasm\",kind=\"schedule\",outcome=\"trap\"}";
    until("four traps are counted", SOON, async || {
        server.metrics().await.value(traps) >= 4.0
    })
    .await;
    let lines = server.log().all();
    let about = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(about("schedule traps: "), 1, "{lines:#?}");
    assert_eq!(
        about("schedule fails: failed with 500: fails gave up"),
        1,
        "{lines:#?}"
    );
    let line = server.wait_for_log(&["ERROR", "schedule traps: "]).await;
    assert!(
        line.contains("bad.wasm") && line.contains("call="),
        "{line}"
    );
    let handlers = page(&server, "/api/handlers").await;
    let bad = find(&handlers["handlers"], "name", "bad.wasm").expect("served");
    assert_eq!(bad["lastFailure"]["what"], "schedule traps");
    server.assert_unharmed();
}

#[tokio::test]
async fn i12_5_a_file_that_is_removed_or_changed_ends_its_schedules_but_not_their_calls() {
    let script = "name one\nschedule tick every 1s\nrun sleep 2000";
    let server = Server::with("jobs.wasm", scripted(script)).await;
    wait_for_runs(&server, 0, "tick", 1).await;
    server.remove("jobs.wasm");
    server.wait_for_log(&["jobs.wasm: removed"]).await;
    server.wait_for_log(&["one slept in tick"]).await;
    assert_rests(&server, "tick").await;

    let other = "name two\nschedule tock every 1s";
    server.drop_in("jobs.wasm", scripted(script));
    wait_for_runs(&server, 0, "tick", 2).await;
    server.drop_in("jobs.wasm", scripted(other));
    let tock = server.log().len();
    wait_for_runs(&server, tock, "tock", 1).await;
    assert_rests(&server, "tick").await;
}

#[tokio::test]
async fn i12_5_the_operator_gives_other_times_or_switches_off() {
    let script = "name jobs\nschedule tick every 1s\nschedule report every 1h";
    let settings = |schedules: &str| format!("[handler.jobs]\nschedules = {schedules}\n");
    let server = Server::prepare()
        .handler("jobs.wasm", scripted(script))
        .settings(&settings(
            r#"{ tick = "off", report = "every 1s", tikc = "off" }"#,
        ))
        .console()
        .start()
        .await;
    server
        .wait_for_log(&["WARN", "jobs.wasm", "\"tikc\"", "did you mean tick?"])
        .await;
    wait_for_runs(&server, 0, "report", 2).await;
    assert_eq!(runs(&server, 0, "tick"), [0; 0]);
    let list = page(&server, "/api/schedules").await;
    let tick = find(&list["schedules"], "name", "tick").expect("listed");
    assert_eq!(
        (&tick["times"], &tick["next"]),
        (&json!("off"), &Value::Null)
    );

    let write = |text: &str| fs::write(server.dir().join("hitchy.toml"), text).expect("written");
    let from = server.log().len();
    write(&settings(r#"{ report = "off" }"#));
    server
        .wait_for_log_from(from, &["settings changed", "handler.jobs.schedules"])
        .await;
    server
        .wait_for_log_from(from, &["jobs.wasm: reloaded"])
        .await;
    let from = server.log().len();
    wait_for_runs(&server, from, "tick", 2).await;
    assert_rests(&server, "report").await;

    let from = server.log().len();
    write(&settings(r#"{ tick = "0 25 * * *" }"#));
    let refused = server
        .wait_for_log_from(from, &["hitchy.toml", "handler.jobs.schedules.tick"])
        .await;
    for words in ["the hour", "25", "0 9-17 * * *", "still serving"] {
        assert!(refused.contains(words), "{refused}");
    }
    let from = server.log().len();
    wait_for_runs(&server, from, "tick", 1).await;
}

#[tokio::test]
async fn i12_5_a_sidecar_sets_schedules_too() {
    let server = Server::prepare()
        .handler("jobs.wasm", scripted("name jobs\nschedule tick every 1s"))
        .handler("jobs.toml", "schedules = { tick = \"off\" }")
        .start()
        .await;
    assert_rests(&server, "tick").await;
    server.drop_in("jobs.toml", "[schedules]\ntick = \"*/1 * * * * *\"");
    wait_for_runs(&server, 0, "tick", 1).await;
}

#[tokio::test]
async fn i12_5_a_spec_that_cannot_be_read_refuses_the_file() {
    let mut server = Server::prepare().start().await;
    for (file, script, words) in [
        (
            "hour.wasm",
            "schedule night 0 25 * * *",
            &["night", "the hour", "\"25\"", "0 9-17 * * *"][..],
        ),
        ("word.wasm", "schedule tick evry 5s", &["tick", "every 5s"]),
        (
            "short.wasm",
            "schedule tick every 10ms",
            &["tick", "10ms", "1s"],
        ),
        (
            "zone.wasm",
            "schedule night 0 3 * * * Europe/Berlim",
            &["night", "Europe/Berlim"],
        ),
        (
            "never.wasm",
            "schedule night 0 3 30 2 *",
            &["night", "never run"],
        ),
        (
            "name.wasm",
            "schedule {{closure}} every 5s",
            &["{{closure}}", "cleanup"],
        ),
        (
            "twice.wasm",
            "schedule a every 5s\nschedule a every 6s",
            &["two schedules", "\"a\""],
        ),
        (
            "long.wasm",
            "long 2000 schedule a every ",
            &["spec of a schedule", "1024"],
        ),
        (
            "many.wasm",
            "repeat 257 schedule a every 1s",
            &["more than 256 schedules"],
        ),
    ] {
        server.drop_in(file, scripted(script));
        let refused = server.wait_for_log(&["ERROR", file, "refused"]).await;
        for word in words {
            assert!(refused.contains(word), "{word:?} in {refused}");
        }
    }
    server.assert_unharmed();
}

#[test]
fn i12_5_commands_show_schedules() {
    let folder = folder();
    fs::create_dir(folder.path().join("handlers")).expect("made");
    let file = folder.path().join("handlers/jobs.wasm");
    fs::write(
        &file,
        scripted("schedule night 0 3 * * * Europe/Berlin\nschedule tick every 5s"),
    )
    .expect("written");
    fs::write(
        folder.path().join("hitchy.toml"),
        "[handler.jobs]\nschedules = { tick = \"off\", nigt = \"off\" }\n",
    )
    .expect("written");
    let routes = hitchy(folder.path(), &["routes"]);
    let text = out(&routes);
    for words in [
        "schedules",
        "night",
        "0 3 * * * Europe/Berlin",
        "tick",
        "off",
        "jobs.wasm",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let json = json_of(&hitchy(folder.path(), &["routes", "--output", "json"]));
    assert_eq!(
        json["schedules"][0],
        json!({ "name": "night", "times": "0 3 * * * Europe/Berlin", "handler": "jobs.wasm" })
    );
    let inspected = json_of(&hitchy(
        folder.path(),
        &["inspect", "handlers/jobs.wasm", "--output", "json"],
    ));
    assert_eq!(
        inspected["schedules"][1],
        json!({ "name": "tick", "times": "off" })
    );
    let text = out(&hitchy(folder.path(), &["inspect", "handlers/jobs.wasm"]));
    for words in [
        "schedule night (0 3 * * * Europe/Berlin)",
        "did you mean night?",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}
