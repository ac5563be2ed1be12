//! Which files are handlers in JavaScript, and how they are replaced.

use hitchy_tests::Server;

#[tokio::test]
async fn i14_1_names_decide_which_files_are_handlers() {
    let route = |path: &str| format!("app.get('{path}', () => 'here');");
    let server = Server::prepare()
        .handler("a.js", route("/a"))
        .handler("b.mjs", route("/b"))
        .handler("c.test.js", route("/c"))
        .handler("_d.js", route("/d"))
        .handler("_lib/e.js", route("/e"))
        .handler("node_modules/f/f.js", route("/f"))
        .handler("deep/g.js", route("/g"))
        .start()
        .await;
    for (path, status) in [
        ("/a", 200),
        ("/b", 200),
        ("/c", 404),
        ("/d", 404),
        ("/e", 404),
        ("/f", 404),
        ("/g", 200),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn i14_1_two_files_of_one_name_are_refused_until_one_goes() {
    let server = Server::with("chat.mjs", "app.get('/v', () => 'mjs');").await;
    server.drop_in("chat.js", "app.get('/v', () => 'js');");
    let words = [
        "chat.js",
        "chat.mjs is the handler chat already",
        "remove one",
    ];
    server.wait_for_log(&words).await;
    assert_eq!(server.get("/v").await.text(), "mjs");
    server.remove("chat.mjs");
    server.wait_for_body("/v", "js").await;
}

#[tokio::test]
async fn i14_1_saving_a_script_replaces_it() {
    let server = Server::with("v.js", "app.get('/v', () => 'one');").await;
    for version in ["two", "three"] {
        server.drop_in("v.js", format!("app.get('/v', () => '{version}');"));
        server.wait_for_body("/v", version).await;
    }
    server
        .wait_for_log(&["v.js: reloaded", "generation 3"])
        .await;
}

#[tokio::test]
async fn d01_what_a_script_leaves_in_memory_is_gone_with_the_call() {
    let server = Server::with("v.js", "let n = 0; app.get('/v', () => `${++n}`);").await;
    for _ in 0..3 {
        assert_eq!(server.get("/v").await.text(), "1");
    }
}
