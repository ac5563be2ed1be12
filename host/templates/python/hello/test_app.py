"""Tests of the handler, without a server: `.venv/bin/python -m unittest`."""

import unittest

from hitchy.testing import TestClient

from app import app


class Hello(unittest.TestCase):
    def test_says_hello(self):
        client = TestClient(app)
        self.assertEqual(client.get("/api/hello/Ada").json(), {"hello": "Ada"})

    def test_tells_everyone_what_was_said(self):
        client = TestClient(app)
        ada, bob = client.connect(), client.connect()
        message = {"from": "Ada", "text": "hi"}
        self.assertEqual(ada.emit("chat:say", message), "told everyone")
        self.assertEqual(bob.received, [("chat:said", message)])
