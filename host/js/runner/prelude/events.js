// Events and connections: the calls of what connection callbacks have registered.

import host, { state, text } from "hitchy:host";
import { describe, unsendable } from "hitchy:errors";
import { declareOn, hooks, listeners, namespaces } from "hitchy:io";
import { pack, withAttachments } from "hitchy:payload";
import { NOBODY, OWN_EVENTS, Socket, refusal } from "hitchy:socket";
import { whenIdle } from "hitchy:tasks";

const isPromise = value => typeof value?.then === "function";

// Runs the connection callbacks once, with a socket that stands for no client, to find out what they register.
export function record() {
    for (const namespace of namespaces.values()) {
        if (namespace._guards.length || namespace._callbacks.length) hooks.push(namespace);
        const socket = namespace._socket;
        socket._declare = declareOn(namespace);
        socket._reads = false;
        state.recording = true;
        try {
            for (const callback of namespace._callbacks) recordOne(namespace, callback, socket);
        } finally {
            state.recording = false;
        }
    }
}

function recordOne(namespace, callback, socket) {
    const where = `io.on("connection") of ${namespace.name}`;
    const failed = error => new Error(`${where} is run once while the file is loaded, with a socket that stands for no client, to find its listeners, and failed: ${describe(error)}; register listeners first`);
    let result;
    try {
        result = callback(socket);
    } catch (error) {
        throw failed(error);
    }
    if (!isPromise(result)) return;
    // What goes on after an `await` cannot be kept from having effects, so such a callback never runs again for an
    // event.
    namespace._isAsync = true;
    result.then(undefined, error => host.log(3, failed(error).message.toWellFormed()));
}

// Ends the recording: what asynchronous callbacks register later is not found.
export function endRecording() {
    for (const namespace of namespaces.values()) {
        namespace._socket._declare = undeclared(namespace);
        namespace._socket._keepRecorded();
        warnOfLost(namespace);
        namespace._socket._release();
    }
}

