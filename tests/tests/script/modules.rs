//! Files that a script imports: found in the handlers folder only, and followed like the script itself.

use hitchy_tests::Server;
use serde_json::json;

const MAIN: &str = r#"
import greeting, { name } from "./_lib/names.js";
import { twice } from "./_lib/deep/math.mjs";
import settings from "./data.json" with { type: "json" };
import plain from "./data.json";

const { late } = await import("./late.js");

app.get("/v", () => ({ greeting, name, twice: twice(4), late, settings, same: plain.list.length }));
app.get("/dynamic", async () => (await import("./_lib/lazy.js")).loaded);
app.get("/unknown", async ({ query }) => (await import(query.file)).loaded);
"#;

/// Starts a server with a script that imports in all ways.
async fn serve() -> Server {
    Server::prepare()
        .handler("v.js", MAIN)
        .handler("_lib/names.js", "import { base } from '../base.js'; export default 'hi'; export const name = base + '!';")
        .handler("base.js", "export const base = 'Ada';")
        .handler("_lib/deep/math.mjs", "import { one } from './circle.js'; export const two = () => 2; export const twice = n => n * one() * 2;")
        .handler("_lib/deep/circle.js", "import { two } from './math.mjs'; export const one = () => two() / 2;")
        .handler("_lib/lazy.js", "export const loaded = 'lazy';")
        .handler("late.js", "await undefined; export const late = 'late';")
        .handler("data.json", r#"{ "list": [1, 2], "__proto__": { "x": 1 } }"#)
        .start()
        .await
}

#[tokio::test]
async fn i14_5_scripts_json_circles_and_dynamic_imports() {
    let server = serve().await;
    let wanted = json!({
        "greeting": "hi", "name": "Ada!", "twice": 8, "late": "late",
        "settings": { "list": [1, 2], "__proto__": { "x": 1 } }, "same": 2,
    });
    assert_eq!(server.get("/v").await.json(), wanted);
    assert_eq!(server.get("/dynamic").await.text(), "lazy");
    assert_eq!(server.get("/unknown?file=./nowhere.js").await.status, 500);
    server.wait_for_log(&["v.js", "names literally"]).await;
    // What declares nothing and is imported is not refused.
    let all = server.log().all();
    assert!(
        !all.iter().any(|line| line.contains("declares nothing")),
        "{all:?}"
    );
}

#[tokio::test]
async fn i14_5_saving_an_imported_file_reloads_who_imports_it() {
    let server = serve().await;
    server.drop_in("base.js", "export const base = 'Bob';");
    server
        .wait_for_log(&["v.js: reloaded", "generation 2"])
        .await;
    assert_eq!(server.get("/v").await.json()["name"], "Bob!");
    server.drop_in("data.json", r#"{ "list": [1, 2, 3] }"#);
    server
        .wait_for_log(&["v.js: reloaded", "generation 3"])
        .await;
    assert_eq!(server.get("/v").await.json()["same"], 3);
    // A broken file refuses its importer, and a good one brings it back.
    server.drop_in("base.js", "export const base = ;");
    server
        .wait_for_log(&["v.js", "base.js:1:", "still serving generation 3"])
        .await;
    assert_eq!(server.get("/v").await.json()["name"], "Bob!");
    server.drop_in("base.js", "export const base = 'Eve';");
    server
        .wait_for_log(&["v.js: reloaded", "generation 4"])
        .await;
    assert_eq!(server.get("/v").await.json()["name"], "Eve!");
}

#[tokio::test]
async fn i14_5_a_missing_file_is_named_with_its_importer_and_comes_later() {
    let server = Server::with(
        "v.js",
        "import { a } from './_b.js';\napp.get('/v', () => a);",
    )
    .await;
    server
        .wait_for_log(&[
            "v.js: ",
            "v.js:1: cannot import \"./_b.js\"",
            "there is no file _b.js",
            "save it there",
        ])
        .await;
    assert_eq!(server.get("/v").await.status, 404);
    server.drop_in("_b.js", "export const a = 'here';");
    server.wait_for_body("/v", "here").await;
}

/// Saves a script beside `_lib.js` and `data.json`, and waits for the sentence of its refusal.
async fn refused(script: &str, words: &[&str]) {
    let server = Server::prepare()
        .handler(
            "_lib.js",
            "export const first = 1, second = 2;\nexport { first as third };\n// export nothing\n",
        )
        .handler("_bad.json", "{ \"a\": }")
        .handler(
            "_large.js",
            format!("export const a = 1; //{}", "x".repeat(1 << 20)),
        )
        .handler("_text.txt", "text")
        .start()
        .await;
    server.drop_in("v.js", format!("app.get('/v', () => 1);\n{script}"));
    server.wait_for_log(&[&["v.js: "], words].concat()).await;
}

#[tokio::test]
async fn i14_5_what_cannot_be_imported_names_importer_line_and_candidate() {
    refused(
        "import { a } from './_lob.js';",
        &["v.js:2:", "\"./_lob.js\"", "did you mean _lib.js?"],
    )
    .await;
    refused(
        "import { a } from './_lib';",
        &["v.js:2:", "did you mean _lib.js?"],
    )
    .await;
    refused(
        "\nimport { thrid } from './_lib.js';",
        &["v.js:3:", "_lib.js exports no thrid", "did you mean third?"],
    )
    .await;
    refused(
        "import a from './_lib.js';",
        &["v.js:2:", "_lib.js exports no default"],
    )
    .await;
    refused(
        "import a from '../secret.js';",
        &["v.js:2:", "outside of the handlers folder"],
    )
    .await;
    refused(
        "import a from 'lodash';",
        &[
            "v.js:2:",
            "\"lodash\"",
            "no bundle",
            "esbuild",
            "hitchy build",
        ],
    )
    .await;
    refused("import a from 'node:fs';", &["v.js:2:", "\"node:fs\""]).await;
    refused(
        "import a from './_bad.json';",
        &["v.js:2:", "not JSON", "line 1 column"],
    )
    .await;
    refused(
        "import { a } from './_large.js';",
        &["v.js:2:", "a script may have 1048576"],
    )
    .await;
    refused(
        "import a from './_text.txt';",
        &["v.js:2:", "only .js, .mjs, .ts, .mts and .json"],
    )
    .await;
    refused(
        "await import(`./${'_l'}ob.js`);",
        &["cannot import \"./_lob.js\"", "did you mean _lib.js?"],
    )
    .await;
}

#[tokio::test]
async fn i14_5_a_link_out_of_the_folder_is_not_followed() {
    let outside = tempfile::NamedTempFile::with_suffix(".js").expect("a temporary file");
    std::fs::write(outside.path(), "export const a = 'secret';").expect("it can be written");
    let server = Server::with("v.js", "app.get('/v', () => 'one');").await;
    let link = server.handlers("_link.js");
    std::os::unix::fs::symlink(outside.path(), link).expect("a link can be made");
    server.drop_in(
        "v.js",
        "import { a } from './_link.js'; app.get('/v', () => a);",
    );
    server
        .wait_for_log(&["v.js:1:", "outside of the handlers folder"])
        .await;
    assert_eq!(server.get("/v").await.text(), "one");
}

#[tokio::test]
async fn i14_5_a_script_and_its_modules_have_a_bound_together() {
    let mut plan = Server::prepare();
    let mut script = "app.get('/v', () => 1);\n".to_owned();
    for number in 0..5 {
        plan = plan.handler(
            &format!("_{number}.js"),
            format!("export default 1; //{}", "x".repeat(900 << 10)),
        );
        script += &format!("import './_{number}.js';\n");
    }
    let server = plan.handler("v.js", script).start().await;
    server
        .wait_for_log(&["v.js: ", "more than 4194304 bytes together"])
        .await;
}
