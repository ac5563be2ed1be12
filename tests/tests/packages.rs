//! Scripts that import packages of npm: bundled by `hitchy dev` and `hitchy build` with the real esbuild, and served
//! from their bundles without it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hitchy_tests::commands::{err, hitchy, json_of, out};
use hitchy_tests::server::{Ended, Plan};
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, official_client, sources};

/// An app of hono, with a file of its own.
const SHOP: &str = r#"
import { Hono } from "hono";
import { price } from "./lib/price.js";

const shop = new Hono().basePath("/shop");
shop.get("/tea", context => context.json({ price: price(2) }));
export default shop;
"#;
const PRICE: &str = "export const price = count => count * 3;\n";
/// The settings of all servers here: the folder is read often, so that a test does not wait for it.
const SETTINGS: &str = "[handlers]\nrescan = \"100ms\"\n";

/// Returns the plan of a command on a project in which esbuild and hono are installed, or `None` if they are not
/// installed here. No other program is found.
async fn project(command: &'static str) -> Option<Plan> {
    drop(official_client().await?);
    let plan = bare(command).file("package.json", "{}");
    install(plan.dir());
    Some(plan)
}

/// Returns the plan of a command on a project without packages. No other program is found.
fn bare(command: &'static str) -> Plan {
    let plan = Server::prepare().command(command);
    let programs = plan.dir().join("no-programs");
    let programs = programs
        .to_str()
        .expect("temporary paths are UTF-8")
        .to_owned();
    plan.env("PATH", &programs).settings(SETTINGS)
}

/// The packages of the tests' client take the place of those that npm would have installed.
fn install(dir: &Path) {
    let packages = sources().join("client/node_modules");
    symlink(packages, dir.join("node_modules")).expect("linked");
}

fn with_shop(plan: Plan) -> Plan {
    plan.handler("shop.js", SHOP).handler("lib/price.js", PRICE)
}

async fn wait_for(server: &Server, target: &str, answer: &str) {
    let what = format!("GET {target} answers {answer}");
    let answers = async || server.get(target).await.text() == answer;
    until(&what, SOON * 3, answers).await;
}

/// Runs `hitchy build` on the folder of a plan.
async fn build(plan: Plan) -> (Plan, Ended) {
    let plan = plan.command("build");
    let ended = plan.run().await;
    (plan, ended)
}

