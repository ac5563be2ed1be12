// A connection of a client, with the methods of socket.io's `Socket`.

import host, { pairs, state, text } from "hitchy:host";
import { makeData } from "hitchy:data";
import { Failure } from "hitchy:errors";
import { Broadcast, rooms } from "hitchy:broadcast";
import { pack, unpack } from "hitchy:payload";
import { parseQuery, toObject } from "hitchy:url";

// The number of a socket that stands for no client.
export const NOBODY = 0xffffffff;
// Longer than any call: the call's own deadline ends the waiting.
export const NO_TIMEOUT = 0x7fffffff;

// The functions that save the data of sockets of this call.
let savers = [];

// Writes the data of all sockets of the call back.
export function saveSockets() {
    const all = savers;
    savers = [];
    for (const save of all) save();
}

// Takes the callback at the end of arguments away, and returns it. The others are those of the packet.
export const takeCallback = args => (typeof args[args.length - 1] === "function" ? args.pop() : undefined);

// Events that a client does not send, so that nothing is declared for them.
export const OWN_EVENTS = new Set(["disconnect", "disconnecting", "error", "newListener", "removeListener"]);

export class Socket {
    constructor(namespace, number) {
        this._namespace = namespace;
        this._listeners = new Map();
        this._any = [];
        this._middlewares = [];
        this._timeout = undefined;
        // True if something of the client was read while nobody was connected.
        this._reads = false;
        this._bind(number);
    }
    // Keeps what the connection callbacks have set on the socket itself while they were recorded.
    _keepRecorded() {
        this._recorded = this._set();
    }
    // Returns the properties that handlers have set. Those of the API begin with `_`.
    _set() {
        return Object.fromEntries(Object.entries(this).filter(([name]) => !name.startsWith("_")));
    }
    // Forgets what a call has set on the socket, so that the next client does not see it.
    _forget() {
        for (const name of Object.keys(this._set())) delete this[name];
        Object.assign(this, this._recorded);
        this._timeout = undefined;
    }
    // Makes this the socket of another call. Functions that were recorded have captured this object.
    _bind(number) {
        this._number = number;
        this._id = undefined;
        this._data = undefined;
        this._handshake = undefined;
        return this;
    }

    // What the client is.
    get id() {
        this._noteRead();
        return (this._id ??= this._number === NOBODY ? "" : host.socketId(this._number));
    }
    _noteRead() {
        if (this._number === NOBODY) this._reads = true;
    }
    get connected() {
        return true;
    }
    get nsp() {
        return { name: this._namespace };
    }
    get handshake() {
        this._noteRead();
        return (this._handshake ??= handshake(this._number));
    }
    get request() {
        const { headers, url, address } = this.handshake;
        return { headers, url, connection: { remoteAddress: address }, socket: { remoteAddress: address } };
    }
    get conn() {
        return { remoteAddress: this.handshake.address };
    }
    get data() {
        this._noteRead();
        if (!this._data) {
            const number = this._number;
            if (number === NOBODY) return (this._data = {});
            const { object, save } = makeData(key => host.socketGet(number, key), (key, value) => host.socketSet(number, key, value));
            this._data = object;
            // What a callback changes that runs only to register listeners is not kept.
            if (!state.recording) savers.push(save);
        }
        return this._data;
    }
    // `socket.data = {…}` adds to what is there, because the host keeps each property by itself.
    set data(value) {
        Object.assign(this.data, value);
    }

    // Rooms.
    get rooms() {
        this._noteRead();
        return new Set(this._number === NOBODY ? [] : host.socketRooms(this._number));
    }
    join(names) {
        if (!state.recording) host.socketJoin(this._number, rooms(names));
    }
    leave(name) {
        if (!state.recording) host.socketLeave(this._number, rooms(name));
    }

