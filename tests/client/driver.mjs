// Drives the official socket.io client for the tests: one JSON command per line on standard input, one JSON message per line on
// standard output. A message with `re` answers the command with that `n`; one with `of` tells what happened to a socket.
//
// Bytes travel as {"$binary": base64}, to the client also as {"$arraybuffer": base64} and {"$typed": base64}, which say as what they
// are given to it; a Blob is none of them, since the client for Node sends the text "[object Blob]" instead. {"$undefined": true}
// stands for undefined.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

const tag = (value) => {
  if (value === undefined) return { $undefined: true };
  if (value instanceof ArrayBuffer) return { $binary: Buffer.from(value).toString("base64") };
  if (ArrayBuffer.isView(value)) {
    return { $binary: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(tag);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, tag(inner)]));
  }
  return value;
};

// A buffer of its own: small ones of Node are parts of a larger one.
const arrayBuffer = (base64) => Uint8Array.from(Buffer.from(base64, "base64")).buffer;

// A view of numbers of two bytes into the middle of a buffer.
const typed = (base64) => {
  const bytes = Buffer.from(base64, "base64");
  const view = new Uint16Array(new ArrayBuffer(bytes.length + 4), 2, bytes.length / 2);
  bytes.copy(Buffer.from(view.buffer), view.byteOffset);
  return view;
};

const untag = (value) => {
  if (Array.isArray(value)) return value.map(untag);
  if (!value || typeof value !== "object") return value;
  if (typeof value.$binary === "string") return Buffer.from(value.$binary, "base64");
  if (typeof value.$arraybuffer === "string") return arrayBuffer(value.$arraybuffer);
  if (typeof value.$typed === "string") return typed(value.$typed);
  if (value.$undefined) return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, untag(inner)]));
};

// The types of packets that are acks, with and without attachments.
const ACKS = [3, 6];

// Watches a socket: each thing that happens to it is told once. The client passes on only the first ack of a number; `acks` gets them
// all.
const watch = (name, socket, { answers, acks }, greeting) => {
  socket.io.on("packet", (packet) => {
    if (ACKS.includes(packet.type) && packet.nsp === socket.nsp) acks.push(packet.id);
  });
  socket.on("connect", () => {
    for (const [event, ...args] of greeting) {
      const given = args.map(untag);
      socket.emit(event, ...given, (...ack) => say({ of: name, what: "greeting-ack", event, args: ack.map(tag) }));
    }
    say({ of: name, what: "connect", id: socket.id, transport: socket.io.engine?.transport?.name });
  });
  socket.on("connect_error", (error) =>
    say({ of: name, what: "connect_error", message: error.message, data: tag(error.data ?? null) }),
  );
  socket.on("disconnect", (reason, details) =>
    say({ of: name, what: "disconnect", reason, details: details?.description?.message ?? null }),
  );
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    say({ of: name, what: "event", event, args: args.map(tag), ackWanted: ack !== null });
    if (ack && event in answers) ack(...answers[event].map(untag));
  });
};

const connect = ({ socket: name, url, options, answers, greeting }) =>
  new Promise((resolve) => {
    const socket = io(url, { forceNew: true, reconnection: false, ...options });
    const known = { socket, answers: answers ?? {}, acks: [] };
    sockets.set(name, known);
    socket.once("connect", () => resolve({ id: socket.id, transport: socket.io.engine.transport.name }));
    // One that tries again is not refused yet.
    if (!options.reconnection) {
      socket.once("connect_error", (error) => resolve({ refused: error.message, data: tag(error.data ?? null) }));
    }
    watch(name, socket, known, greeting ?? []);
  });

const emit = ({ socket, event, args }) => {
  socket.emit(event, ...args.map(untag));
  return null;
};

// Emits with a callback; its arguments are the answer.
const ask = ({ socket, event, args }) =>
  new Promise((resolve) => socket.emit(event, ...args.map(untag), (...ack) => resolve(ack.map(tag))));

// Emits all without waiting in between; the answer lists the acks in the order in which they came.
const askAll = ({ socket, calls }) =>
  new Promise((resolve) => {
    const came = [];
    calls.forEach(([event, ...args], index) =>
      socket.emit(event, ...args.map(untag), (...ack) => {
        came.push({ index, ack: ack.map(tag) });
        if (came.length === calls.length) resolve(came);
      }),
    );
    if (calls.length === 0) resolve(came);
  });

const commands = {
  connect,
  emit,
  ask,
  askAll,
  acks: ({ acks }) => acks,
  answer: ({ answers, event, args }) => ((answers[event] = args), null),
  disconnect: ({ socket }) => (socket.disconnect(), null),
  engine: ({ socket }) => socket.io.engine.id,
  // How many times the first event was sent that waits for its ack, with the option `retries`.
  tries: ({ socket }) => socket._queue[0]?.tryCount ?? 0,
  closeTransport: ({ socket }) => (socket.io.engine.close(), null),
  transport: ({ socket }) => socket.io.engine?.transport?.name ?? null,
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const { n, do: what, ...command } = JSON.parse(line);
  try {
    const known = what === "connect" ? {} : sockets.get(command.socket);
    if (!known) throw new Error(`no socket ${command.socket}`);
    say({ re: n, ok: await commands[what]({ ...command, ...known }) });
  } catch (error) {
    say({ re: n, error: String(error?.stack ?? error) });
  }
}).on("close", () => process.exit(0));
