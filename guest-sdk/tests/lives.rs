//! The lives of instances, as the test double plays them.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use hitchy_guest::instance::{self, Life};
use hitchy_guest::kv::Bucket;
use hitchy_guest::{App, Data, Json, Request, Result, Socket, dispatch, find, kv, testing};

/// What the handler keeps: the names of the calls that its instance had.
#[derive(Default)]
struct Seen(Vec<String>);

/// Keeps the name of a call, and answers with the life of its instance, the number of calls before it, and what was
/// kept.
fn see(name: &str) -> Json<(String, u32, Vec<String>)> {
    instance::with(|seen: &mut Seen| {
        seen.0.push(name.to_owned());
        let life = format!("{:?}", instance::life());
        Json((life, instance::calls(), seen.0.clone()))
    })
}

fn app() -> App {
    App::new()
        .before("/", || drop(see("before")))
        .get("/see", || see("route"))
        .get("/nested", || -> Result<Json<Vec<String>>> {
            let inner = dispatch("GET", "/see").send()?.text()?.to_owned();
            let Json(outer) = see("nested");
            Ok(Json(vec![inner, serde_json::to_string(&outer)?]))
        })
        .on_connect("/", |socket: Socket| {
            drop(see(&format!("hello {}", socket.id())))
        })
        .on_disconnect("/", || {
            let Json(seen) = see("bye");
            hitchy_guest::log::info(serde_json::to_string(&seen).unwrap_or_default());
        })
        .on("see", |Data(name): Data<String>| see(&name))
        .on("fault", || -> Json<()> {
            see("fault");
            panic!("a fault of the handler")
        })
        .every("5s", tick)
}

fn tick() {
    let Json(seen) = see("tick");
    hitchy_guest::log::info(serde_json::to_string(&seen).unwrap_or_default());
}

/// What [`see`] answers.
type Sight = (String, u32, Vec<String>);

fn route(app: testing::App) -> Sight {
    app.get("/see").send().json().unwrap()
}

fn event(app: testing::App, client: &Socket, name: &str) -> Sight {
    let ack = app.event("see", name).from(client).send();
    let (sight,): (Sight,) = ack.unwrap().data().unwrap();
    sight
}

fn sight(life: &str, calls: u32, seen: &[&str]) -> Sight {
    let seen = seen.iter().map(|name| (*name).to_owned());
    (life.to_owned(), calls, seen.collect())
}

#[test]
fn d01_a_call_sees_nothing_of_another() {
    let app = testing::App::new(app);
    let ann = app.client().id("ann").connect();
    for _ in 0..2 {
        assert_eq!(route(app), sight("Call", 0, &["route"]));
        assert_eq!(event(app, &ann, "one"), sight("Call", 0, &["one"]));
    }
}

#[test]
fn d02_a_client_has_an_instance_for_its_hooks_and_events() {
    let app = testing::App::new(app).instances(Life::Socket);
    let (ann, bob) = (
        app.client().id("ann").connect(),
        app.client().id("bob").connect(),
    );
    // The hook is called for `on_connect` and for `on_connected`, whichever functions it has.
    assert_eq!(
        event(app, &ann, "one"),
        sight("Socket", 2, &["hello ann", "one"])
    );
    assert_eq!(
        event(app, &ann, "two"),
        sight("Socket", 3, &["hello ann", "one", "two"])
    );
    assert_eq!(
        event(app, &bob, "one"),
        sight("Socket", 2, &["hello bob", "one"])
    );
    assert_eq!(
        route(app),
        sight("Call", 0, &["route"]),
        "requests are fresh"
    );
    let request = app.get("/see").from(&ann).send().json::<Sight>();
    assert_eq!(request.unwrap(), sight("Call", 0, &["route"]));

    app.disconnect(&ann, "transport close");
    let bye = r#"["Socket",4,["hello ann","one","two","bye"]]"#;
    assert_eq!(testing::logged(), [bye]);
    let ann = app.client().id("ann").connect();
    assert_eq!(
        event(app, &ann, "one"),
        sight("Socket", 2, &["hello ann", "one"])
    );
}

