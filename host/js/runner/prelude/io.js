// `io`: the server of socket.io.

import { state } from "hitchy:host";
import { Broadcast } from "hitchy:broadcast";
import { NOBODY, OWN_EVENTS, Socket } from "hitchy:socket";

// All namespaces that the file has named.
export const namespaces = new Map();
// What is declared: `[namespace, event]`.
export const listeners = [];
export const hooks = [];

export class Namespace extends Broadcast {
    constructor(name) {
        super(name);
        this.name = name;
        this._guards = [];
        this._callbacks = [];
        // The socket on which the connection callbacks have registered their listeners.
        this._socket = new Socket(name, NOBODY);
        // The socket of the one connection of this instance, with the listeners that were registered for it.
        this._live = undefined;
        // The socket that the guards of that connection have seen.
        this._guarded = undefined;
        this._isAsync = false;
    }
    use(middleware) {
        wantLoading("io.use");
        if (typeof middleware !== "function") throw new TypeError("io.use takes a function");
        this._guards.push(middleware);
        return this;
    }
    on(event, callback) {
        if (typeof callback !== "function") throw new TypeError(`io.on(${JSON.stringify(event)}, …) takes a function`);
        if (event !== "connection" && event !== "connect") throw new Error(`io.on takes "connection"; listen to ${JSON.stringify(event)} with socket.on inside of io.on("connection", socket => …)`);
        wantLoading("io.on");
        this._callbacks.push(callback);
        return this;
    }
    addListener(event, callback) {
        return this.on(event, callback);
    }
    of(name) {
        if (typeof name !== "string") throw new TypeError("io.of takes a name; namespaces by pattern are not supported");
        const path = name.startsWith("/") ? name : `/${name}`;
        if (!namespaces.has(path)) namespaces.set(path, new Namespace(path));
        return namespaces.get(path);
    }
    get sockets() {
        return this.of("/");
    }
}

function wantLoading(what) {
    if (!state.loading) throw new Error(`${what} declares something, which is possible only while the file is loaded: call it at the top level`);
}

export const io = new Namespace("/");
namespaces.set("/", io);

// Returns the names of what a connection callback may register.
export function declareOn(namespace) {
    return event => {
        if (OWN_EVENTS.has(event)) return;
        if (!listeners.some(one => one.namespace === namespace && one.event === event)) listeners.push({ namespace, event });
    };
}
