// Drives the official socket.io client for the tests: one JSON command per line on standard input, one JSON message per line on
// standard output. A message with `re` answers the command with that `n`; one with `of` tells what happened to a socket.
//
// Bytes travel as {"$binary": base64}; {"$undefined": true} stands for undefined.
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

const untag = (value) => {
  if (Array.isArray(value)) return value.map(untag);
  if (!value || typeof value !== "object") return value;
  if (typeof value.$binary === "string") return Buffer.from(value.$binary, "base64");
  if (value.$undefined) return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, untag(inner)]));
};

// Watches a socket: each thing that happens to it is told once.
const watch = (name, socket, answers, greeting) => {
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
    sockets.set(name, { socket, answers: answers ?? {} });
    socket.once("connect", () => resolve({ id: socket.id, transport: socket.io.engine.transport.name }));
    socket.once("connect_error", (error) => resolve({ refused: error.message, data: tag(error.data ?? null) }));
    watch(name, socket, sockets.get(name).answers, greeting ?? []);
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
  answer: ({ answers, event, args }) => ((answers[event] = args), null),
  disconnect: ({ socket }) => (socket.disconnect(), null),
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
