"""A whole handler through the double: the contract, what functions take, and what they may return."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import unittest
from typing import Literal, Optional

from hitchy import (
    App,
    ConfigError,
    Context,
    Failure,
    FetchError,
    FetchResponse,
    Request,
    Response,
    Socket,
    StoreError,
    config,
    dispatch,
    emit,
    except_,
    fetch,
    find,
    html,
    kv,
    log,
    of,
    redirect,
    to,
    within,
)
from hitchy import exports
from hitchy.testing import TestClient


class Recorder:
    """A registrar that notes the declarations."""

    def __init__(self):
        self.declared = []

    def __getattr__(self, kind):
        return lambda *words: self.declared.append((kind, *words))


class Declarations(unittest.TestCase):
    def test_everything_is_declared_in_the_order_of_its_indexes(self):
        app = App()
        nothing = lambda: None
        app.get("/a")(nothing)
        app.all("/b/{*rest}")(nothing)
        app.before("/admin", method="POST")(nothing)
        app.after()(nothing)
        app.on("say")(nothing)
        app.on("say", namespace="/chat")(nothing)
        app.on_any(nothing)
        app.on_connect(nothing)
        app.on_connect("/chat")(nothing)
        app.on_disconnect(nothing)

        @app.every("5s")
        def tick():
            pass

        app.cron("0 3 * * *", name="clean-up")(nothing)
        recorder = Recorder()
        exports.describe(app, recorder)
        self.assertEqual(
            recorder.declared,
            [
                ("route", "GET", "/a"),
                ("route", "", "/b/{*rest}"),
                ("before", "POST", "/admin"),
                ("after", "", "/"),
                ("listener", "/", "say"),
                ("listener", "/chat", "say"),
                ("listener", "/", "*"),
                ("connection", "/"),
                ("connection", "/chat"),
                ("schedule", "tick", "every 5s"),
                ("schedule", "clean-up", "0 3 * * *"),
            ],
        )

    def test_what_cannot_be_called_is_refused_when_it_is_declared(self):
        app = App()

        async def later():
            pass

        def named(*, word):
            pass

        def of_a_hook(socket, word):
            pass

        def of_a_schedule(socket):
            pass

        for declare, words in [
            (lambda: app.get("/")(later), "without `async`"),
            (lambda: app.get("/")(named), "by keyword only"),
            (lambda: app.on_connect(of_a_hook), "a hook takes"),
            (lambda: app.every("5s")(of_a_schedule), "a schedule takes"),
        ]:
            with self.assertRaisesRegex(TypeError, words):
                declare()


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Item:
    name: str
    price: float = 1.0
    colours: list[Colour] = dataclasses.field(default_factory=list)


class Routes(unittest.TestCase):
    def setUp(self):
        self.app = App()
        self.client = TestClient(self.app)

    def get(self, path="/x", **options):
        return self.client.get(path, **options)

    def test_returned_values_are_answers(self):
        kind = "application/json; charset=utf-8"
        for value, status, content_type, body in [
            (None, 200, None, ""),
            ("hi", 200, "text/plain; charset=utf-8", "hi"),
            (b"\x01", 200, "application/octet-stream", "\x01"),
            ({"a": [1, True, None]}, 200, kind, '{"a":[1,true,null]}'),
            (Item("tea", 2.5, [Colour.RED]), 200, kind, '{"name":"tea","price":2.5,"colours":["red"]}'),
            ({"at": datetime.date(2026, 1, 2)}, 200, kind, '{"at":"2026-01-02"}'),
            (7, 200, kind, "7"),
            (("made", 201), 201, "text/plain; charset=utf-8", "made"),
            ((["x"], 201, {"x-a": "b"}), 201, kind, '["x"]'),
            (html("<p>"), 200, "text/html; charset=utf-8", "<p>"),
            (Response("<a/>", 404, content_type="text/xml"), 404, "text/xml", "<a/>"),
            (redirect("/y"), 302, None, ""),
        ]:
            with self.subTest(value=value):
                self.app.routes.clear()
                self.app.get("/x")(lambda value=value: value)
                # The default is a parameter of the query, which nobody sends.
                answer = self.get()
                self.assertEqual((answer.status, answer.headers.get("content-type")), (status, content_type))
                self.assertEqual(answer.text, body)
        self.assertEqual(answer.headers["location"], "/y")

    def test_what_cannot_be_answered_is_an_error_with_a_sentence_in_the_log(self):
        for value, words in [
            ({"a": float("nan")}, "Out of range float"),
            (object(), "a route cannot return object"),
            ({"a": object()}, "object cannot be written as JSON"),
            (("a", "b"), "(body, status)"),
        ]:
            self.app.routes.clear()
            self.app.get("/x")(lambda value=value: value)
            answer = self.get()
            self.assertEqual((answer.status, answer.json()["error"]), (500, "internal server error"))
            self.assertIn(words, self.client.logged[-1][1])

    def test_arguments_come_from_the_path_the_query_and_the_body(self):
        @self.app.post("/shops/{shop}/items/{*rest}")
        def add(
            shop: int, rest, item: Item, request: Request, context: Context, limit: int = 5, tag: Optional[str] = None
        ):
            return [shop, rest, item.name, request.method, limit, tag, context.get("user")]

        answer = self.client.post("/shops/7/items/a/b%20c?limit=3", json={"name": "tea"})
        self.assertEqual(answer.json(), [7, "a/b c", "tea", "POST", 3, None, None])
        self.assertEqual(self.client.post("/shops/7/items/a?tag=x", json={"name": "t"}).json()[4:6], [5, "x"])

    def test_bodies_are_bytes_text_forms_and_json(self):
        self.app.post("/bytes")(lambda body: body)
        types = {"bytes": bytes, "text": str, "any": dict}
        for name, kind in types.items():

            def handler(body):
                return {"is": type(body).__name__, "length": len(body)}

            handler.__annotations__["body"] = kind
            self.app.post(f"/typed/{name}")(handler)
        sent = b'{"a": "b"}'
        for name, kind in types.items():
            answer = self.client.post(f"/typed/{name}", body=sent)
            self.assertEqual(answer.json()["is"], kind.__name__)
        form = {"content-type": "application/x-www-form-urlencoded"}
        self.assertEqual(self.client.post("/typed/any", body="a=1&b=2", headers=form).json()["length"], 2)

    def test_what_does_not_fit_is_a_400_that_names_the_place(self):
        @self.app.post("/items/{id}")
        def add(id: int, item: Item, colour: Literal["red", "blue"] = "red", deep: bool = False):
            return "ok"

        for url, body, sentence in [
            ("/items/x", {}, 'the path does not fit: `id`: expected a whole number, found "x"'),
            ("/items/1", {}, "the body does not fit: `name` is missing"),
            ("/items/1", [], "the body does not fit: expected an object, found an array"),
            ("/items/1", {"name": 5}, "the body does not fit: `name`: expected a string, found the number 5"),
            ("/items/1", {"name": "a", "price": True}, "the body does not fit: `price`: expected a number, found true"),
            (
                "/items/1",
                {"name": "a", "colours": ["red", "green"]},
                'the body does not fit: `colours.1`: expected one of "red", "blue", found the string "green"',
            ),
            ("/items/1?deep=maybe", {"name": "a"}, 'the query does not fit: `deep`: expected true or false, found "maybe"'),
            ("/items/1?colour=x", {"name": "a"}, 'the query does not fit: `colour`: expected one of "red", "blue", found "x"'),
        ]:
            answer = self.client.post(url, json=body)
            self.assertEqual((answer.status, answer.json()["error"]), (400, sentence))
        answer = self.client.post("/items/1", body="{")
        self.assertEqual(answer.status, 400)
        self.assertIn("the body is not JSON", answer.json()["error"])
        self.app.get("/query")(lambda word: word)
        self.assertEqual(self.get("/query").json()["error"], "the query does not fit: `word` is missing")

    def test_a_failure_is_for_the_client_and_any_other_error_for_the_log(self):
        @self.app.get("/taken")
        def taken():
            raise Failure(409, "this name is taken", {"field": "name"})

        @self.app.get("/broken")
        def broken():
            try:
                {}["missing"]
            except KeyError as error:
                raise RuntimeError("no luck") from error

        answer = self.get("/taken")
        self.assertEqual(answer.status, 409)
        self.assertEqual(answer.json()["data"], {"field": "name"})
        self.assertEqual(self.get("/broken").status, 500)
        level, text = self.client.logged[-1]
        self.assertEqual(level, "error")
        self.assertRegex(text, r"RuntimeError: no luck\n  at test_handler.py:\d+ in broken\nbecause of KeyError: 'missing'")

    def test_policies_answer_pass_and_see_the_status(self):
        seen = []

        @self.app.before("/admin")
        def check(request: Request, context: Context):
            user = request.header("X-User")
            if user is None:
                raise Failure(401, "who are you?")
            if user == "bob":
                return "not you", 403
            context["user"] = user
            request.set_response_header("x-checked", "yes")

        @self.app.after("/admin")
        def note(request: Request, status: int):
            seen.append((request.path, status))

        @self.app.get("/admin/me")
        def me(context: Context):
            return context["user"]

        self.app.get("/administrator")(lambda: "another path")
        self.assertEqual(self.get("/admin/me").status, 401)
        self.assertEqual(self.get("/admin/me", headers={"x-user": "bob"}).status, 403)
        answer = self.get("/admin/me", headers={"x-user": "ada"})
        self.assertEqual((answer.text, answer.headers["x-checked"]), ("ada", "yes"))
        self.assertEqual(self.get("/administrator").text, "another path")
        self.assertEqual(seen, [("/admin/me", 401), ("/admin/me", 403), ("/admin/me", 200)])

    def test_a_handler_sends_requests_to_its_own_server(self):
        self.app.get("/inner/{name}")(lambda name: {"inner": name})
        self.app.get("/outer")(lambda: dispatch("GET", "/inner/x").json())
        self.app.get("/nothing")(lambda: dispatch("GET", "/missing"))
        self.assertEqual(self.get("/outer").json(), {"inner": "x"})
        self.assertEqual(self.get("/nothing").status, 404)


class Events(unittest.TestCase):
    def setUp(self):
        self.app = App()
        self.client = TestClient(self.app)

    def test_arguments_are_those_of_the_event_in_their_order(self):
        @self.app.on("all")
        def every(socket: Socket, first, ack_wanted: bool, *others):
            return [first, list(others), ack_wanted]

        @self.app.on("typed")
        def typed(item: Item, count: int = 1):
            return item.name, count

        @self.app.on_any
        def any_other(event: str, *arguments):
            return f"{event}:{len(arguments)}"

        ada = self.client.connect()
        self.assertEqual(ada.emit("all", 1, b"\x00", {"b": [b"\x01"]}), [1, [b"\x00", {"b": [b"\x01"]}], True])
        self.assertEqual(ada.emit("typed", {"name": "tea"}), ("tea", 1))
        self.assertEqual(ada.emit("else", 1, 2), "else:2")
        for arguments, sentence in [
            ((), "the event does not fit: argument 1, `item`, is missing"),
            (("x",), 'the argument `item` does not fit: expected an object, found the string "x"'),
            (({"name": "x"}, "y"), 'the argument `count` does not fit: expected a whole number, found the string "y"'),
        ]:
            with self.assertRaises(Failure) as caught:
                ada.emit("typed", *arguments)
            self.assertEqual((caught.exception.code, caught.exception.message), (400, sentence))

    def test_an_object_like_a_placeholder_is_an_ordinary_one(self):
        self.app.on("echo")(lambda value: [value])
        ada = self.client.connect()
        placeholder = {"_placeholder": True, "num": 0}
        self.assertEqual(ada.emit("echo", placeholder), [placeholder])

    def test_broadcasts_reach_rooms_and_leave_out_others(self):
        ada, bob, eve = (self.client.connect() for _ in range(3))

        @self.app.on("go")
        def go(socket: Socket, room: str):
            socket.join(room)
            socket.to(room).emit("others", socket.id)
            socket.within(room).emit("room")
            socket.broadcast.emit("all-but-me")
            emit("everyone", {"n": 1})
            to(room).except_(socket.id).emit("direct")
            except_(room).emit("outside")
            within([room, "b"]).emit("either")
            of("/").local().volatile().emit("last")
            return to(room).ids()

        bob.emit("go", "a")
        del bob._connection.received[:]
        self.assertEqual(ada.emit("go", "a"), sorted([ada.id, bob.id]))
        names = lambda client: [event for event, *_ in client.received]
        self.assertEqual(names(bob), ["others", "room", "all-but-me", "everyone", "direct", "either", "last"])
        self.assertEqual(names(ada)[-4:], ["room", "everyone", "either", "last"])
        self.assertIn(("everyone", {"n": 1}), eve.received)
        self.assertEqual(ada.rooms, {"a"})

    def test_a_socket_has_data_rooms_and_a_handshake(self):
        @self.app.on("enter")
        def enter(socket: Socket, context: Context):
            context["visits"] = context.get("visits", 0) + 1
            socket.data["name"] = socket.auth["name"]
            with self.assertRaises(KeyError):
                socket.data["missing"]
            socket.join(["x", "y"], "z")
            socket.leave("y")
            try:
                socket.require("y")
            except Failure as failure:
                code = failure.code
            return [socket.namespace, socket.header("Origin"), socket.headers["origin"], code, to("x").values("name")]

        ada = self.client.connect(auth={"name": "Ada"}, headers={"Origin": "here"})
        self.assertEqual(ada.emit("enter"), ["/", "here", "here", 403, ["Ada"]])
        ada.emit("enter")
        self.assertEqual(ada.data, {"visits": 2, "name": "Ada"})
        self.assertEqual(ada.rooms, {"x", "z"})

    def test_acks_of_clients_and_ends(self):
        @self.app.on("ask")
        def ask(socket: Socket):
            own = socket.emit_with_ack("name?", timeout=2)
            answers = of("/").emit_with_ack("name?")
            return [own, [getattr(answer, "code", answer) for answer in answers.values()]]

        @self.app.on("kick")
        def kick(id: str):
            other = find(id)
            other.disconnect()
            try:
                other.emit("too late")
            except Failure as failure:
                return failure.code, find(id) is None

        ada, bob = self.client.connect(), self.client.connect()
        ada.answer("name?", "Ada")
        self.assertEqual(ada.emit("ask"), ["Ada", ["Ada", 504]])
        self.assertEqual(ada.emit("kick", bob.id), (410, True))
        self.assertFalse(bob.is_connected)

    def test_a_reserved_event_is_refused(self):
        self.app.on("x")(lambda: emit("connect", 1))
        with self.assertRaises(Failure) as caught:
            self.client.connect().emit("x")
        self.assertEqual(caught.exception.code, 400)

    def test_hooks_refuse_greet_and_see_the_end(self):
        ended = []

        @self.app.on_connect
        def admit(socket: Socket, auth: str | None):
            if auth is None:
                raise Failure(401, "say who you are")
            socket.data["name"] = auth

        @self.app.on_connected
        def greet(socket: Socket):
            socket.emit("welcome", socket.data["name"])

        @self.app.on_disconnect
        def leave(socket: Socket, reason: str):
            ended.append((socket.data["name"], reason))

        with self.assertRaises(Failure) as caught:
            self.client.connect()
        self.assertEqual(caught.exception.code, 401)
        ada = self.client.connect(auth="ada")
        self.assertEqual(ada.received, [("welcome", "ada")])
        ada.disconnect()
        self.assertEqual(ended, [("ada", "client namespace disconnect")])

    def test_namespaces_are_apart(self):
        self.app.on("x", namespace="/chat")(lambda: of("/chat").emit("y"))
        ada, bob = self.client.connect("/chat"), self.client.connect()
        ada.emit("x")
        self.assertEqual((ada.received, bob.received), ([("y",)], []))

    def test_schedules_run_by_their_names(self):
        seen = []

        @self.app.every("1h")
        def tick(due: datetime.datetime):
            seen.append(due)

        self.client.run_schedule("tick", 3600)
        self.assertEqual(seen, [datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.timezone.utc)])


class Capabilities(unittest.TestCase):
    def test_keys_and_values(self):
        TestClient(App(), buckets=("prices",))
        kv.set("a", {"n": 1})
        self.assertEqual((kv.get("a"), kv.get("b"), kv.get("b", 3)), ({"n": 1}, None, 3))
        self.assertEqual((kv.increment("n"), kv.increment("n", 5), kv.get("n")), (1, 6, 6))
        self.assertEqual(kv.update("list", lambda items: (items or []) + [1]), [1])
        self.assertEqual([kv.push_bounded("list", item, 2) for item in (2, 3)], [[1, 2], [2, 3]])
        kv.set_many({"x:1": 1, "x:2": 2})
        self.assertEqual(kv.get_many(["x:2", "x:3"]), [2, None])
        self.assertEqual(list(kv.keys("x:")), ["x:1", "x:2"])
        kv.delete_many(["x:1"])
        kv.delete("x:2")
        self.assertFalse(kv.exists("x:1"))
        kv.set_many({f"page:{at:04}": at for at in range(250)})
        self.assertEqual(len(list(kv.keys("page:"))), 250)
        prices = kv.bucket("prices")
        prices.set_bytes("tea", b"\xff")
        self.assertEqual(prices.get_bytes("tea"), b"\xff")
        for run, words in [
            (lambda: prices.get("tea"), "is not JSON"),
            (lambda: kv.bucket("secret"), "no bucket `secret`"),
            (lambda: kv.set("k" * 2000, 1), "at most 1 KiB"),
            (lambda: kv.increment("a"), "not a number"),
        ]:
            with self.assertRaisesRegex(StoreError, words):
                run()

    def test_an_update_runs_again_when_another_call_was_faster(self):
        TestClient(App())
        tries = []

        def change(value):
            tries.append(value)
            if len(tries) == 1:
                kv.set("k", 10)
            return (value or 0) + 1

        self.assertEqual(kv.update("k", change), 11)
        self.assertEqual(tries, [None, 10])
        with self.assertRaises(Failure):
            kv.update("k", lambda value: (_ for _ in ()).throw(Failure(409, "no")))
        self.assertEqual(kv.get("k"), 11)

    def test_values_of_the_operator(self):
        TestClient(App(), config={"greeting": "hi"})
        self.assertEqual((config.get("greeting"), config.get("x"), config.get("x", "y")), ("hi", None, "y"))
        self.assertEqual(config.get_all(), {"greeting": "hi"})
        with self.assertRaisesRegex(ConfigError, "`x` is not set"):
            config.require("x")

    def test_other_servers_answer_as_the_test_says(self):
        app = App()

        @app.get("/rates")
        def rates():
            answer = fetch("https://api.example.com/rates?a=b", params={"c": "d e"}, json={"x": 1}, method="post")
            return [answer.status, answer.json(), answer.ok]

        @app.get("/strict")
        def strict():
            return fetch("http://x.example").raise_for_status().text

        sent = []

        def server(parts):
            sent.append(parts)
            return FetchResponse(200 if parts.is_secure else 503, {"x-a": "b"}, b'{"eur":1}')

        client = TestClient(app, fetch=server)
        self.assertEqual(client.get("/rates").json(), [200, {"eur": 1}, True])
        self.assertEqual((sent[0].method, sent[0].url), ("POST", "https://api.example.com/rates?a=b&c=d+e"))
        self.assertIn(("content-type", "application/json"), sent[0].headers)
        self.assertEqual(client.get("/strict").status, 502)

        def slow(parts):
            raise FetchError("timeout", "too slow")

        client.fetch = slow
        self.assertEqual(client.get("/rates").status, 504)
        client.fetch = None
        self.assertEqual(client.get("/rates").status, 500)
        self.assertIn("the test allows no server", client.logged[-1][1])
        for url in ("ftp://x", "/path", "http://user@x/"):
            with self.assertRaises(FetchError):
                fetch(url)

    def test_records_of_the_log(self):
        client = TestClient(App())
        log.info("a", 1)
        log.warn("b")
        self.assertEqual(client.logged, [("info", "a 1"), ("warn", "b")])


if __name__ == "__main__":
    unittest.main()
