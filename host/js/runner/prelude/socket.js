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

// The sockets of this call.
let bound = [];

// Writes the data of all sockets of the call back.
export function saveSockets() {
    if (savers.length === 0) return;
    const all = savers;
    savers = [];
    for (const save of all) save();
}

// Lets go of the sockets of the call: what a handler has kept of them stands for no client any more.
export function releaseSockets() {
    if (bound.length === 0) return;
    const all = bound;
    bound = [];
    for (const socket of all) socket._release();
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
        // What the connection callbacks have set on the socket itself, if it is the one that was recorded.
        this._recorded = undefined;
        this._id = undefined;
        this._data = undefined;
        this._handshake = undefined;
        // True for the socket of an instance of one connection.
        this._isLive = false;
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
    // Makes this the socket of a call. Functions that were recorded have captured this object.
    _bind(number) {
        this._number = number;
        if (number !== NOBODY) bound.push(this);
        return this;
    }
    // Ends the call.
    _release() {
        this._number = NOBODY;
        this._data = undefined;
        this._timeout = undefined;
        // The socket of an instance of one connection stands for the same client in the next call.
        if (this._isLive) return;
        this._id = undefined;
        this._handshake = undefined;
        if (this._recorded) this._forget();
    }
    // Forgets what a call has set on the socket, so that the next client does not see it.
    _forget() {
        for (const name of Object.keys(this._set())) delete this[name];
        Object.assign(this, this._recorded);
    }

    // What the client is.
    get id() {
        if (this._isNobody()) return "";
        return (this._id ??= host.socketId(this._number));
    }
    // Returns true, and takes note, if the socket stands for no client.
    _isNobody() {
        const isNobody = this._number === NOBODY;
        if (isNobody) this._reads = true;
        return isNobody;
    }
    get connected() {
        return true;
    }
    get nsp() {
        return { name: this._namespace };
    }
    get handshake() {
        if (this._isNobody() && !this._handshake) bound.push(this);
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
        const isNobody = this._isNobody();
        if (!this._data) {
            const number = this._number;
            if (isNobody) {
                bound.push(this);
                return (this._data = {});
            }
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
        return new Set(this._isNobody() ? [] : host.socketRooms(this._number));
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
        return this._isNobody() ? [] : [this.id];
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
