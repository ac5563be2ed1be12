//! Policies, schedules, key-value storage, configuration and requests to the server itself.

use hitchy_tests::Server;
use hitchy_tests::covered::{Part, covers};
use serde_json::json;

const SERVICES: &str = r#"
app.use("/api", context => {
    if (context.header("x-key") !== "open") throw new Failure(401, "no key");
    context.data.user = { name: "Ada" };
    context.setHeader("x-policy", "passed");
});
app.use("/closed", () => new Response("closed", { status: 403 }));
app.after("/api", ({ status, path }) => console.log("after", status, path));

app.get("/api/me", ({ data }) => data.user);
app.post("/api/form", ({ form, cookies, headers, method, door }) => ({ form: form(), cookies, type: headers["content-type"], method, door }));
app.post("/api/json", ({ json }) => json());
app.get("/api/rest/*rest", ({ params, path, query }) => ({ rest: params.rest, path, query }));

app.post("/kv/:key", ({ params, json }) => void kv.set(params.key, json()));
app.get("/kv/:key", ({ params }) => ({ value: kv.get(params.key) ?? null, has: kv.has(params.key), keys: kv.keys() }));
app.delete("/kv/:key", ({ params }) => kv.delete(params.key));
app.post("/count", () => kv.increment("count", 2));
app.post("/push/:item", ({ params }) => kv.update("list", (list = []) => [...list, params.item]));
app.post("/raw", ({ bytes }) => { kv.set("raw", bytes()); return kv.bytes("raw") });

app.get("/config", () => ({ greeting: config.greeting, all: { ...config }, absent: config.absent ?? null, has: "greeting" in config }));
app.get("/nested", async () => {
    const response = dispatch("GET", "/api/me", { headers: { "x-key": "open" } });
    return { status: response.status, body: await response.json() };
});
app.every("1s", () => console.log("tick"));
app.cron("0 3 * * *", () => {}, { name: "nightly" });
"#;

async fn serve() -> Server {
    let plan = Server::prepare().handler("s.js", SERVICES);
    plan.handler("s.toml", "config = { greeting = \"servus\" }\n")
        .start()
        .await
}

#[tokio::test]
async fn i14_2_policies_run_around_routes() {
    let server = serve().await;
    assert_eq!(server.get("/api/me").await.status, 401);
    let answer = server
        .request("GET", "/api/me", &[("x-key", "open")], b"")
        .await;
    assert_eq!(answer.json(), json!({ "name": "Ada" }));
    assert_eq!(answer.header("x-policy"), Some("passed"));
    let answer = server.get("/closed/x").await;
    assert_eq!((answer.status, answer.text().as_str()), (403, "closed"));
    server.wait_for_log(&["s.js", "after 200 /api/me"]).await;
    server.wait_for_log(&["s.js", "after 401 /api/me"]).await;
    covers("js", &[Part::Policies]);
}

#[tokio::test]
async fn i14_2_the_context_has_what_a_request_has() {
    let server = serve().await;
    let headers = [
        ("x-key", "open"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("cookie", "a=1; b=%C3%A4"),
    ];
    let body = b"name=Ada+L&tag=x&tag=y%26";
    let answer = server.request("POST", "/api/form", &headers, body).await;
    assert_eq!(
        answer.json(),
        json!({
            "form": { "name": "Ada L", "tag": ["x", "y&"] },
            "cookies": { "a": "1", "b": "ä" },
            "type": "application/x-www-form-urlencoded",
            "method": "POST",
            "door": "http",
        })
    );
    let answer = server
        .request("POST", "/api/json", &headers[..1], b"{")
        .await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let target = "/api/rest/a/b?q=%41&q=2&__proto__=x";
    let answer = server
        .request("GET", target, &headers[..1], b"")
        .await
        .json();
    assert_eq!(answer["rest"], "a/b");
    assert_eq!(answer["query"]["q"], json!(["A", "2"]));
    assert_eq!(answer["query"]["__proto__"], "x");
}

#[tokio::test]
async fn i14_2_key_value_storage_and_configuration() {
    let server = serve().await;
    server.post("/kv/a", &json!({ "b": [1] })).await;
    let answer = server.get("/kv/a").await.json();
    assert_eq!(
        answer,
        json!({ "value": { "b": [1] }, "has": true, "keys": ["a"] })
    );
    assert_eq!(
        server.request("DELETE", "/kv/a", &[], b"").await.status,
        204
    );
    assert_eq!(server.get("/kv/a").await.json()["has"], json!(false));
    for sum in ["2", "4"] {
        assert_eq!(server.request("POST", "/count", &[], b"").await.text(), sum);
    }
    server.request("POST", "/push/x", &[], b"").await;
    let list = server.request("POST", "/push/y", &[], b"").await;
    assert_eq!(list.json(), json!(["x", "y"]));
    let raw = server.request("POST", "/raw", &[], &[0, 255]).await;
    assert_eq!(raw.body.as_ref(), [0, 255]);
    let all = json!({ "greeting": "servus", "all": { "greeting": "servus" }, "absent": null, "has": true });
    assert_eq!(server.get("/config").await.json(), all);
    covers("js", &[Part::KeyValue]);
}

#[tokio::test]
async fn i14_2_schedules_and_requests_to_the_server_itself() {
    let server = serve().await;
    let nested = server.get("/nested").await.json();
    assert_eq!(nested, json!({ "status": 200, "body": { "name": "Ada" } }));
    server.wait_for_log(&["s.js", "tick"]).await;
    covers("js", &[Part::Schedule]);
}