#[tokio::test]
async fn i14_5_under_dev_a_save_bundles_again_and_an_error_leaves_the_old_version() {
    let Some(plan) = project("dev").await else {
        return;
    };
    let server = with_shop(plan).start().await;
    wait_for(&server, "/shop/tea", r#"{"price":6}"#).await;
    server.drop_in("shop.js", SHOP.replace("price(2)", "price(5)"));
    wait_for(&server, "/shop/tea", r#"{"price":15}"#).await;
    server.drop_in("lib/price.js", PRICE.replace('3', "4"));
    wait_for(&server, "/shop/tea", r#"{"price":20}"#).await;

    server.drop_in("lib/price.js", "export const price = ;\n");
    let words = [
        "shop.js: refused: bundling it failed: handlers/lib/price.js:1:21: Unexpected \";\"",
        "still serving generation 3",
    ];
    server.wait_for_log(&words).await;
    // What esbuild itself prints is there too.
    server.wait_for_log(&["1 │ export const price = ;"]).await;
    wait_for(&server, "/shop/tea", r#"{"price":20}"#).await;

    server.drop_in(
        "lib/price.js",
        "import nope from 'nope'; export const price = nope;",
    );
    server
        .wait_for_log(&[
            "refused",
            "handlers/lib/price.js:1:17: Could not resolve \"nope\"",
            "npm install nope",
        ])
        .await;
    server.drop_in("lib/price.js", PRICE);
    wait_for(&server, "/shop/tea", r#"{"price":15}"#).await;
}

#[tokio::test]
async fn i14_5_what_was_built_is_served_without_packages_and_a_stale_bundle_is_not() {
    let Some(plan) = project("build").await else {
        return;
    };
    let (plan, ended) = build(with_shop(plan)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.out.contains("bundled shop.js in "), "{}", ended.out);
    let (plan, again) = build(plan).await;
    assert!(again.out.contains("unchanged)"), "{}", again.out);

    fs::remove_file(plan.dir().join("node_modules")).expect("removed");
    fs::remove_file(plan.dir().join("package.json")).expect("removed");
    let server = plan.command("serve").start().await;
    wait_for(&server, "/shop/tea", r#"{"price":6}"#).await;
    let routes = hitchy(server.dir(), &["routes", "--output", "json"]);
    assert_eq!(
        json_of(&routes)["routes"][0]["handler"],
        "shop.js",
        "{routes:?}"
    );
    let inspected = hitchy(server.dir(), &["inspect", "handlers/shop.js"]);
    assert!(out(&inspected).contains("/shop"), "{inspected:?}");

    let stale = "shop.js:2: cannot import \"hono\": the bundle with its packages was made of another lib/price.js; make it again with \
                 hitchy build";
    server.drop_in("lib/price.js", PRICE.replace('3', "4"));
    server
        .wait_for_log(&["shop.js: refused", stale, "still serving generation 1"])
        .await;
    wait_for(&server, "/shop/tea", r#"{"price":6}"#).await;
    let routes = hitchy(server.dir(), &["routes"]);
    assert_eq!(routes.status.code(), Some(1));
    assert!(
        err(&routes).contains("made of another lib/price.js"),
        "{routes:?}"
    );

    server.drop_in("lib/price.js", PRICE);
    server.wait_for_log(&["shop.js", "generation 2"]).await;
    server.drop_in("shop.js", format!("{SHOP}\n"));
    server.wait_for_log(&["made of another shop.js"]).await;
    // Whoever builds beside a running server puts the bundle there.
    fs::write(server.dir().join("package.json"), "{}").expect("written");
    install(server.dir());
    let built = hitchy(server.dir(), &["build"]);
    assert!(built.status.success(), "{built:?}");
    server.wait_for_log(&["shop.js", "generation 3"]).await;
}

#[tokio::test]
async fn i14_5_without_package_json_or_esbuild_the_sentence_says_how() {
    if official_client().await.is_none() {
        return;
    }
    let server = with_shop(bare("dev")).start().await;
    let dir = server.dir().canonicalize().expect("it is there");
    let project = format!(
        "none beside the script or above it up to {};",
        dir.display()
    );
    let how = "npm init -y && npm install hono && npm install --save-dev esbuild";
    server
        .wait_for_log(&[
            "shop.js: refused: shop.js:2: cannot import \"hono\"",
            &project,
            how,
        ])
        .await;
    fs::write(server.dir().join("package.json"), "{}").expect("written");
    server
        .wait_for_log(&[
            "neither in",
            "nor in PATH",
            "npm install --save-dev esbuild",
        ])
        .await;
    install(server.dir());
    wait_for(&server, "/shop/tea", r#"{"price":6}"#).await;

    let (plan, ended) = build(with_shop(bare("build"))).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("shop.js: not bundled"), "{}", ended.log);
    assert!(ended.log.contains(how), "{}", ended.log);
    let server = plan.command("serve").start().await;
    server
        .wait_for_log(&[
            "shop.js: refused",
            "it has no bundle",
            "hitchy build for hitchy serve",
        ])
        .await;
}

#[tokio::test]
async fn i14_5_typescript_is_bundled_and_errors_name_the_places_that_were_written() {
    let Some(plan) = project("dev").await else {
        return;
    };
    let script = r#"
import { Hono, type Context } from "hono";
import { fail } from "./_lib/fail";

enum Currency { Euro = "EUR" }
interface Item { name: string; price: number }

const shop = new Hono().basePath("/api/shop");
shop.onError(error => { throw error });
shop.get("/tea", (context: Context) => {
    const item: Item = { name: "tea", price: 2 };
    return context.json({ ...item, currency: Currency.Euro });
});
shop.get("/fails", (context: Context): Response => {
    const asked: string | undefined = context.req.query("x"); fail(asked!);
    return context.text("");
});
export default shop;
"#;
    let lib = "export interface Unused { x: string }\n\nexport function fail(text: string): never {\n    const many: string = `${text}!`;\n    \
               throw new TypeError(many);\n}\n";
    let server = plan
        .handler("api/shop.ts", script)
        .handler("api/_lib/fail.ts", lib)
        .start()
        .await;
    wait_for(
        &server,
        "/api/shop/tea",
        r#"{"name":"tea","price":2,"currency":"EUR"}"#,
    )
    .await;
    let failed = server.get("/api/shop/fails?x=oh").await;
    assert_eq!(failed.status, 500);
    let detail = failed.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(detail.starts_with("api/_lib/fail.ts:5:"), "{detail}");
    assert!(
        detail.contains("TypeError: oh!; the line is `throw new TypeError("),
        "{detail}"
    );
    assert!(detail.contains(" < api/shop.ts:15:"), "{detail}");
    assert!(detail.contains("node_modules/hono/dist/"), "{detail}");
    server.wait_for_log(&["api/_lib/fail.ts:5:"]).await;

    // Errors while it is loaded have the places too, and so has a wrong import of the API.
    server.drop_in(
        "api/_lib/fail.ts",
        "\n\nnull.x;\nexport const fail = (text: string) => text;\n",
    );
    server
        .wait_for_log(&["api/shop.ts: refused: api/_lib/fail.ts:3:", "TypeError"])
        .await;
    server.drop_in(
        "api/_lib/fail.ts",
        "\nimport { nothing } from \"hitchy\";\nexport const fail = nothing;\n",
    );
    server
        .wait_for_log(&["api/_lib/fail.ts:2: hitchy exports no nothing"])
        .await;
}

#[tokio::test]
async fn i14_5_scripts_without_packages_start_no_esbuild() {
    let plan = bare("dev")
        .file("package.json", "{}")
        .file("node_modules/.bin/esbuild", "#!/bin/sh\necho started >&2\nexit 3\n")
        .handler("plain.js", "// import x from 'x';\nimport { app } from 'hitchy';\nimport { y } from './_y.js';\napp.get('/plain', () => y);")
        .handler("_y.js", "/* Not: import y from 'y' */\nexport const y = 'y';")
        .handler("typed.ts", "import type { X } from 'x';\nimport { type Z } from 'z';\napp.get('/typed', () => 1 as X & Z);");
    let esbuild = plan.dir().join("node_modules/.bin/esbuild");
    fs::set_permissions(esbuild, fs::Permissions::from_mode(0o755)).expect("allowed");
    let server = plan.start().await;
    wait_for(&server, "/plain", "y").await;
    wait_for(&server, "/typed", "1").await;
    assert!(!server.handlers(".bundles").exists());
    let log = server.log().all();
    assert!(!log.iter().any(|line| line.contains("started")), "{log:?}");
    // The first that needs it is told what it says.
    server.drop_in("late.js", "import x from 'x'; app.get('/late', () => x);");
    server
        .wait_for_log(&[
            "late.js: refused: bundling it failed",
            "esbuild ended with exit status: 3",
        ])
        .await;
    let log = server.log().all();
    assert!(log.iter().any(|line| line == "started"), "{log:?}");
}

#[tokio::test]
async fn i14_5_what_a_package_may_need_and_what_it_may_not() {
    let Some(plan) = project("build").await else {
        return;
    };
    // Packages beside the handlers, so that those of the tests' client stay as they are.
    let big = format!("export const big = \"{}\";", "x".repeat(1 << 20));
    // Bundles are indented as deeply as their blocks lie.
    let lines = "globalThis.never();".repeat(20_000);
    let (open, close) = ("if (globalThis.never) {".repeat(20), "}".repeat(20));
    let spacious = format!("export const small = 1; {open} {lines} {close}");
    let plan = plan
        .handler("package.json", "{}")
        .handler("node_modules/noded/index.js", "export const exists = require('fs').existsSync;")
        .handler("node_modules/big/index.js", big)
        .handler("node_modules/spacious/index.js", spacious)
        .handler("node_modules/forms/package.json", r#"{ "exports": { "node": "./node.js", "browser": "./browser.js", "default": "./node.js" } }"#)
        .handler("node_modules/forms/node.js", "import fs from 'fs'; export const form = fs;")
        .handler("node_modules/forms/browser.js", "export const form = process.env.NODE_ENV;")
        .handler("node_modules/common/index.js", "exports.named = 'common'; exports.other = 1;")
        .handler("big.js", "import { big } from 'big'; app.get('/big', () => big);")
        .handler("express.js", "import express from 'express'; app.get('/express', () => 1);")
        .handler("noded.js", "import { exists } from 'noded'; app.get('/noded', () => exists('/'));")
        .handler("spacious.js", "import { small } from 'spacious'; app.get('/spacious', () => small);")
        .handler("a=b 'c' \"ü\".js", "import { form } from 'forms'; import { named } from 'common'; app.get('/odd', () => form + named);");
    let (plan, ended) = build(plan).await;
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(
        ended.log.contains("3 handlers were not built"),
        "{}",
        ended.log
    );
    let refused = |name: &str, words: &[&str]| {
        let line = ended
            .log
            .lines()
            .find(|line| line.contains(&format!("{name}: not bundled")));
        let line = line.unwrap_or_else(|| panic!("{name} in {}", ended.log));
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
    };
    refused(
        "big.js",
        &["its bundle has 1048", "a script may have 1048576"],
    );
    refused("express.js", &["\"express\": the server is here already"]);
    refused(
        "noded.js",
        &[
            "node_modules/noded/index.js:1:30: Could not resolve \"fs\"",
            "the modules of Node are not here",
        ],
    );
    let server = plan.command("serve").start().await;
    wait_for(&server, "/odd", "productioncommon").await;
    wait_for(&server, "/spacious", "1").await;
}

#[tokio::test]
async fn i14_5_bundles_stay_in_the_folder_and_go_with_their_scripts() {
    let Some(plan) = project("build").await else {
        return;
    };
    let (plan, _) = build(with_shop(plan)).await;
    let bundle = plan.dir().join("handlers/.bundles/shop.js");
    assert!(bundle.exists());
    fs::write(
        plan.dir().join("handlers/shop.js"),
        "app.get('/shop/tea', () => 'plain');",
    )
    .expect("written");
    // The old bundle is not that of the script as it is.
    let server = Server::prepare().command("serve");
    let copied = server
        .handler("shop.js", "app.get('/shop/tea', () => 'plain');")
        .file(
            "handlers/.bundles/shop.js",
            fs::read(&bundle).expect("there"),
        );
    let server = copied.start().await;
    wait_for(&server, "/shop/tea", "plain").await;
    let (plan, ended) = build(plan).await;
    assert!(
        ended.out.contains("removed the bundle of shop.js"),
        "{}",
        ended.out
    );
    assert!(!bundle.exists());

    let folder = plan.dir().join("handlers/.bundles");
    fs::remove_dir_all(&folder).expect("removed");
    fs::create_dir(plan.dir().join("elsewhere")).expect("made");
    symlink("../elsewhere", folder).expect("linked");
    let (plan, ended) = build(with_shop(plan)).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.log.contains("its folder is a link to elsewhere"),
        "{}",
        ended.log
    );
    assert_eq!(
        fs::read_dir(plan.dir().join("elsewhere"))
            .expect("there")
            .count(),
        0
    );
    assert!(!ended.out.contains("bundled"), "{}", ended.out);
}
