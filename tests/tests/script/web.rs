//! The web's own: URL, Headers, Response, crypto, timers, `fetch` and the default export with `fetch`.

use std::time::UNIX_EPOCH;

use hitchy_tests::Server;
use hitchy_tests::covered::{Part, covers};
use serde_json::json;

const WEB: &str = r#"
const checks = {
    url() {
        const url = new URL("../b?x=1#h", "https://user@example.org:8443/a/c/d");
        url.searchParams.append("y", "ü &");
        return [url.href, url.origin, url.host, url.pathname, url.search, URL.canParse("nope"), String(new URLSearchParams({ a: "1 2" }))];
    },
    encoding() {
        const bytes = new TextEncoder().encode("ä€");
        const decoder = new TextDecoder();
        return [[...bytes], decoder.decode(bytes.slice(0, 3), { stream: true }) + decoder.decode(bytes.slice(3)), atob(btoa("x"))];
    },
    headers() {
        const headers = new Headers([["A", "1"], ["a", " 2 "], ["Set-Cookie", "x"], ["set-cookie", "y"]]);
        return [[...headers], headers.get("a"), headers.getSetCookie()];
    },
    async messages() {
        const response = new Response(JSON.stringify({ a: 1 }), { headers: { "x-y": "z" } });
        const copy = response.clone();
        const request = new Request("http://h/p", { method: "post", body: new URLSearchParams("a=1") });
        return [await response.json(), await copy.text(), response.bodyUsed, request.method, request.headers.get("content-type"), (await request.formData()).get("a")];
    },
    async crypto() {
        const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("abc"));
        return [new Uint8Array(hash).toHex().slice(0, 8), /^[0-9a-f-]{36}$/.test(crypto.randomUUID()), crypto.getRandomValues(new Uint8Array(4)).length];
    },
    clone() {
        const value = { date: new Date(0), map: new Map([[1, new Set([2])]]) };
        value.self = value;
        const copy = structuredClone(value);
        return [copy !== value, copy.self === copy, copy.date.getTime(), [...copy.map.get(1)]];
    },
    async timers() {
        const order = [];
        const later = (ms, name) => new Promise(resolve => setTimeout(() => (order.push(name), resolve()), ms));
        const cleared = setTimeout(() => order.push("cleared"), 1);
        clearTimeout(cleared);
        let ticks = 0;
        await new Promise(resolve => { const id = setInterval(() => { if (++ticks === 3) { clearInterval(id); resolve() } }, 1) });
        queueMicrotask(() => order.push("microtask"));
        await Promise.all([later(20, "b"), later(5, "a")]);
        return [order, ticks];
    },
    async abort() {
        try {
            await fetch("http://127.0.0.1:1/", { signal: AbortSignal.abort() });
        } catch (error) {
            return [error.name, error instanceof DOMException];
        }
    },
};
for (const [name, run] of Object.entries(checks)) app.get(`/${name}`, run);
app.get("/random", () => [Math.random(), crypto.randomUUID(), Date.now()]);
app.get("/absent", () => Intl.NumberFormat());
"#;

#[tokio::test]
async fn i14_2_the_apis_of_the_web() {
    let server = Server::with("w.js", WEB).await;
    for (path, wanted) in [
        (
            "/url",
            json!([
                "https://user@example.org:8443/a/b?x=1&y=%C3%BC+%26#h",
                "https://example.org:8443",
                "example.org:8443",
                "/a/b",
                "?x=1&y=%C3%BC+%26",
                false,
                "a=1+2"
            ]),
        ),
        ("/encoding", json!([[195, 164, 226, 130, 172], "ä€", "x"])),
        (
            "/headers",
            json!([
                [["a", "1, 2"], ["set-cookie", "x"], ["set-cookie", "y"]],
                "1, 2",
                ["x", "y"]
            ]),
        ),
        (
            "/messages",
            json!([{ "a": 1 }, "{\"a\":1}", true, "POST", "application/x-www-form-urlencoded;charset=UTF-8", "1"]),
        ),
        ("/crypto", json!(["ba7816bf", true, 4])),
        ("/clone", json!([true, true, 0, [2]])),
        ("/timers", json!([["microtask", "a", "b"], 3])),
        ("/abort", json!(["AbortError", true])),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.json(), wanted, "{path}");
    }
    let one = server.get("/random").await.json();
    let since = UNIX_EPOCH.elapsed().expect("it is after 1970").as_millis() as f64;
    let two = server.get("/random").await.json();
    assert_ne!(one[0], two[0], "each instance draws its own numbers");
    assert_ne!(one[1], two[1]);
    assert!(
        two[2].as_f64() >= Some(since),
        "the clock goes on: {since} {two}"
    );
}

#[tokio::test]
async fn i14_2_fetch_asks_allowed_servers_several_at_once() {
    let other = "
        app.all('/echo', ({ method, text, headers }) => ({ method, body: text(), type: headers['content-type'] ?? null }));
        app.get('/slow', async ({ query }) => { await new Promise(resolve => setTimeout(resolve, 50)); return query.n });
        app.get('/there', () => Response.redirect('/slow?n=7'));
    ";
    let other = Server::with("o.js", other).await;
    let url = other.url();
    let script = format!(
        "const base = '{url}';
        app.get('/post', async () => (await fetch(base + '/echo', {{ method: 'POST', body: '{{}}', headers: {{ 'content-type': 'application/json' }} }})).json());
        app.get('/many', () => Promise.all([1, 2, 3].map(async n => (await fetch(`${{base}}/slow?n=${{n}}`)).text())));
        app.get('/redirected', async () => {{ const r = await fetch(base + '/there'); return [r.status, await r.text()] }});
        app.get('/denied', () => fetch('http://127.0.0.1:1/'));
        app.get('/timeout', async () => {{ try {{ await fetch(base + '/slow?n=1', {{ signal: AbortSignal.timeout(5) }}) }} catch (e) {{ return e.name }} }});
        app.get('/proxy', () => fetch(base + '/slow?n=9'));"
    );
    let server = Server::prepare()
        .handler("f.js", script)
        .handler("f.toml", format!("outbound = [\"{url}\"]\n"))
        .start()
        .await;
    let posted = json!({ "method": "POST", "body": "{}", "type": "application/json" });
    assert_eq!(server.get("/post").await.json(), posted);
    assert_eq!(server.get("/many").await.json(), json!(["1", "2", "3"]));
    assert_eq!(server.get("/redirected").await.json(), json!([200, "7"]));
    assert_eq!(server.get("/timeout").await.text(), "TimeoutError");
    assert_eq!(server.get("/proxy").await.text(), "9");
    assert_eq!(server.get("/denied").await.status, 500);
    server
        .wait_for_log(&["f.js:", "may not call this server"])
        .await;
    covers("js", &[Part::Outgoing]);
}

#[tokio::test]
async fn i14_2_a_default_export_with_fetch_is_served_at_the_path_of_its_file() {
    let script = "
        export default {
            async fetch(request) {
                const url = new URL(request.url);
                return new Response(`${request.method} ${url.pathname} ${await request.text()}`, { status: 203 });
            },
        };";
    let server = Server::with("api/shop.js", script).await;
    let answer = server
        .request("PUT", "/api/shop/cart/1?x=2", &[], b"body")
        .await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (203, "PUT /api/shop/cart/1 body")
    );
    assert_eq!(server.get("/api/shop").await.text(), "GET /api/shop ");
    assert_eq!(server.get("/api").await.status, 404);
}
