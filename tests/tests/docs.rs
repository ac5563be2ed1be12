//! Runs the README and `docs/`: every code block belongs to a story, and each story is run here as a reader would run
//! it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use hitchy_tests::docs::{Story, complaints, root};
use hitchy_tests::guests::{changed_example, example};
use hitchy_tests::http::ask;
use hitchy_tests::nodes::wait_for_members;
use hitchy_tests::redis::redis_with;
use hitchy_tests::shell::{Running, Shell, TO_BUILD};
use hitchy_tests::wait::{SOON, eventually};
use hitchy_tests::{Server, official_client, target_dir, toolchains};
use serde_json::json;
use tempfile::TempDir;

/// The stories that the tests of this file run, each after its document.
const STORIES: &[(&str, &str)] = &[
    ("README.md", "try"),
    ("README.md", "mine"),
    ("README.md", "script"),
    ("README.md", "settings"),
    ("README.md", "tests"),
    ("docs/conformance.md", "tests"),
    ("docs/folder.md", "folder"),
    ("docs/handlers.md", "dev"),
    ("docs/handlers.md", "schedules"),
    ("docs/handlers.md", "settings"),
    ("docs/javascript.md", "bundle"),
    ("docs/javascript.md", "chat"),
    ("docs/javascript.md", "shop"),
    ("docs/languages.md", "cgi"),
    ("docs/keyvalue.md", "keyvalue"),
    ("docs/handlers.md", "outgoing"),
    ("docs/operating.md", "console"),
    ("docs/operating.md", "kept"),
    ("docs/operating.md", "outgoing"),
    ("docs/operating.md", "nodes"),
    ("docs/operating.md", "proxy"),
    ("docs/python.md", "python"),
    ("docs/settings.md", "settings"),
    ("docs/sockets.md", "request"),
];

