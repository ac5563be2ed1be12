// Sets of sockets to emit to.

import host, { state, text } from "hitchy:host";
import { Failure } from "hitchy:errors";
import { pack, unpack } from "hitchy:payload";
// Only functions use these: `socket.js` imports this file too.
import { NO_TIMEOUT, Socket, withoutCallback } from "hitchy:socket";

export const rooms = names => (Array.isArray(names) ? names.map(text) : names instanceof Set ? Array.from(names, text) : [text(names)]);

// A set of sockets.
export class Broadcast {
    constructor(namespace, { rooms = [], excluding = [], local = false, droppable = false, timeout } = {}) {
        this._namespace = namespace;
        this._rooms = rooms;
        this._excluding = excluding;
        this._local = local;
        this._droppable = droppable;
        this._timeout = timeout;
    }
    _with(changes) {
        const { _rooms: rooms, _excluding: excluding, _local: local, _droppable: droppable, _timeout: timeout } = this;
        return new Broadcast(this._namespace, { rooms, excluding, local, droppable, timeout, ...changes });
    }
    _audience() {
        return [this._namespace, this._rooms, this._excluding, this._local, this._droppable];
    }
    to(names) {
        return this._with({ rooms: [...this._rooms, ...rooms(names)] });
    }
    in(names) {
        return this.to(names);
    }
    except(names) {
        return this._with({ excluding: [...this._excluding, ...rooms(names)] });
    }
    get local() {
        return this._with({ local: true });
    }
    get volatile() {
        return this._with({ droppable: true });
    }
    compress() {
        return this;
    }
    timeout(milliseconds) {
        return this._with({ timeout: milliseconds });
    }
    emit(event, ...args) {
        const [values, callback] = withoutCallback(args);
        if (callback) {
            this._ask(event, values).then(({ answers, missing }) => callback(missing, answers), error => callback(error, []));
        } else if (!state.recording) host.emitTo(this._audience(), text(event), pack(values));
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
