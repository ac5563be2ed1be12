//! Handlers in TypeScript: what is taken out, what is refused, and the places that errors name.

use hitchy_tests::covered::{Part, covers};
use hitchy_tests::{Server, official_client};
use serde_json::json;

const SHOP: &str = r#"
import type { Price } from "./_lib/types.ts";
import { Currency, format, type Rate } from "./_lib/money.ts";

interface Item { name: string; price: Price }

class Cart<T extends Item> {
    private items: T[] = [];
    constructor(readonly owner: string, private rate: Rate = 1) {}
    add(item: T): this { this.items.push(item); return this; }
    get total(): string { return format(this.items.reduce((sum, { price }) => sum + price, 0) * this.rate, Currency.Euro); }
}

const enum Size { Small = 1, Large }

app.get("/cart/:owner", ({ params }: { params: { owner: string } }) => {
    const cart = new Cart<Item>(params.owner).add({ name: "tea", price: 2 as Price });
    return { owner: cart.owner, total: cart.total, size: Size.Large, none: (<unknown>null)! ?? "none" } satisfies object;
});

app.get("/broken", (): string => {
    const cart: Cart<Item> | undefined = undefined as any; return cart!.total;
});
"#;

const MONEY: &str = r#"
export enum Currency { Euro = "EUR", Dollar = "USD" }
export type Rate = number;
export function format(amount: number, currency: Currency): string;
export function format(amount: any, currency: any) { return `${amount} ${currency}`; }
"#;

const EVERYTHING: &str = r#"
import { Failure, app, config, io, kv, type Context, type Socket } from "hitchy";

app.use("/visits", ({ header }: Context): void => {
    if (header("x-key") !== "open") throw new Failure(401, "no key");
});
app.post("/visits", (): number => kv.increment("visits"));
app.get("/rates", async (): Promise<unknown> => (await fetch(config.rates as string)).json());

io.use((socket: Socket, next: (error?: unknown) => void): void => {
    const { name } = socket.handshake.auth as { name?: string };
    next(name === undefined ? new Error("who are you?") : undefined);
});
io.on("connection", (socket: Socket) => void socket.emit("welcome", socket.handshake.auth.name as string));

app.every("1s", (): void => io.emit("tick"), { name: "tick" });
"#;

