//! Drives a complete handler as its clients would, with every kind of entry, extractor and answer.

use std::time::Duration;

use hitchy_guest::{
    AckWanted, App, Auth, Bytes, Context, Data, Due, EventName, Failure, Form, Headers, Html, Json,
    Path, Payload, Query, Reason, Redirect, Request, Response, Result, Socket, Status, Text,
    dispatch, emit, find, format, log, of, redirect, testing, to,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Message {
    room: String,
    text: String,
}

fn app() -> App {
    App::new()
        .before("/api", guard)
        .after("/api", |request: Request, Status(status): Status| {
            log::info(format_args!("{} {status}", request.path()));
        })
        .get("/api/hello/{name}", |Path(name): Path<String>| name)
        .get("/api/sum/{a}/{b}", |Path((a, b)): Path<(i64, i64)>| {
            (a + b).to_string()
        })
        .post("/api/messages", post_message)
        .get("/api/search", |Query(search): Query<Search>| search.q)
        .post("/api/login", |Form(login): Form<Login>| {
            redirect(format!("/home/{}", login.user))
        })
        .get("/api/form", show)
        .any(
            "/api/echo",
            |request: Request, body: Option<Text>| match body {
                Some(Text(text)) => format!("{}: {text}", request.method()),
                None => request.method(),
            },
        )
        .get("/api/fail", || -> Result<()> {
            Ok(Err(std::io::Error::other("secret"))?)
        })
        .get("/api/inside", || {
            dispatch("GET", "/api/hello/inside")
                .header("x-key", "open")
                .send()
        })
        .get("/api/none", || None::<Json<Value>>)
        .put("/api/created", || {
            (201, [("location", "/x")], Json(json!({ "id": 1 })))
        })
        .get("/api/whoami", |context: Context| {
            context.get::<String>("user")
        })
        .on("chat:send", send)
        .on("move", |Data((x, y)): Data<(i32, Option<i32>)>| (y, x))
        .on("upload", |Data(file): Data<Upload>| {
            Json(file.content.len())
        })
        .on("silent", |AckWanted(wanted): AckWanted| assert!(!wanted))
        .on("*", |EventName(name): EventName, payload: Payload| {
            Data((name, payload.json))
        })
        .on_connect("/", admit)
        .on_connected("/", |socket: Socket| socket.emit("welcome", &socket.id()))
        .on_disconnect("/", |Reason(reason): Reason| emit("left", &reason))
        .namespace("/ask", |ask| ask.on("start", question))
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

#[derive(Deserialize)]
struct Upload {
    content: Bytes,
}

fn guard(request: Request, headers: Headers) -> Result<Option<Redirect>> {
    request.set_response_header("x-guard", "was here")?;
    match headers.get("x-key") {
        Some("wrong") => Err(Failure::new(403, "wrong key")
            .with_data(json!({ "key": 1 }))
            .into()),
        Some("old") => Ok(Some(redirect("/new").permanent())),
        _ => Ok(None),
    }
}

fn post_message(Json(message): Json<Message>) -> Result<(u16, Json<Message>)> {
    to(&message.room).emit("chat:message", &message)?;
    Ok((201, Json(message)))
}

fn show(request: Request) -> Result<Response> {
    format(&request)
        .json(|| json!({ "a": 1 }))
        .html(|| "<b>a</b>")
        .respond()
}

fn admit(Auth(token): Auth<String>, context: Context) -> Result<()> {
    if token != "sesame" {
        return Err(Failure::new(401, "wrong token").into());
    }
    context.set("user", "ada")
}

fn send(socket: Socket, Data(message): Data<Message>) -> Result<&'static str> {
    socket.to(&message.room).emit("chat:message", &message)?;
    emit("some-update", &message)?;
    Ok("sent")
}

fn question(socket: Socket) -> Result<Json<u32>> {
    let own: u32 = socket.emit_with_ack("how many?", &(), Duration::from_secs(1))?;
    let others = of("/ask").except(socket.id()).emit_with_ack::<u32>(
        "how many?",
        &(),
        Duration::from_secs(1),
    )?;
    let others: u32 = others.into_iter().filter_map(|(_, ack)| ack.ok()).sum();
    Ok(Json(own + others))
}

fn client(app: &testing::App) -> Socket {
    app.client().auth("sesame").connect()
}

#[test]
fn routes_take_parameters() {
    let app = testing::App::new(app);
    assert_eq!(app.get("/api/hello/Ad%C3%A4").send().text().unwrap(), "Adä");
    assert_eq!(app.get("/api/sum/40/2").send().text().unwrap(), "42");
    let wrong = app.get("/api/sum/40/x").send();
    assert_eq!(wrong.status(), 400);
    assert_eq!(
        wrong.json::<Value>().unwrap()["error"],
        "the path does not fit: `b`: expected a whole number, found `x`"
    );
}

#[test]
fn bodies_are_read_and_refused() {
    let app = testing::App::new(app);
    let message = json!({ "room": "a", "text": "b" });
    let created = app.post("/api/messages").json(&message).send();
    assert_eq!(
        (created.status(), created.json::<Value>().unwrap()),
        (201, message)
    );

    let error = |response: Response| {
        assert_eq!(response.status(), 400);
        response.json::<Value>().unwrap()["error"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let part = app
        .post("/api/messages")
        .json(&json!({ "room": "a" }))
        .send();
    assert_eq!(
        error(part),
        "the body does not fit: field `text` is missing"
    );
    let plain = app.post("/api/messages").body("{}").send();
    assert_eq!(
        error(plain),
        "the body must have content-type application/json, this one has none"
    );
    let query = app.get("/api/search?q=100%").send();
    assert!(error(query).starts_with("the query does not fit: `100%`"));
    assert_eq!(
        app.get("/api/search?q=a+b%21").send().text().unwrap(),
        "a b!"
    );

    let login = app.post("/api/login").form("user=ada").send();
    assert_eq!(
        (login.status(), login.header("location")),
        (302, Some("/home/ada"))
    );
    assert_eq!(
        app.patch("/api/echo").body("hey").send().text().unwrap(),
        "PATCH: hey"
    );
    assert_eq!(app.delete("/api/echo").send().text().unwrap(), "DELETE");
}

#[test]
fn policies_pass_answer_or_fail() {
    let app = testing::App::new(app);
    let passed = app.get("/api/hello/a").send();
    assert_eq!(
        (passed.status(), passed.header("x-guard")),
        (200, Some("was here"))
    );

    let moved = app.get("/api/hello/a").header("x-key", "old").send();
    assert_eq!(
        (moved.status(), moved.header("location")),
        (308, Some("/new"))
    );

    let failed = app.get("/api/hello/a").header("x-key", "wrong").send();
    assert_eq!(
        (failed.status(), failed.header("x-guard")),
        (403, Some("was here"))
    );
    assert_eq!(
        failed.json::<Value>().unwrap(),
        json!({ "error": "wrong key", "code": 403, "id": "test", "data": { "key": 1 } })
    );
    assert_eq!(
        testing::logged(),
        ["/api/hello/a 200", "/api/hello/a 308", "/api/hello/a 403"]
    );
}

#[test]
fn answers_have_forms_and_failures() {
    let app = testing::App::new(app);
    let html = app
        .get("/api/form")
        .header("accept", "text/html, */*;q=0.1")
        .send();
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(
        app.get("/api/form")
            .header("accept", "image/png")
            .send()
            .status(),
        406
    );

    let failed = app.get("/api/fail").send();
    assert_eq!(failed.status(), 500);
    assert_eq!(
        failed.json::<Value>().unwrap()["error"],
        "internal server error"
    );
    assert_eq!(testing::logged()[2..], ["secret", "/api/fail 500"]);

    assert_eq!(app.get("/api/none").send().status(), 404);
    assert_eq!(app.get("/nowhere").send().status(), 404);
    assert_eq!(app.post("/api/none").send().status(), 405);
    assert_eq!(app.request("HEAD", "/api/form").send().status(), 200);
    let created = app.put("/api/created").send();
    assert_eq!(
        (created.status(), created.header("location")),
        (201, Some("/x"))
    );
    assert_eq!(app.get("/api/inside").send().text().unwrap(), "inside");
}

#[test]
fn a_request_over_a_socket_has_its_context() {
    let app = testing::App::new(app);
    let ada = client(&app);
    assert_eq!(
        app.get("/api/whoami").from(&ada).send().text().unwrap(),
        "ada"
    );
    assert_eq!(app.get("/api/whoami").send().status(), 404);
}

#[test]
fn a_broadcast_reaches_the_room_but_not_the_sender() {
    let app = testing::App::new(app);
    let (ada, bob, eve) = (client(&app), client(&app), client(&app));
    ada.join("a").unwrap();
    bob.join(["a", "b"]).unwrap();
    let message = Message {
        room: "a".to_owned(),
        text: "hi".to_owned(),
    };

    let ack = app.event("chat:send", &message).from(&ada).send().unwrap();
    assert_eq!(ack.data::<String>().unwrap(), "sent");

    let emitted = testing::emitted();
    let [.., to_room, to_all] = emitted.as_slice() else {
        panic!("{emitted:?}")
    };
    assert_eq!(
        (to_room.event.as_str(), to_room.data::<Message>().unwrap()),
        ("chat:message", message)
    );
    assert!(to_room.reached(&bob) && !to_room.reached(&ada) && !to_room.reached(&eve));
    assert!(to_all.reached(&ada) && to_all.reached(&eve));
}

#[test]
fn events_have_several_and_binary_arguments() {
    let app = testing::App::new(app);
    let ada = client(&app);
    let ack = |event, data: &Value| app.event(event, data).from(&ada).send();

    let moved = app.event("move", &(1, 2)).from(&ada).send().unwrap();
    assert_eq!(moved.data::<(i32, i32)>().unwrap(), (2, 1));
    assert_eq!(ack("move", &json!(1)).unwrap().json, "[null,1]");
    assert_eq!(ack("move", &json!("x")).unwrap_err().code(), 400);
    assert_eq!(
        ack("other", &json!("x"))
            .unwrap()
            .data::<(String, String)>()
            .unwrap(),
        ("other".into(), r#"["x"]"#.into())
    );

    #[derive(Serialize)]
    struct Upload {
        content: Bytes,
    }
    let file = Upload {
        content: Bytes::from(b"1234"),
    };
    let uploaded = app.event("upload", &file).from(&ada).send().unwrap();
    assert_eq!(uploaded.data::<usize>().unwrap(), 4);
    assert_eq!(
        app.event("silent", &())
            .from(&ada)
            .without_ack()
            .send()
            .unwrap()
            .json,
        "[]"
    );
}

#[test]
fn clients_come_and_go() {
    let app = testing::App::new(app);
    assert_eq!(
        app.client().auth("x").try_connect().unwrap_err(),
        Failure::new(401, "wrong token")
    );
    assert_eq!(
        app.client().try_connect().unwrap_err().message(),
        "auth is missing"
    );

    let ada = client(&app);
    assert_eq!(ada.get::<String>("user").unwrap().unwrap(), "ada");
    assert_eq!(testing::emitted()[0].event, "welcome");
    assert!(find("/", &ada.id()).is_some());

    app.disconnect(&ada, "transport close");
    assert_eq!(
        testing::emitted()[1].data::<String>().unwrap(),
        "transport close"
    );
    assert!(find("/", &ada.id()).is_none());
    assert_eq!(ada.emit("too late", &()).unwrap_err().code(), 410);
    assert_eq!(ada.get::<String>("user").unwrap().unwrap(), "ada");
}

#[test]
fn the_server_asks_clients() {
    let app = testing::App::new(app);
    let ada = app.client().of("/ask").connect();
    let _bob = app.client().of("/ask").connect();
    let start = || app.event("start", &()).from(&ada).send();
    assert_eq!(start().unwrap_err().code(), 504);

    testing::answer("how many?", &2);
    testing::answer_of(&ada, "how many?", &40);
    assert_eq!(start().unwrap().data::<u32>().unwrap(), 42);
}

#[test]
fn html_is_labelled() {
    fn page() -> App {
        App::new().get("/", || Html("<p>"))
    }
    let response = testing::App::new(page).get("/").send();
    assert_eq!(
        response.header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[test]
fn i12_5_schedules_are_fired_by_their_names() {
    fn tick(due: Due) -> Result<()> {
        Ok(emit("tick", &due.millis())?)
    }
    fn fails() -> Result<()> {
        Err(Failure::new(503, "nobody is there").into())
    }
    fn jobs() -> App {
        App::new()
            .every("5s", tick)
            .cron("0 3 * * *", fails)
            .schedule("asks", "every 1h", || -> Result<()> {
                let answer = dispatch("GET", "/api/count").send()?;
                log::info(answer.text()?);
                Ok(())
            })
            .get("/api/count", || "seven")
    }
    let app = testing::App::new(jobs);
    let due = std::time::UNIX_EPOCH + Duration::from_millis(1_500);
    app.fire_at("tick", due).unwrap();
    assert_eq!(testing::emitted()[0].data::<u64>().unwrap(), 1_500);
    assert_eq!(app.fire("fails").unwrap_err().code(), 503);
    app.fire("asks").unwrap();
    assert_eq!(testing::logged(), ["seven"]);
    let unknown = std::panic::catch_unwind(|| app.fire("tock"));
    assert!(unknown.is_err(), "there is no such schedule");
}

#[test]
#[should_panic(expected = "schedule tick is declared twice")]
fn i12_5_a_name_that_is_declared_twice_fails_the_test() {
    fn tick() {}
    testing::App::new(|| App::new().every("5s", tick).cron("0 3 * * *", tick));
}

hitchy_guest::export!(app);
