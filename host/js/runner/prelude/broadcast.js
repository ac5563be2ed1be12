// Sets of sockets to emit to.

import host, { state, text } from "hitchy:host";
import { Failure } from "hitchy:errors";
import { pack, unpack } from "hitchy:payload";
// Only functions use these: `socket.js` imports this file too.
import { NO_TIMEOUT, Socket, takeCallback } from "hitchy:socket";

export const rooms = names => (Array.isArray(names) ? names.map(text) : names instanceof Set ? Array.from(names, text) : [text(names)]);

const NONE = Object.freeze([]);
const joined = (before, names) => (before.length === 0 ? rooms(names) : [...before, ...rooms(names)]);

// A set of sockets. Handlers make several on the way to one `emit`, so that making one does as little as possible.
export class Broadcast {
    constructor(namespace, rooms = NONE, excluding = NONE, local = false, droppable = false, timeout = undefined) {
        this._namespace = namespace;
        this._rooms = rooms;
        this._excluding = excluding;
        this._local = local;
        this._droppable = droppable;
        this._timeout = timeout;
    }
    _audience() {
        return [this._namespace, this._rooms, this._excluding, this._local, this._droppable];
    }
    to(names) {
        return new Broadcast(this._namespace, joined(this._rooms, names), this._excluding, this._local, this._droppable, this._timeout);
    }
    in(names) {
        return this.to(names);
    }
    except(names) {
        return new Broadcast(this._namespace, this._rooms, joined(this._excluding, names), this._local, this._droppable, this._timeout);
    }
    get local() {
        return new Broadcast(this._namespace, this._rooms, this._excluding, true, this._droppable, this._timeout);
    }
    get volatile() {
        return new Broadcast(this._namespace, this._rooms, this._excluding, this._local, true, this._timeout);
    }
    timeout(milliseconds) {
        return new Broadcast(this._namespace, this._rooms, this._excluding, this._local, this._droppable, milliseconds);
    }
    compress() {
        return this;
    }
    emit(event, ...args) {
        const callback = takeCallback(args);
        if (callback) {
            this._ask(event, args).then(({ answers, missing }) => callback(missing, answers), error => callback(error, []));
        } else if (!state.recording) host.emitTo(this._audience(), text(event), pack(args));
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
        const entries = host.emitToWithAck(this._audience(), text(event), pack(values), this._timeout ?? NO_TIMEOUT);
        const answers = entries.filter(entry => Array.isArray(entry[1])).map(entry => unpack(entry[1])[0]);
        const count = entries.length - answers.length;
        return { answers, missing: count ? new Failure(504, `${count} of ${entries.length} clients did not acknowledge`) : null };
    }
    async fetchSockets() {
        if (state.recording) return [];
        const found = host.listIds(this._audience()).map(id => host.find(this._namespace, id));
        return found.filter(number => number !== undefined).map(number => new Socket(this._namespace, number));
    }
    async allSockets() {
        return new Set(state.recording ? [] : host.listIds(this._audience()));
    }
    socketsJoin(names) {
        if (!state.recording) host.join(this._audience(), rooms(names));
    }
    socketsLeave(names) {
        if (!state.recording) host.leave(this._audience(), rooms(names));
    }
    disconnectSockets(close = false) {
        if (!state.recording) host.disconnect(this._audience(), Boolean(close));
    }
}