#[test]
fn d02_an_instance_may_end_while_its_client_stays() {
    let app = testing::App::new(app).instances(Life::Socket);
    let ann = app.client().id("ann").connect();
    event(app, &ann, "one");
    app.end_instances();
    assert_eq!(event(app, &ann, "two"), sight("Socket", 0, &["two"]));
}

#[test]
fn d02_a_fault_ends_the_instance() {
    for life in [Life::Socket, Life::Shared] {
        let app = testing::App::new(app).instances(life);
        let ann = app.client().id("ann").connect();
        let fault = || app.event("fault", &()).from(&ann).send();
        assert!(catch_unwind(AssertUnwindSafe(fault)).is_err());
        let life = format!("{life:?}");
        assert_eq!(event(app, &ann, "one"), sight(&life, 0, &["one"]));
    }
}

#[test]
fn d03_all_calls_have_the_shared_instance() {
    let app = testing::App::new(app).instances(Life::Shared);
    assert_eq!(route(app), sight("Shared", 1, &["before", "route"]));
    let ann = app.client().id("ann").connect();
    let seen = ["before", "route", "hello ann", "one"];
    assert_eq!(event(app, &ann, "one"), sight("Shared", 4, &seen));
    app.fire("tick").unwrap();
    let tick = r#"["Shared",5,["before","route","hello ann","one","tick"]]"#;
    assert_eq!(testing::logged(), [tick]);
    app.end_instances();
    assert_eq!(route(app), sight("Shared", 1, &["before", "route"]));
}

#[test]
fn d03_calls_of_one_instance_never_overlap() {
    let app = testing::App::new(app).instances(Life::Shared);
    let seen: Vec<String> = app.get("/nested").send().json().unwrap();
    let inner = r#"["Shared",1,["before","route"]]"#;
    let outer = r#"["Shared",1,["before","nested"]]"#;
    assert_eq!(seen, [inner, outer]);
}

thread_local! {
    static BUILT: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn i13_1_an_instance_builds_the_app_once() {
    fn counted() -> App {
        BUILT.set(BUILT.get() + 1);
        App::new().on("x", || ())
    }
    let app = testing::App::new(counted).instances(Life::Socket);
    let ann = app.client().connect();
    let built = |send: &dyn Fn()| {
        BUILT.set(0);
        send();
        BUILT.get()
    };
    let event = || drop(app.event("x", &()).from(&ann).send());
    // The double itself looks at the declarations before each event.
    assert_eq!([built(&event), built(&event)], [2, 1]);
}

#[derive(Default)]
struct Other(Option<usize>);

#[test]
fn i13_1_values_are_by_type_and_may_be_used_together() {
    testing::reset();
    let kept = instance::with(|seen: &mut Seen| {
        seen.0.push("one".to_owned());
        instance::with(|other: &mut Other| other.0 = Some(seen.0.len()));
        instance::with(|other: &mut Other| other.0)
    });
    assert_eq!(kept, Some(1));
    assert_eq!((instance::life(), instance::calls()), (Life::Call, 0));
    testing::reset();
    assert!(instance::with(|seen: &mut Seen| seen.0.is_empty()));
}

#[test]
#[should_panic(expected = "end the outer one first")]
fn i13_1_a_value_is_not_used_twice_at_a_time() {
    instance::with(|_: &mut Seen| instance::with(|_: &mut Seen| ()));
}

struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        hitchy_guest::log::info("dropped");
    }
}

#[test]
fn i13_1_nothing_is_dropped_when_an_instance_ends() {
    #[derive(Default)]
    struct Kept(Vec<Loud>);
    let app = testing::App::new(|| {
        App::new().get("/", || instance::with(|kept: &mut Kept| kept.0.push(Loud)))
    });
    let app = app.instances(Life::Shared);
    app.get("/").send();
    app.end_instances();
    assert_eq!(testing::logged(), [""; 0]);
    testing::reset();
}

