// The page of the chat. Who is connected and who is where is known to the server, and so are the last messages of each room. Whatever
// others wrote is only ever put in as text.
"use strict";

const MOST_MESSAGES = 500;
const MOST_GONE = 10;
const TYPING_LASTS = 4000;
const TYPING_EVERY = 2000;
const ACK_WITHIN = 10000;

const $ = (id) => document.getElementById(id);

// What this tab remembers through a reload: the name, a secret by which the server knows that it is the same tab, its rooms.
const store = {
  read: (key, otherwise) => JSON.parse(sessionStorage.getItem(key) ?? "null") ?? otherwise,
  write: (key, value) => sessionStorage.setItem(key, JSON.stringify(value)),
};

// crypto.randomUUID is missing where the page does not come over https.
const randomId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const roomInAddress = () => {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // a stray % in the address
  }
};

let name = store.read("name", "");
const key = store.read("key", randomId());
store.write("key", key);

// By name: { name, joined, messages, unread, here, seen, typing }. `joined` is what the person wants; the server is told at each connect.
const rooms = new Map();
let current = store.read("current", "general");
let socket = null;

const room = (name) => {
  if (!rooms.has(name)) {
    rooms.set(name, { name, joined: false, messages: [], unread: 0, here: [], seen: {}, typing: new Map() });
  }
  return rooms.get(name);
};

// ---- The connection

const connect = () => {
  if (typeof io === "undefined") {
    showSignIn("The socket.io client is missing: run npm ci in the example's folder, then reload this page.");
    return;
  }
  socket = io({ auth: (send) => send({ name, key }) });
  showState("connecting", "Connecting");

  socket.on("connect_error", (error) => {
    if (socket.active) {
      showState("reconnecting", "Reconnecting");
      if (!$("sign-in").hidden) showSignInError("The server cannot be reached. Trying again.");
    } else {
      signOut(error.message);
    }
  });
  socket.on("disconnect", (reason) => {
    if (reason === "io client disconnect") return;
    showState("reconnecting", "Reconnecting");
    // The client does not come back by itself when the server has ended the connection.
    if (reason === "io server disconnect") setTimeout(() => socket?.connect(), 1000);
  });
  socket.on("refused", (message) => signOut(message));
  socket.on("welcome", welcome);
  socket.on("changed", askWho);
  socket.on("typing", someoneTypes);
  socket.on("message", receive);
  socket.on("announcement", (announcement) => {
    const everywhere = [...rooms.values()].filter((it) => it.joined);
    everywhere.forEach((it) => add(it, { ...announcement, announcement: true }));
  });
};

// Comes after each connect: the server knows this connection's name, but not yet which rooms it was in before.
const welcome = (answer) => {
  name = answer.name;
  store.write("name", name);
  answer.rooms.forEach(room);
  store.read("joined", ["general"]).forEach((it) => (room(it).joined = true));
  if (roomInAddress()) {
    current = roomInAddress();
    room(current).joined = true;
  }
  if (!room(current).joined) current = [...rooms.values()].find((it) => it.joined)?.name ?? "general";
  room(current).joined = true;

  showState("connected", "Connected");
  showChat();
  [...rooms.values()].filter((it) => it.joined).forEach(join);
};

const join = (it) => {
  it.joined = true;
  rememberRooms();
  const waiting = it.messages.filter((message) => message.state === "pending");
  socket.emit("join", it.name, (answer) => {
    if (answer?.error) {
      rooms.delete(it.name);
      rememberRooms();
      if (current === it.name) enter("general");
      showNotice(answer.error.message);
      return;
    }
    takeHistory(it, answer);
    // What the history has by now arrived before the connection was lost, and only its ack did not.
    waiting.filter((message) => message.state === "pending").forEach(deliver);
  });
};

// The last messages that the server has of a room: all that this page does not know, when it was loaded or has been away.
const takeHistory = (it, history) => {
  const known = new Map(it.messages.map((message) => [message.id, message]));
  const wasHere = known.size > 0;
  const before = it.messages.length;
  for (const kept of history) {
    const message = known.get(kept.id) ?? { id: kept.id };
    if (!known.has(kept.id)) it.messages.push(message);
    known.set(kept.id, Object.assign(message, kept, { state: "sent" }));
  }
  const missed = it.messages.length - before;
  const isPending = (message) => Number(message.state === "pending");
  it.messages.sort((one, other) => isPending(one) - isPending(other) || one.at - other.at);
  it.messages.splice(0, it.messages.length - MOST_MESSAGES);
  if (wasHere && (it.name !== current || document.hidden)) it.unread += missed;
  if (it.name === current) showMessages();
  showRooms();
};