    // Messages to this client.
    emit(event, ...args) {
        const callback = takeCallback(args);
        if (callback) this._askFor(event, args, callback);
        else if (!state.recording) host.socketEmit(this._number, text(event), pack(args));
    }
    send(...args) {
        this.emit("message", ...args);
        return this;
    }
    write(...args) {
        return this.send(...args);
    }
    async emitWithAck(event, ...args) {
        return (await this._ask(event, args))[0];
    }
    // Returns the arguments of the ack.
    async _ask(event, values) {
        if (state.recording) return new Promise(() => {});
        const timeout = this._timeout ?? NO_TIMEOUT;
        this._timeout = undefined;
        return unpack(host.socketEmitWithAck(this._number, text(event), pack(values), timeout));
    }
    _askFor(event, values, callback) {
        const timed = this._timeout !== undefined;
        this._ask(event, values).then(
            answers => (timed ? callback(null, ...answers) : callback(...answers)),
            error => (timed ? callback(error) : console.error("no ack:", error)),
        );
    }
    timeout(milliseconds) {
        this._timeout = milliseconds;
        return this;
    }
    get volatile() {
        return this;
    }
    compress() {
        return this;
    }
    disconnect(close = false) {
        if (!state.recording) host.socketDisconnect(this._number, Boolean(close));
        return this;
    }

    // Messages to others.
    get broadcast() {
        return new Broadcast(this._namespace, undefined, this._self());
    }
    // Returns the list with this socket, which gets none of what it sends to others.
    _self() {
        return this._number === NOBODY ? [] : [this.id];
    }
    get local() {
        return this.broadcast.local;
    }
    to(names) {
        return new Broadcast(this._namespace, rooms(names), this._self());
    }
    in(names) {
        return this.to(names);
    }
    except(names) {
        return this.broadcast.except(names);
    }

    // Listeners.
    on(event, listener) {
        if (typeof listener !== "function") throw new TypeError(`socket.on(${JSON.stringify(event)}, …) takes a function`);
        const name = text(event);
        if (!this._listeners.has(name)) this._listeners.set(name, []);
        this._listeners.get(name).push(listener);
        this._declare?.(name);
        return this;
    }
    off(event, listener) {
        if (listener === undefined) this._listeners.delete(text(event));
        else this._listeners.set(text(event), this.listeners(event).filter(one => one !== listener && one.original !== listener));
        return this;
    }
    once(event, listener) {
        const once = (...args) => {
            this.off(event, once);
            return listener.apply(this, args);
        };
        once.original = listener;
        return this.on(event, once);
    }
    addListener(event, listener) {
        return this.on(event, listener);
    }
    removeListener(event, listener) {
        return this.off(event, listener);
    }
    removeAllListeners(event) {
        if (event === undefined) this._listeners.clear();
        else this.off(event);
        return this;
    }
    listeners(event) {
        return [...(this._listeners.get(text(event)) ?? [])];
    }
    onAny(listener) {
        this._any.push(listener);
        this._declare?.("*");
        return this;
    }
    prependAny(listener) {
        this._any.unshift(listener);
        this._declare?.("*");
        return this;
    }
    offAny(listener) {
        this._any = listener === undefined ? [] : this._any.filter(one => one !== listener);
        return this;
    }
    use(middleware) {
        this._middlewares.push(middleware);
        return this;
    }
}

function handshake(number) {
    if (number === NOBODY) return { headers: {}, query: {}, auth: {}, address: "", time: "", issued: 0, url: "/socket.io/", secure: false, xdomain: false };
    const headers = toObject(pairs(host.socketHeaders(number)));
    const query = host.socketQuery(number);
    const auth = host.socketAuth(number);
    const remote = host.socketRemote(number);
    return {
        headers,
        query: toObject(parseQuery(query)),
        auth: auth === undefined ? {} : JSON.parse(auth),
        address: remote.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1"),
        time: new Date().toString(),
        issued: Date.now(),
        url: `/socket.io/?${query}`,
        secure: headers["x-forwarded-proto"] === "https",
        xdomain: headers.origin !== undefined,
    };
}

// Makes a failure of what a middleware gave to `next`.
export function refusal(error) {
    const code = Number.isInteger(error?.code) && error.code >= 400 && error.code <= 599 ? error.code : 403;
    return new Failure(code, error instanceof Error ? error.message : String(error?.message ?? error), error?.data);
}