// Warns of properties that guards and listeners set on the socket itself, as far as their text shows it: the socket is
// another object in the next call.
function warnOfLost(namespace) {
    const functions = [...namespace._guards, ...[...namespace._socket._listeners.values()].flat(), ...namespace._socket._any];
    const parameters = [...namespace._guards, ...namespace._callbacks].map(one => /^(?:async\s+)?(?:function\b[^(]*)?\(?\s*([\w$]+)/.exec(text(one))?.[1]);
    const names = new Set(parameters.filter(Boolean));
    const lost = new Set();
    for (const one of functions) {
        for (const [, variable, property] of text(one.original ?? one).matchAll(/(?<![.\w$])([\w$]+)\.([\w$]+)\s*=(?![=>])/g)) {
            if (names.has(variable) && property !== "data") lost.add(`${variable}.${property}`);
        }
    }
    if (lost.size) host.log(3, `${[...lost].join(", ")}: the socket is another object in the next call, unless instances = "socket"; what a guard or a listener sets on it is kept as ${[...lost][0].replace(".", ".data.")}`.toWellFormed());
}

const warned = new Set();
const undeclared = namespace => event => {
    if (OWN_EVENTS.has(event) || warned.has(event)) return;
    if (listeners.some(one => one.namespace === namespace && (one.event === event || one.event === "*"))) return;
    warned.add(event);
    host.log(3, `socket.on(${JSON.stringify(event)}) has no effect, because it was not called when the file was loaded: call it at once in io.on("connection", socket => …), not later or under a condition`.toWellFormed());
};

function packAnswer(values, event) {
    try {
        return pack(values);
    } catch (error) {
        throw unsendable(`the ack of ${JSON.stringify(event)}`, error);
    }
}

// The answer to an event.
class Ack {
    constructor(event) {
        this.event = event;
        this.packet = undefined;
        this.resolve = undefined;
    }
    // Answers with these values.
    give(values) {
        if (this.packet) {
            host.log(3, `ack of ${JSON.stringify(this.event)} was called again; only the first call counts`.toWellFormed());
            return;
        }
        this.packet = packAnswer(values, this.event);
        this.resolve?.(this.packet);
    }
}

// Returns the socket of a client, with the listeners that the connection callbacks have registered for it.
//
// In an instance of one connection, the callbacks run once. Elsewhere they run for the event: what they read of the
// client must be that client's, and what they keep must not be seen by another. If they read nothing, and the instance
// is new, then the socket that was recorded is as good. Nothing that they do has an effect here: it had when the client
// connected.
function socketOf(namespace, number) {
    if (namespace._live) return namespace._live._bind(number);
    const life = namespace._callbacks.length === 0 || namespace._isAsync ? "" : host.life();
    if (life === "" || (life === "call" && !namespace._socket._reads)) return namespace._socket._bind(number);
    const socket = guardedSocket(namespace, number);
    socket._declare = undeclared(namespace);
    state.recording = state.replaying = true;
    try {
        for (const callback of namespace._callbacks) callback(socket);
    } finally {
        state.recording = state.replaying = false;
    }
    socket._data = undefined;
    if (life === "socket") keepAlive(namespace, socket);
    return socket;
}

// Makes a socket that of an instance of one connection.
function keepAlive(namespace, socket) {
    socket._isLive = true;
    namespace._live = socket;
}

// Returns the socket that the guards have seen, if this instance has it, or else another one.
const guardedSocket = (namespace, number) => namespace._guarded?._bind(number) ?? new Socket(namespace.name, number);

export function event(index, number, name, values, attachments, wanted) {
    const socket = socketOf(listeners[index].namespace, number);
    const args = withAttachments(values, attachments);
    const ack = wanted ? new Ack(name) : undefined;
    if (socket._middlewares.length) return guarded(socket, name, args, ack);
    return run(socket, name, args, ack);
}

async function guarded(socket, name, args, ack) {
    try {
        for (const middleware of socket._middlewares) await nextOf(next => middleware([name, ...args], next));
    } catch (error) {
        for (const listener of socket._listeners.get("error") ?? []) listener.call(socket, error);
        throw error;
    }
    return run(socket, name, args, ack);
}

// Waits until a middleware calls `next`.
const nextOf = start =>
    new Promise((resolve, reject) => {
        const result = start(error => (error === undefined || error === null ? resolve() : reject(refusal(error))));
        if (isPromise(result)) result.then(undefined, reject);
    });

function run(socket, name, args, ack) {
    if (ack) args.push((...values) => ack.give(values));
    const own = socket._listeners.get(name);
    if (own?.length === 1 && socket._any.length === 0) {
        const result = own[0].apply(socket, args);
        if (isPromise(result)) return Promise.resolve(result).then(value => conclude([value], ack));
        return ack?.packet ?? conclude([result], ack);
    }
    const ended = socket._any.map(listener => listener.call(socket, name, ...args)).filter(isPromise);
    const results = (own ?? []).map(listener => listener.apply(socket, args));
    if (ended.length === 0 && !results.some(isPromise)) return conclude(results, ack);
    return Promise.all([...results, ...ended]).then(values => conclude(values.slice(0, results.length), ack));
}

// Returns the packet that answers the event: what `ack` was called with, or else what a listener has returned.
function conclude(values, ack) {
    if (!ack) return null;
    if (ack.packet) return ack.packet;
    const value = values.find(value => value !== undefined);
    if (value !== undefined) return packAnswer([value], ack.event);
    return new Promise(resolve => {
        ack.resolve = resolve;
        whenIdle(() => resolve(null));
    });
}

export async function connect(index, number) {
    const namespace = hooks[index];
    const socket = new Socket(namespace.name, number);
    if (host.life() === "socket") {
        socket._isLive = true;
        namespace._guarded = socket;
    }
    for (const guard of namespace._guards) await nextOf(next => guard(socket, next));
}

export function connected(index, number) {
    const namespace = hooks[index];
    if (namespace._callbacks.length === 0) return undefined;
    const socket = guardedSocket(namespace, number);
    socket._declare = undeclared(namespace);
    // What the callbacks have captured lasts as long as the instance. In an instance of one connection, its events go
    // on with it.
    if (host.life() === "socket") keepAlive(namespace, socket);
    const results = namespace._callbacks.map(callback => callback(socket));
    return results.some(isPromise) ? Promise.all(results) : undefined;
}

export async function disconnected(index, number, reason) {
    const socket = socketOf(hooks[index], number);
    for (const name of ["disconnecting", "disconnect"]) {
        const results = (socket._listeners.get(name) ?? []).map(listener => listener.call(socket, reason));
        await Promise.all(results);
    }
}