const leave = (it) => {
  socket.emit("leave", it.name);
  Object.assign(it, { joined: false, messages: [], unread: 0, here: [], seen: {} });
  enter([...rooms.values()].find((other) => other.joined).name);
  rememberRooms();
};

const enter = (name) => {
  current = name;
  const it = room(name);
  if (!it.joined) join(it);
  it.unread = 0;
  rememberRooms();
  showRoom();
};

const rememberRooms = () => {
  store.write("joined", [...rooms.values()].filter((it) => it.joined).map((it) => it.name));
  store.write("current", current);
};

const askWho = (name) => {
  socket.emit("who", name, (answer) => {
    if (answer?.error) return;
    Object.assign(room(name), answer);
    showPeople();
  });
};

const signOut = (message = "") => {
  socket?.disconnect();
  socket = null;
  showSignIn(message);
};

// ---- Messages

const send = (text) => {
  const message = { id: randomId(), room: current, from: name, text, at: Date.now(), state: "pending" };
  add(room(current), message);
  deliver(message);
  lastTold = 0; // the next letter begins another message
};

// While there is no connection it stays pending: `join` tries again.
const deliver = (message) => {
  if (!socket?.connected) return;
  message.state = "pending";
  socket.timeout(ACK_WITHIN).emit("message", message.room, message.text, message.id, (late, answer) => {
    if (late) {
      if (socket?.connected) change(message, { state: "failed" });
    } else if (answer?.error) {
      takeBack(message, answer.error.message);
    } else {
      change(message, { ...answer, state: "sent" });
    }
  });
};

const takeBack = (message, why) => {
  const it = room(message.room);
  it.messages = it.messages.filter((other) => other !== message);
  showMessages();
  if (!$("text").value) $("text").value = message.text;
  fitText();
  showNotice(why);
};

const announce = async (text) => {
  const headers = { "content-type": "application/json" };
  const answer = await fetch("/api/announce", { method: "POST", headers, body: JSON.stringify({ text }) }).catch(() => null);
  if (!answer?.ok) showNotice((await answer?.json().catch(() => null))?.error ?? "The server cannot be reached.");
};

const receive = (message) => {
  const it = room(message.room);
  it.typing.delete(message.from);
  // One that was sent again because its ack got lost.
  if (it.messages.some((other) => other.id === message.id)) return;
  if (it.name !== current || document.hidden) it.unread += 1;
  add(it, { ...message, state: "sent" });
  showRooms();
  showTyping();
};

const add = (it, message) => {
  it.messages.push(message);
  const tooMany = it.messages.length > MOST_MESSAGES;
  if (tooMany) it.messages.shift();
  if (it.name !== current) return;
  if (tooMany) $("messages").firstChild.remove();
  const stays = !isAtEnd && message.from !== name;
  $("empty").hidden = true;
  message.element = element(message, it.messages.at(-2));
  $("messages").append(message.element);
  if (stays) showNewer(newer + 1);
  else toEnd();
};

const change = (message, what) => {
  Object.assign(message, what);
  const it = room(message.room);
  if (!message.element?.isConnected) return;
  const replaced = element(message, it.messages[it.messages.indexOf(message) - 1]);
  message.element.replaceWith(replaced);
  message.element = replaced;
  if (isAtEnd) toEnd();
};

// ---- Typing

let lastTold = 0;

const tellTyping = () => {
  if (!socket?.connected || !$("text").value.trim() || Date.now() - lastTold < TYPING_EVERY) return;
  lastTold = Date.now();
  socket.emit("typing", current);
};

const someoneTypes = ({ room: where, from }) => {
  const { typing } = room(where);
  const until = Date.now() + TYPING_LASTS;
  typing.set(from, until);
  setTimeout(() => {
    if (typing.get(from) === until) typing.delete(from);
    showTyping();
  }, TYPING_LASTS);
  showTyping();
};

// ---- What is seen

const make = (tag, className, ...children) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

const hue = (name) => [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);

const paintAvatar = (avatar, name) => {
  avatar.textContent = [...name][0]?.toUpperCase() ?? "";
  avatar.style.setProperty("--hue", hue(name));
  return avatar;
};

const avatarOf = (name) => {
  const avatar = paintAvatar(make("span", "avatar"), name);
  avatar.ariaHidden = "true";
  return avatar;
};

