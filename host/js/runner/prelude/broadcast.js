// Sets of sockets to emit to.

import host, { state, text } from "hitchy:host";
import { Failure } from "hitchy:errors";
import { pack, unpack } from "hitchy:payload";
// Only functions use these: `socket.js` imports this file too.
import { NO_TIMEOUT, Socket, takeCallback } from "hitchy:socket";

export const rooms = names => (typeof names === "string" ? [text(names)] : Array.isArray(names) ? names.map(text) : names instanceof Set ? Array.from(names, text) : [text(names)]);

const NONE = Object.freeze([]);
const NAMESPACE = 0, ROOMS = 1, EXCLUDING = 2, LOCAL = 3, VOLATILE = 4;
const joined = (before, names) => (before.length === 0 ? rooms(names) : [...before, ...rooms(names)]);

// A set of sockets. Handlers make several on the way to one `emit`, so that making one does as little as possible.
export class Broadcast {
    constructor(namespace, rooms, excluding, timeout) {
        // As the host takes it: namespace, rooms, excluding, local, volatile. It is never changed.
        this._audience = [namespace, rooms ?? NONE, excluding ?? NONE, false, false];
        this._timeout = timeout;
    }
    _copy() {
        const [namespace, rooms, excluding, local, isVolatile] = this._audience;
        const other = new Broadcast(namespace, rooms, excluding, this._timeout);
        other._audience[LOCAL] = local;
        other._audience[VOLATILE] = isVolatile;
        return other;
    }
    // Returns a set that differs from this one in one part of its audience.
    _with(part, value) {
        const other = this._copy();
        other._audience[part] = value;
        return other;
    }
    to(names) {
        return this._with(ROOMS, joined(this._audience[ROOMS], names));
    }
    in(names) {
        return this.to(names);
    }
    except(names) {
        return this._with(EXCLUDING, joined(this._audience[EXCLUDING], names));
    }
    get local() {
        return this._with(LOCAL, true);
    }
    get volatile() {
        return this._with(VOLATILE, true);
    }
    timeout(milliseconds) {
        const other = this._copy();
        other._timeout = milliseconds;
        return other;
    }
    compress() {
        return this;
    }
    emit(event, ...args) {
        const callback = takeCallback(args);
        if (callback) {
            this._ask(event, args).then(({ answers, missing }) => callback(missing, answers), error => callback(error, []));
        } else if (!state.recording) host.emitTo(this._audience, text(event), pack(args));
    }
    send(...args) {
        this.emit("message", ...args);
        return this;
    }
    async emitWithAck(event, ...args) {
        const { answers, missing } = await this._ask(event, args);
        if (missing) throw Object.assign(missing, { responses: answers });
        return answers;
    }
    async _ask(event, values) {
        if (state.recording) return new Promise(() => {});
        const entries = host.emitToWithAck(this._audience, text(event), pack(values), this._timeout ?? NO_TIMEOUT);
        const answers = entries.filter(entry => Array.isArray(entry[1])).map(entry => unpack(entry[1])[0]);
        const count = entries.length - answers.length;
        return { answers, missing: count ? new Failure(504, `${count} of ${entries.length} clients did not acknowledge`) : null };
    }
    async fetchSockets() {
        if (state.recording) return [];
        const namespace = this._audience[NAMESPACE];
        const found = host.listIds(this._audience).map(id => host.find(namespace, id));
        return found.filter(number => number !== undefined).map(number => new Socket(namespace, number));
    }
    async allSockets() {
        return new Set(state.recording ? [] : host.listIds(this._audience));
    }
    socketsJoin(names) {
        if (!state.recording) host.join(this._audience, rooms(names));
    }
    socketsLeave(names) {
        if (!state.recording) host.leave(this._audience, rooms(names));
    }
    disconnectSockets(close = false) {
        if (!state.recording) host.disconnect(this._audience, Boolean(close));
    }
}