/// Things of a call that must not be used in a later one.
#[derive(Default)]
struct Hoard {
    socket: Option<Socket>,
    request: Option<Request>,
    bucket: Option<Bucket>,
}

fn hoarder() -> App {
    App::new()
        .get("/", |request: Request| -> Result<()> {
            instance::with(|hoard: &mut Hoard| hoard.request = Some(request));
            Ok(())
        })
        .get("/bucket", || -> Result<String> {
            instance::with(|hoard: &mut Hoard| {
                let old = hoard.bucket.replace(kv::bucket("default")?);
                Ok(match old.map(|bucket| bucket.get::<u8>("x")) {
                    Some(Err(error)) => error.to_string(),
                    other => format!("{other:?}"),
                })
            })
        })
        .get("/header", || {
            instance::with(|hoard: &mut Hoard| {
                let request = hoard
                    .request
                    .as_ref()
                    .ok_or(hitchy_guest::Failure::new(404, "none"));
                request.and_then(|request| request.set_response_header("x", "y"))
            })
        })
        .get("/url", || {
            instance::with(|hoard: &mut Hoard| hoard.request.as_ref().map(Request::url))
                .unwrap_or_default()
        })
        .on("keep", |socket: Socket| -> Result<usize> {
            instance::with(|hoard: &mut Hoard| hoard.socket = Some(socket.clone()));
            socket.join("room")?; // it is valid until the call ends
            Ok(socket.rooms().len())
        })
        .on("emit", || {
            let kept = instance::with(|hoard: &mut Hoard| hoard.socket.clone());
            kept.map_or(Ok(()), |socket| socket.emit("x", &()))
        })
        .on("found", |socket: Socket| {
            let found = find("/", &socket.id()).map(|found| found.emit("x", &()));
            found.unwrap_or(Ok(()))
        })
        .on("rooms", || {
            let kept = instance::with(|hoard: &mut Hoard| hoard.socket.clone());
            Json(kept.map(|socket| socket.rooms()))
        })
}

/// The text with which a function panics.
fn panic_of<T>(act: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act))
        .err()
        .expect("it panics");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn d04_a_handle_of_an_earlier_call_gives_an_error() {
    let app = testing::App::new(hoarder).instances(Life::Shared);
    let ann = app.client().connect();
    let send = |event| app.event(event, &()).from(&ann).send();
    assert_eq!(send("keep").unwrap().data::<usize>().unwrap(), 2);
    assert!(
        send("found").is_ok(),
        "a socket that was just found is valid"
    );
    let failure = send("emit").unwrap_err();
    assert_eq!(failure.code(), 410);
    let sentence = "a socket of an earlier call was used, and a handle lasts for one call; keep the id of the socket, and \
                    find it by its id";
    assert_eq!(failure.message(), sentence);
    assert_eq!(panic_of(|| send("rooms")), sentence);
    assert_eq!(ann.rooms().len(), 2, "the test's own sockets stay valid");

    app.get("/").send();
    let answer = app.get("/header").send();
    assert_eq!(answer.status(), 410, "{answer:?}");
    assert!(
        answer
            .text()
            .unwrap()
            .contains("keep what was read from it")
    );
    assert!(panic_of(|| app.get("/url").send()).starts_with("a request of an earlier call"));

    assert_eq!(app.get("/bucket").send().text().unwrap(), "None");
    let answer = app.get("/bucket").send();
    let said = answer.text().unwrap();
    assert!(said.ends_with("open it anew"), "{said}");
}

thread_local! {
    static STASH: RefCell<Option<Socket>> = const { RefCell::new(None) };
}

#[test]
fn d04_a_handle_does_not_outlive_its_call_in_a_static_either() {
    let app = testing::App::new(|| App::new().on("keep", |socket: Socket| STASH.set(Some(socket))));
    app.event("keep", &()).send().unwrap();
    let stashed = STASH.take().expect("it was kept");
    assert_eq!(stashed.join("x").unwrap_err().code(), 410);
}