const timeOf = (at) => {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  const day = isToday ? {} : { day: "numeric", month: "short" };
  const time = make("time", "", date.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" }));
  time.dateTime = date.toISOString();
  return time;
};

const howLongAgo = (at) => {
  const minutes = Math.floor((Date.now() - at) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return new Date(at).toLocaleDateString([], { day: "numeric", month: "short" });
};

const element = (message, before) => {
  if (message.announcement) {
    const meta = make("div", "meta", make("strong", "", "Announcement"), timeOf(message.at));
    return make("li", "announcement", meta, make("div", "text", message.text));
  }
  const mine = message.from === name;
  const follows = before?.from === message.from && message.at - before.at < 300_000;
  const item = make("li", `message ${mine ? "mine" : ""} ${follows ? "follows" : ""} is-${message.state}`);
  const author = make("bdi", "", mine ? "You" : message.from);
  if (follows) author.className = "visually-hidden";
  if (!mine) item.append(follows ? make("span") : avatarOf(message.from));
  if (!follows) item.append(make("div", "meta", author, timeOf(message.at)));
  const text = make("div", "text", message.text);
  text.dir = "auto";
  text.title = new Date(message.at).toLocaleString();
  item.append(text);
  if (follows) item.append(author);
  if (message.state === "pending") item.append(make("span", "visually-hidden", "Sending"));
  if (message.state === "failed") item.append(failed(message));
  return item;
};

const failed = (message) => {
  const again = make("button", "", "Try again");
  again.type = "button";
  again.onclick = () => {
    deliver(message);
    change(message, {});
  };
  return make("span", "failed", "Not sent.", again);
};

// Whether the last message is in sight: new ones scroll into it then, and wait behind a button otherwise.
let isAtEnd = true;
let newer = 0;

const toEnd = () => {
  $("messages").scrollTop = $("messages").scrollHeight;
  isAtEnd = true;
  showNewer(0);
};

const showNewer = (count) => {
  newer = count;
  $("newer").hidden = count === 0;
  $("newer").textContent = count === 1 ? "1 new message" : `${count} new messages`;
};

const showMessages = () => {
  const { messages } = room(current);
  const list = $("messages");
  list.ariaBusy = "true"; // nobody wants all of them read out
  messages.forEach((message, index) => (message.element = element(message, messages[index - 1])));
  list.replaceChildren(...messages.map((message) => message.element));
  list.ariaBusy = "false";
  $("empty").hidden = messages.length > 0;
  toEnd();
};

// The entry of a room in the list. It stays the same element: one that is replaced while it is pressed gets no click.
const entryOf = (it) => {
  if (!it.entry) {
    const button = make("button");
    button.type = "button";
    button.onclick = () => {
      enter(it.name);
      openMenu(false);
      $("text").focus();
    };
    it.entry = make("li", "", button);
  }
  const button = it.entry.firstChild;
  button.className = it.joined ? "" : "elsewhere";
  button.ariaCurrent = it.name === current ? "true" : null;
  button.replaceChildren(make("bdi", "", `# ${it.name}`));
  if (!it.joined) button.append(make("span", "hint", "Join"));
  if (it.unread && it.name !== current) {
    button.append(make("span", "badge", String(it.unread), make("span", "visually-hidden", " unread")));
  }
  return it.entry;
};

const showRooms = () => {
  const items = [...rooms.values()].map(entryOf);
  const shown = [...$("rooms").children];
  if (items.length !== shown.length || items.some((item, index) => item !== shown[index])) $("rooms").replaceChildren(...items);

  const unread = [...rooms.values()].reduce((sum, it) => sum + it.unread, 0);
  const elsewhere = unread - room(current).unread;
  $("menu-unread").hidden = elsewhere === 0;
  $("menu-unread").textContent = String(elsewhere);
  $("leave").hidden = [...rooms.values()].filter((it) => it.joined).length < 2;
  document.title = `${unread ? `(${unread}) ` : ""}#${current} · Hitchy chat`;
};

const showPeople = () => {
  const { here, seen } = room(current);
  $("here-count").textContent = String(here.length);
  $("people-here").textContent = here.length ? `${here.length} here` : ""; // not known yet
  const items = here.map((who) => {
    const item = make("li", "", avatarOf(who), make("bdi", "", who));
    item.title = who;
    if (who === name) item.append(make("span", "muted", "(you)"));
    return item;
  });
  $("here").replaceChildren(...items);

  const gone = Object.entries(seen).sort(([, one], [, other]) => other - one).slice(0, MOST_GONE);
  const lastSeen = gone.map(([who, at]) => {
    const item = make("li", "", avatarOf(who), make("bdi", "", who), make("span", "ago", howLongAgo(at)));
    item.title = `${who}, last seen ${new Date(at).toLocaleString()}`;
    return item;
  });
  $("seen-title").hidden = gone.length === 0;
  $("seen").replaceChildren(...lastSeen);
};

const showTyping = () => {
  const names = [...room(current).typing.keys()];
  const said = [
    "",
    `${names[0]} is typing…`,
    `${names[0]} and ${names[1]} are typing…`,
    "Several people are typing…",
  ];
  $("typing").textContent = said[Math.min(names.length, 3)];
};

const showRoom = () => {
  $("room-name").textContent = `# ${current}`;
  history.replaceState(null, "", `#${encodeURIComponent(current)}`);
  showNotice("");
  showMessages();
  showRooms();
  showPeople();
  showTyping();
};

const showState = (state, text) => {
  $("state").dataset.state = state;
  $("state").textContent = text;
};

const showNotice = (text) => {
  $("notice").hidden = !text;
  $("notice").textContent = text;
  if (isAtEnd) toEnd();
};

const showSignInError = (text) => {
  $("sign-in-error").hidden = !text;
  $("sign-in-error").textContent = text;
  $("name").setAttribute("aria-invalid", String(Boolean(text)));
};

const showSignIn = (text) => {
  $("chat").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-button").disabled = false;
  $("name").value = name;
  showSignInError(text);
  $("name").focus();
};

const showChat = () => {
  const wasHidden = $("chat").hidden;
  $("sign-in").hidden = true;
  $("chat").hidden = false;
  $("my-name").textContent = name;
  paintAvatar($("my-avatar"), name);
  showRoom();
  // On a phone the keyboard would cover half the room at once.
  if (wasHidden && matchMedia("(pointer: fine)").matches) $("text").focus();
};

const openMenu = (open) => {
  document.body.classList.toggle("menu-open", open);
  $("menu").ariaExpanded = String(open);
  $("chat").querySelector(".room").inert = open;
  if (open) $("rooms").querySelector("button")?.focus();
};

// As high as its text.
const fitText = () => {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`;
};

// ---- What a person does

$("sign-in-form").onsubmit = (event) => {
  event.preventDefault();
  name = $("name").value;
  showSignInError("");
  $("sign-in-button").disabled = true;
  socket?.disconnect();
  connect();
};

$("sign-out").onclick = () => {
  openMenu(false);
  sessionStorage.removeItem("name");
  rooms.clear();
  name = "";
  signOut();
};

$("new-room-form").onsubmit = (event) => {
  event.preventDefault();
  const wanted = $("new-room").value.trim().toLowerCase().replace(/^#/, "").replace(/\s+/g, "-");
  if (!wanted) return;
  $("new-room").value = "";
  enter(wanted);
  openMenu(false);
  $("text").focus();
};

$("composer").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  fitText();
  showNotice("");
  if (text.startsWith("/announce ")) announce(text.slice("/announce ".length));
  else send(text);
  $("text").focus();
};

$("text").onkeydown = (event) => {
  // Not while a word is being composed, as in Japanese.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
};

$("text").oninput = () => {
  fitText();
  tellTyping();
};

$("messages").onscroll = () => {
  const list = $("messages");
  isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  if (isAtEnd) showNewer(0);
};

$("newer").onclick = () => {
  toEnd();
  $("text").focus();
};

$("leave").onclick = () => leave(room(current));
$("menu").onclick = () => openMenu(!document.body.classList.contains("menu-open"));
$("backdrop").onclick = () => openMenu(false);

document.onkeydown = (event) => {
  if (event.key !== "Escape" || !document.body.classList.contains("menu-open")) return;
  openMenu(false);
  $("menu").focus();
};

document.onvisibilitychange = () => {
  if (document.hidden || !rooms.has(current)) return;
  room(current).unread = 0;
  showRooms();
};

window.onhashchange = () => {
  if (socket?.connected && roomInAddress() && roomInAddress() !== current) enter(roomInAddress());
};

// The times in "Last seen" go on.
setInterval(() => socket && showPeople(), 30_000);

// The window changes when a keyboard comes up: who was at the end stays there.
new ResizeObserver(() => isAtEnd && toEnd()).observe($("messages"));

if (name) connect();
else showSignIn("");