#[tokio::test]
async fn i14_4_typescript_has_policies_storage_hooks_schedules_and_fetch() {
    let other = Server::prepare()
        .file("public/rates.json", r#"{"eur":1}"#)
        .start()
        .await;
    let url = other.url();
    let settings = format!("outbound = [\"{url}\"]\nconfig = {{ rates = \"{url}/rates.json\" }}\n");
    let server = Server::prepare()
        .handler("everything.ts", EVERYTHING)
        .handler("everything.toml", settings)
        .start()
        .await;
    assert_eq!(server.post("/visits", &json!({})).await.status, 401);
    for visits in 1..=2 {
        let visit = server.request("POST", "/visits", &[("x-key", "open")], b"");
        assert_eq!(visit.await.json(), json!(visits));
    }
    assert_eq!(server.get("/rates").await.json(), json!({ "eur": 1 }));
    covers("ts", &[Part::Policies, Part::KeyValue, Part::Outgoing]);

    let Some(node) = official_client().await else {
        return;
    };
    let refused = node.connect_with(&server, "/", json!({})).await;
    assert_eq!(refused.err().expect("refused").message, "who are you?");
    let auth = json!({ "auth": { "name": "Ada" } });
    let ada = node.connect_with(&server, "/", auth).await.expect("let in");
    assert_eq!(ada.wait_event("welcome").await, json!(["Ada"]));
    assert_eq!(ada.wait_event("tick").await, json!([]));
    covers("ts", &[Part::Hooks, Part::Schedule]);
}

#[tokio::test]
async fn i14_4_typescript_with_enums_and_parameter_properties_is_served_as_it_is() {
    let mut server = Server::prepare()
        .handler("shop.ts", SHOP)
        .handler("_lib/money.ts", MONEY)
        .handler("_lib/types.ts", "export type Price = number;")
        .handler("hitchy.d.ts", "declare const app: any;")
        .start()
        .await;
    let cart = server.get("/cart/ada").await;
    let wanted = json!({ "owner": "ada", "total": "2 EUR", "size": 2, "none": "none" });
    assert_eq!(cart.json(), wanted, "{cart:?}");
    server.assert_unharmed();

    // An error names the line and the column that the author wrote, and shows that line.
    assert_eq!(server.get("/broken").await.status, 500);
    let line = "const cart: Cart<Item> | undefined = undefined as any; return cart!.total;";
    let before = SHOP.split(line).next().expect("text");
    let place = format!("shop.ts:{}:", before.lines().count());
    server.wait_for_log(&[&place, "TypeError", line]).await;

    // An imported file is followed as one in JavaScript is.
    server.drop_in("_lib/money.ts", MONEY.replace("EUR", "GBP"));
    server.wait_for_log(&["shop.ts: reloaded"]).await;
    assert_eq!(server.get("/cart/ada").await.json()["total"], "2 GBP");
}

#[tokio::test]
async fn i14_4_the_column_is_that_of_the_authors_text() {
    let text =
        "app.get('/v', (context: { params: any }) => { const a: number = 1; nothing(a as any); });";
    let server = Server::with("v.mts", text).await;
    assert_eq!(server.get("/v").await.status, 500);
    let column = text.find("nothing").expect("it is there") + 1;
    let place = format!("v.mts:1:{column}: ReferenceError");
    server.wait_for_log(&[&place]).await;
}

#[tokio::test]
async fn i14_4_what_cannot_be_taken_out_is_refused_with_place_and_remedy() {
    let server = Server::with("good.ts", "app.get('/good', (): string => 'good');").await;
    for (text, words) in [
        (
            "const a: number = = 1;",
            ["1:19", "SyntaxError", "correct the script"],
        ),
        (
            "\nnamespace A { export const b = 1; }",
            ["2:1", "namespaces", "a file of its own"],
        ),
        (
            "class A {}\n@sealed class B {}",
            ["2:1", "decorators", "call the function"],
        ),
        (
            "import a = require('a');",
            ["1:1", "`import … =`", "import … from"],
        ),
        (
            "const a = 1;\nexport = a;",
            ["2:1", "`export =`", "export default"],
        ),
        (
            "import { a } from './_b'; app.get('/b', () => a);",
            ["bad.ts:1", "./_b", "did you mean _b.ts?"],
        ),
    ] {
        server.drop_in("_b.ts", "export const b: number = 1;");
        let from = server.log().len();
        server.drop_in("bad.ts", text);
        let place = format!("bad.ts:{}", words[0].trim_start_matches("bad.ts:"));
        server
            .wait_for_log_from(from, &["bad.ts: refused", &place, words[1], words[2]])
            .await;
        server.remove("bad.ts");
    }
    // Words that only look like it are no reason.
    let text = "const module: any = { namespace: 1 }; const at: string = '@';\n\
                declare namespace N { const a: number }\n\
                app.get('/fine', () => ({ namespace: module.namespace, at }));";
    server.drop_in("fine.ts", text);
    server.wait_for_status("/fine", 200).await;
    assert_eq!(server.get("/good").await.text(), "good");
}

#[tokio::test]
async fn i14_4_a_broken_edit_leaves_the_version_before_in_service() {
    let server = Server::with("v.ts", "app.get('/v', (): string => 'one');").await;
    server.drop_in("v.ts", "app.get('/v', (): => 'two');");
    server
        .wait_for_log(&["v.ts: refused", "v.ts:1:", "still serving generation 1"])
        .await;
    assert_eq!(server.get("/v").await.text(), "one");
    server.drop_in("v.ts", "app.get('/v', (): string => 'three');");
    server.wait_for_body("/v", "three").await;
}
