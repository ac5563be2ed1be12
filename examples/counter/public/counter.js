// The page of the counter: what the server tells over the one connection is shown, what is clicked is asked over the other, as a
// request with a token. Both share one connection of the browser.
"use strict";

const $ = (id) => document.getElementById(id);

const token = () => document.querySelector("input[name=user]:checked").value;

// The numbers only grow, so of two that arrive in the wrong order the larger one is the newer.
let newest = -1;
let visits = 0;

const show = ({ count, who, changes }) => {
  if (changes < newest) return;
  newest = changes;
  $("count").textContent = String(count);
  const names = who.map((name) => Object.assign(document.createElement("li"), { textContent: name }));
  $("who").replaceChildren(...names);
};

const showVisits = (number) => {
  visits = Math.max(visits, number);
  $("visits").hidden = false;
  $("visits").textContent = `This page was opened ${visits === 1 ? "once" : `${visits} times`}.`;
};

const showError = (text) => {
  $("error").hidden = !text;
  $("error").textContent = text;
};

const showState = (state, text) => {
  $("state").dataset.state = state;
  $("state").textContent = text;
};

const start = () => {
  const live = io();
  const requests = io("/hitchy");

  live.on("count", show);
  live.on("visits", showVisits);
  live.on("connect", () => {
    newest = -1; // the server may have been given other data
    showState("connected", "Live");
  });
  live.on("disconnect", () => showState("reconnecting", "Reconnecting"));
  live.on("connect_error", () => showState("reconnecting", "Reconnecting"));

  const ask = (method) => {
    const headers = token() ? { authorization: `Bearer ${token()}` } : {};
    const request = { method, url: "/api/count/me", headers };
    requests.timeout(10000).emit("request", request, (late, answer) => {
      if (late) showError("The server does not answer.");
      else if (answer.statusCode >= 400) showError(`${answer.statusCode}: ${answer.body.error}`);
      else showError("");
    });
  };
  $("come").onclick = () => ask("PUT");
  $("stay").onclick = () => ask("DELETE");

  document.querySelector("fieldset").onchange = () => {
    sessionStorage.setItem("token", token());
    showError("");
  };
};

const known = document.querySelector(`input[name=user][value="${CSS.escape(sessionStorage.getItem("token") ?? "")}"]`);
if (known) known.checked = true;

if (typeof io === "undefined") {
  showError("The socket.io client is missing: run npm ci in the example's folder, then reload this page.");
} else {
  start();
}