#[test]
fn every_code_block_is_run_by_a_test() {
    let complaints = complaints(STORIES);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn the_first_handler_in_javascript_answers_through_every_door() {
    let Some(node) = official_client().await else {
        return;
    };
    let mut story = Story::of("docs/javascript.md", "chat");
    let server = Server::with("chat.js", story.file("handlers/chat.js")).await;
    let hello = server.get("/api/hello/Ada").await;
    assert_eq!(hello.json(), json!({ "hello": "Ada" }));
    let socket = node.connect(&server, "/").await;
    let refused = socket.ask("message", json!(["hi"])).await;
    assert_eq!(refused[0]["error"]["code"], json!(409), "{refused}");
    socket.ask("join", json!(["tea"])).await;
    assert_eq!(socket.ask("message", json!(["hi"])).await, json!(["sent"]));
    assert_eq!(socket.wait_event("message").await, json!(["hi"]));
    assert_eq!(server.get("/api/messages").await.json(), json!(["hi"]));
}

#[tokio::test]
async fn the_handler_in_typescript_answers() {
    let mut story = Story::of("docs/javascript.md", "shop");
    let server = Server::with("shop.ts", story.file("handlers/shop.ts")).await;
    assert_eq!(server.get("/api/total").await.text(), "2 EUR");
}

#[tokio::test]
async fn i14_5_an_app_of_hono_is_bundled_and_runs_unchanged() {
    if official_client().await.is_none() {
        return;
    }
    let mut story = Story::of("docs/javascript.md", "bundle");
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    // The packages of the tests' client take the place of those that npm would have installed here.
    let install = "npm init -y\nnpm install hono\nnpm install --save-dev esbuild\n";
    assert_eq!(story.next("sh"), install);
    fs::write(at("package.json"), "{}").expect("saved");
    let packages = root().join("tests/client/node_modules");
    symlink(&packages, at("node_modules")).expect("linked");
    fs::create_dir_all(at("handlers")).expect("a folder");
    let app = story.file("handlers/shop.js");
    fs::write(at("handlers/shop.js"), &app).expect("saved");
    let shell = Shell::new(folder.path(), &target_dir());
    let mut dev = shell.starts("hitchy dev");
    sells(dev.is_ready().await).await;
    drop(dev);

    let commands = story.next("sh");
    let serve = commands.strip_prefix("hitchy build\n");
    shell.types("hitchy build").await;
    fs::remove_file(at("node_modules")).expect("removed");
    let mut server = shell.starts(serve.expect("what was built is served"));
    sells(server.is_ready().await).await;
    drop(server);

    symlink(&packages, at("node_modules")).expect("linked");
    fs::create_dir_all(at("src")).expect("a folder");
    fs::rename(at("handlers/shop.js"), at("src/shop.js")).expect("moved");
    fs::write(at("hitchy.toml"), story.file("hitchy.toml")).expect("saved");
    let path = format!("export PATH={}/.bin:$PATH\n", packages.display());
    let mut dev = shell.starts(&(path + "hitchy dev"));
    sells(dev.is_ready().await).await;
}

/// Asks the app of the guide.
async fn sells(server: SocketAddr) {
    let item = ask(server, "GET", "/shop/items/7", &[], b"").await;
    assert_eq!(item.json(), json!({ "id": "7" }));
    let head = [("content-type", "application/json")];
    let made = ask(server, "POST", "/shop/items", &head, br#"{"name":"tea"}"#).await;
    assert_eq!((made.status, made.json()), (201, json!({ "name": "tea" })));
    assert_eq!(ask(server, "GET", "/shop/no", &[], b"").await.status, 404);
}

fn folder() -> TempDir {
    TempDir::with_prefix("hitchy-docs-").expect("a temporary folder can be made")
}

#[tokio::test]
async fn the_readmes_first_two_commands_open_a_chat() {
    let mut story = Story::of("README.md", "try");
    let block = story.next("sh");
    // The repository of this test takes the place of the clone.
    let commands = block
        .strip_prefix("git clone <this repository> hitchy && cd hitchy\n")
        .expect("the first command clones");
    let mut dev = Shell::new(&root(), &target_dir()).starts(commands);
    let server = dev.is_ready().await;
    let page = ask(server, "GET", "/", &[], b"").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text().contains("/socket.io/socket.io.js"), "{page:?}");
    let client = ask(server, "GET", "/socket.io/socket.io.js", &[], b"").await;
    assert_eq!(client.status, 200, "{client:?}");
}

#[tokio::test]
async fn the_handler_in_javascript_is_saved_served_asked_and_changed() {
    let mut story = Story::of("README.md", "script");
    let folder = folder();
    let shell = Shell::new(folder.path(), &target_dir());
    shell.types(&story.next("sh")).await;
    let (chat, handler) = (folder.path().join("chat"), story.file("handlers/chat.js"));
    let file = chat.join("handlers/chat.js");
    fs::write(&file, &handler).expect("it can be saved");
    let mut dev = Shell::new(&chat, &target_dir()).starts(&story.next("sh"));
    let server = dev.is_ready().await;
    let asks = Shell::new(&chat, &target_dir()).meaning(server);
    let said = asks.types(&story.next("sh")).await;
    assert_eq!(said, "{\"hello\":\"you\"}\"sent\"\n");

    fs::write(&file, handler.replace("\"sent\"", "\"told\"")).expect("it can be saved");
    let reloaded = |_, line: &str| line.contains("generation 2").then_some(());
    eventually("it is reloaded", SOON, async || dev.log.find(0, reloaded)).await;
    let emit = "hitchy emit chat:send '{\"text\":\"hi\"}' --ack";
    assert_eq!(asks.types(emit).await, "\"told\"\n");
}

#[tokio::test]
async fn a_handler_of_ones_own_is_made_changed_and_asked() {
    let mut story = Story::of("README.md", "mine");
    let (folder, target) = (folder(), target_dir().join("examples"));
    let mut dev = Shell::new(folder.path(), &target).starts(&story.next("sh"));
    let server = dev.is_ready().await;

    let mine = folder.path().join("mine");
    fs::write(mine.join("src/lib.rs"), story.file("src/lib.rs")).expect("it can be saved");
    let asks = Shell::new(&mine, &target).meaning(server);
    let reloaded = |_, line: &str| line.contains("generation 2").then_some(());
    eventually("it is reloaded", SOON * 30, async || {
        dev.log.find(0, reloaded)
    })
    .await;
    let said = asks.types(&story.next("sh")).await;
    let expected = "{\"hello\":\"you\"}{\n  \"hello\": \"you\"\n}\n\"sent\"\n";
    assert_eq!(said, expected);

    let client = asks.node("client.mjs", &story.file("client.mjs"));
    client.says("{ room: 'general', text: 'hi' }").await;
    client.says("sent").await;
    client.says("200 { hello: 'you' }").await;
}

#[tokio::test]
async fn i14_8_the_guide_for_python_is_made_changed_tested_and_built() {
    if toolchains::environment("python").is_none() {
        return;
    }
    let mut story = Story::of("docs/python.md", "python");
    let folder = folder();
    let mut dev = Shell::new(folder.path(), &target_dir()).starts(&story.next("sh"));
    let server = dev.is_ready().await;
    let shop = folder.path().join("shop");
    fs::write(shop.join("app.py"), story.file("app.py")).expect("it can be saved");
    let reloaded = |_, line: &str| line.contains("generation 2").then_some(());
    eventually("it is reloaded", TO_BUILD, async || {
        dev.log.find(0, reloaded)
    })
    .await;
    let answer = ask(server, "GET", "/api/hello/you?greeting=hi", &[], b"").await;
    assert_eq!(answer.json(), json!({ "hi": "you" }));

    fs::write(shop.join("test_app.py"), story.file("test_app.py")).expect("it can be saved");
    let shell = Shell::new(&shop, &target_dir());
    shell.types(".venv/bin/python -B test_app.py").await;
    let by_hand = story.next("sh");
    shell
        .types(&format!(". .venv/bin/activate\n{by_hand}"))
        .await;
}

/// Asserts that the server accepts the settings of the document.
async fn accepts(document: &str) {
    let mut story = Story::of(document, "settings");
    let folder = folder();
    fs::write(folder.path().join("hitchy.toml"), story.file("hitchy.toml")).expect("a file");
    let shell = Shell::new(folder.path(), folder.path());
    let printed = shell.types("hitchy serve --print-config").await;
    for line in [
        "deadline = \"5s\"",
        "[handler.report]",
        "memory = \"512MiB\"",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
}

#[tokio::test]
async fn the_readmes_settings_are_accepted() {
    accepts("README.md").await;
}

#[tokio::test]
async fn the_settings_of_the_reference_are_accepted() {
    accepts("docs/settings.md").await;
}

#[tokio::test]
async fn i12_3_the_settings_of_the_guide_are_accepted() {
    let mut story = Story::of("docs/handlers.md", "settings");
    let folder = folder();
    let settings = story.next("toml") + &story.next("toml") + &story.next("toml");
    fs::write(folder.path().join("hitchy.toml"), settings).expect("a file");
    let shell = Shell::new(folder.path(), folder.path());
    let printed = shell.types("hitchy serve --print-config").await;
    for line in [
        "buckets = { prices = \"read\", shared = \"read-write\" }",
        "config = { greeting = \"hello\", retries = \"3\" }",
        "secrets = [\"SMTP_PASSWORD\"]",
        "instances = \"socket\"",
        "instances = \"shared\"",
        "max-calls = 100000",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
}

/// Compares the command in the README with the one that this run uses, because `.ci/run` reads it from the README.
#[test]
fn the_command_for_the_tests_is_the_one_that_has_to_pass() {
    let test = "cargo test --workspace\n";
    assert_eq!(Story::of("README.md", "tests").next("sh"), test);
    let conformance = Story::of("docs/conformance.md", "tests").next("sh");
    assert_eq!(conformance, format!("{test}target/debug/conformance\n"));
    let gate = fs::read_to_string(root().join(".ci/run")).expect(".ci/run can be read");
    assert!(gate.contains("README.md | head -n 1"), "{gate}");
    assert!(gate.contains("debug/conformance\" --check"), "{gate}");
}

#[tokio::test]
async fn a_file_is_replaced_as_the_guide_says_and_granted_more() {
    let mut story = Story::of("docs/folder.md", "folder");
    let server = Server::prepare()
        .console()
        .handler("chat.wasm", example("hello"))
        .handler("report.wasm", hitchy_tests::guest("typed"))
        .file("handlers/report.toml", story.file("handlers/report.toml"))
        .start()
        .await;
    let newer = changed_example("hello", |source| {
        source.replace("\"hello\": name", "\"newer\": name")
    });
    fs::write(server.dir().join("chat.wasm"), newer).expect("a file");
    let shell = Shell::new(server.dir(), server.dir());
    shell.types(&story.next("sh")).await;
    server.wait_for_body("/api/hello/you", "newer").await;
    let handlers = server.ask_console("/api/handlers").await.json();
    let handlers = handlers["handlers"].as_array().cloned().unwrap_or_default();
    let report = handlers.iter().find(|one| one["name"] == "report.wasm");
    let report = report.unwrap_or_else(|| panic!("{handlers:#?}"));
    assert_eq!(report["limits"]["memory"], json!(512 << 20));
    assert_eq!(report["limits"]["deadlineMs"], json!(30_000));
}

#[tokio::test]
async fn the_operator_changes_schedules_as_the_guide_says() {
    let mut story = Story::of("docs/handlers.md", "schedules");
    let declared = "schedule tick every 5s\nschedule clean_up 0 3 * * *";
    let server = Server::prepare()
        .console()
        .handler("jobs.wasm", hitchy_tests::scripted(declared))
        .file("handlers/jobs.toml", story.file("handlers/jobs.toml"))
        .start()
        .await;
    let list = server.ask_console("/api/schedules").await.json();
    let times: Vec<_> = list["schedules"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (&one["name"], &one["times"]))
        .collect();
    let expected = [
        (&json!("tick"), &json!("every 1m")),
        (&json!("clean_up"), &json!("off")),
    ];
    assert_eq!(times, expected);
}

#[tokio::test]
async fn i12_7_a_program_without_the_contract_is_served_as_the_guide_says() {
    let mut story = Story::of("docs/languages.md", "cgi");
    let folder = folder();
    let sidecar = story.file("handlers/report.toml");
    fs::write(folder.path().join("report.rs"), story.file("report.rs")).expect("a file");
    let mut rustc = std::process::Command::new("rustc");
    rustc.args(["--target", "wasm32-wasip1", "report.rs"]);
    let built = rustc
        .current_dir(folder.path())
        .output()
        .expect("rustc starts");
    assert!(built.status.success(), "{built:?}");
    let wasm = fs::read(folder.path().join("report.wasm")).expect("it is built");
    let server = Server::prepare()
        .handler("report.wasm", wasm)
        .file("handlers/report.toml", sidecar)
        .start()
        .await;
    let answer = server.get("/report/today").await;
    assert_eq!(answer.text(), "report of /today\n", "{answer:?}");
    let Some(node) = official_client().await else {
        return;
    };
    let ack = node
        .connect(&server, "/")
        .await
        .ask("say", json!(["hi"]))
        .await;
    assert_eq!(ack[0]["args"], json!(["hi"]), "{ack}");
}

#[tokio::test]
async fn the_servers_that_a_handler_may_call_are_named_beside_it_or_in_the_settings() {
    let mut guide = Story::of("docs/handlers.md", "outgoing");
    let mut settings = Story::of("docs/operating.md", "outgoing");
    let server = Server::prepare()
        .console()
        .handler("shop.wasm", hitchy_tests::guest("calling"))
        .file("handlers/shop.toml", guide.file("handlers/shop.toml"))
        .settings(&settings.file("hitchy.toml"))
        .start()
        .await;
    let handlers = server.ask_console("/api/handlers").await.json();
    let outbound = &handlers["handlers"][0]["limits"]["outbound"];
    let last = outbound.as_array().and_then(|entries| entries.last());
    assert_eq!(last, Some(&json!("http://10.0.0.5:9200")), "{handlers:#}");
}

#[tokio::test]
async fn the_lives_of_instances_are_set_for_each_handler() {
    let mut settings = Story::of("docs/operating.md", "kept");
    let server = Server::prepare()
        .console()
        .handler("chat.wasm", hitchy_tests::guest("living"))
        .handler("search.wasm", hitchy_tests::guest("version_one"))
        .settings(&settings.file("hitchy.toml"))
        .start()
        .await;
    let shown = server.ask_console("/api/handlers").await.json();
    let life = |index: usize| &shown["handlers"][index]["instances"]["life"];
    assert_eq!((life(0), life(1)), (&json!("socket"), &json!("shared")));
    let limits = &shown["handlers"][1]["limits"];
    assert_eq!(limits["maxInstances"], 8, "{shown:#}");
    let warned = server
        .log()
        .find(0, |_, line| line.contains("WARN").then(|| line.to_string()));
    assert_eq!(warned, None);
}

/// Uses replacements for npm and npx that do the necessary part of their work.
#[tokio::test]
async fn what_cargo_does_not_build_is_built_by_its_command() {
    let mut story = Story::of("docs/handlers.md", "dev");
    let folder = folder();
    let save = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .and_then(|()| fs::write(path, content))
            .expect("a file can be written");
    };
    save("hitchy.toml", story.file("hitchy.toml").as_bytes());
    save("hello.js", b"prebuilt.wasm");
    save("prebuilt.wasm", &example("hello"));
    save(
        "bin/npm",
        b"#!/bin/sh\n[ \"$1\" = ci ] && mkdir node_modules\n",
    );
    let npx = "#!/bin/sh\nfor last; do :; done\ncp \"$(cat \"$3\")\" \"$last\"\n";
    save("bin/npx", npx.as_bytes());
    let shell = Shell::new(folder.path(), folder.path());
    let build =
        "chmod +x bin/*; PATH=$PWD/bin:$PATH hitchy build; ls -d node_modules handlers/*.wasm";
    let said = shell.types(build).await;
    assert!(said.contains("handlers/hello.wasm\nnode_modules"), "{said}");
}

#[tokio::test]
async fn the_guide_to_key_value_storage_is_true() {
    let mut story = Story::of("docs/keyvalue.md", "keyvalue");
    let folder = folder();
    fs::write(folder.path().join("hitchy.toml"), story.file("hitchy.toml")).expect("a file");
    let shell = Shell::new(folder.path(), folder.path());
    let said = shell.types(&story.next("sh")).await;
    assert!(said.starts_with("hello"), "{said}");
    assert!(said.contains("1 keys were set"), "{said}");
    assert_eq!(shell.types("hitchy kv list").await, "nothing is stored\n");
}

#[tokio::test]
async fn the_console_answers_what_the_guide_asks() {
    let mut story = Story::of("docs/operating.md", "console");
    let server = Server::prepare()
        .console()
        .handler("hello.wasm", example("hello"))
        .start()
        .await;
    let shell = Shell::new(server.dir(), server.dir()).and_console(server.console());
    let said = shell.types(&story.next("sh")).await;
    for part in [
        "\"ok\"",
        "\"ready\"",
        "hitchy_handler_generation",
        "hello.wasm",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn nodes_with_the_settings_of_the_guide_reach_each_other() {
    let settings = Story::of("docs/operating.md", "nodes").file("hitchy.toml");
    let Some(redis) = redis_with(&["--requirepass", "secret"]).await else {
        return;
    };
    let settings = settings.replace("10.0.0.5:6379", &redis.addr().to_string());
    let start = async || {
        let plan = Server::prepare().console().settings(&settings);
        let plan = plan.env("REDIS_PASSWORD", "secret");
        plan.env("NODES_SECRET", "another").start().await
    };
    // A node is ready only once it has reached Redis.
    let nodes = [start().await, start().await];
    for node in &nodes {
        wait_for_members(node, 2).await;
        let health = node.ask_console("/healthz").await;
        assert_eq!(health.json()["status"], "ok", "{health:?}");
    }
}

#[tokio::test]
async fn a_request_over_a_socket_is_answered_as_the_guide_says() {
    let mut story = Story::of("docs/sockets.md", "request");
    let server = Server::with("hello.wasm", example("hello")).await;
    let folder = folder();
    let shell = Shell::new(folder.path(), folder.path()).meaning(server.addr());
    let client = shell.node("request.mjs", &story.next("js"));
    client.says("201 application/json; charset=utf-8 hi").await;
}

/// Starts nginx with this configuration in front of a server. Returns the process and the port of nginx.
async fn start_nginx(folder: &Path, server: &str, conf: &str) -> (Running, u16) {
    loop {
        let port = free_port();
        let conf = conf
            .replace("127.0.0.1:3000", server)
            .replace("listen 8080;", &format!("listen 127.0.0.1:{port};"));
        fs::write(folder.join("nginx.conf"), whole(&conf)).expect("a file");
        let nginx = "PATH=$PATH:/usr/sbin; exec nginx -p \"$PWD\" -c nginx.conf";
        let running = Shell::new(folder, folder).starts(nginx);
        // Another program may have taken the port meanwhile.
        let taken = |_, line: &str| line.contains("bind()").then_some(false);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let what = "nginx listens (install it: apt-get install nginx-light)";
        let listens = eventually(what, SOON * 3, async || {
            let open = tokio::net::TcpStream::connect(address).await.is_ok();
            running.log.find(0, taken).or(open.then_some(true))
        });
        if listens.await {
            return (running, port);
        }
    }
}

/// Returns a complete configuration that has these lines and writes only to its own folder.
fn whole(conf: &str) -> String {
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = folders.map(|name| format!("{name}_temp_path {name};\n"));
    format!(
        "daemon off; pid nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{}{conf}}}\n",
        folders.concat()
    )
}

/// Returns a port that was free a moment ago. The test chooses the port because nginx does not report one that the
/// system chose.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

#[tokio::test]
async fn behind_nginx_sockets_open_and_handlers_see_who_it_is() {
    let mut story = Story::of("docs/operating.md", "proxy");
    let settings = story.file("hitchy.toml");
    let settings = settings.replace("listen = \"127.0.0.1:3000\"\n", "");
    let server = Server::prepare()
        .handler("probe.wasm", hitchy_tests::guest("probe"))
        .settings(&settings)
        .start()
        .await;
    let folder = folder();
    let conf = story.file("hitchy.conf");
    let (_nginx, port) = start_nginx(folder.path(), &server.addr().to_string(), &conf).await;

    let script = format!(
        "import {{ io }} from \"socket.io-client\";
         for (const transports of [[\"polling\"], [\"websocket\"]]) {{
           const socket = io(\"http://127.0.0.1:{port}/hitchy\", {{ transports, extraHeaders: {{ origin: \"http://127.0.0.1:{port}\" }} }});
           const {{ statusCode }} = await socket.emitWithAck(\"request\", {{ url: \"/hello/you\" }});
           console.log(transports[0], statusCode);
           socket.close();
         }}"
    );
    let shell = Shell::new(folder.path(), folder.path());
    let client = shell.node("behind.mjs", &script);
    client.says("polling 200").await;
    client.says("websocket 200").await;

    let curl = format!("curl -sS --interface 127.0.0.2 http://127.0.0.1:{port}/echo");
    let echo: serde_json::Value = serde_json::from_str(&shell.types(&curl).await).expect("JSON");
    let remote = echo["remote"].as_str().unwrap_or_default();
    assert!(remote.starts_with("127.0.0.2"), "{echo:#}");
}
