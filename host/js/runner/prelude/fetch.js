// `fetch`, and what ends it: AbortController, AbortSignal, and the events that they need.

import host, { define, pairs, state, text } from "hitchy:host";
import { encode } from "hitchy:encoding";
import { Headers } from "hitchy:headers";
import { Request, Response, concat } from "hitchy:messages";
import { ready, startQuietTimer } from "hitchy:tasks";

class DOMException extends Error {
    constructor(message = "", name = "Error") {
        super(message);
        define(this, "name", name);
    }
    get code() {
        return { AbortError: 20, TimeoutError: 23, DataCloneError: 25 }[this.name] ?? 0;
    }
}

class Event {
    constructor(type) {
        this.type = type;
    }
}

class EventTarget {
    #listeners = new Map();
    addEventListener(type, listener, { once = false } = {}) {
        if (!this.#listeners.has(type)) this.#listeners.set(type, new Map());
        this.#listeners.get(type).set(listener, once);
    }
    removeEventListener(type, listener) {
        this.#listeners.get(type)?.delete(listener);
    }
    dispatchEvent(event) {
        event.target = this;
        for (const [listener, once] of [...(this.#listeners.get(event.type) ?? [])]) {
            if (once) this.removeEventListener(event.type, listener);
            if (typeof listener === "function") listener.call(this, event);
            else listener.handleEvent(event);
        }
        this[`on${event.type}`]?.(event);
        return true;
    }
}

class AbortSignal extends EventTarget {
    aborted = false;
    reason = undefined;
    onabort = null;
    _abort(reason) {
        if (this.aborted) return;
        this.aborted = true;
        this.reason = reason ?? new DOMException("it was aborted", "AbortError");
        this.dispatchEvent(new Event("abort"));
    }
    throwIfAborted() {
        if (this.aborted) throw this.reason;
    }
    static abort(reason) {
        const signal = new AbortSignal();
        signal._abort(reason);
        return signal;
    }
    static timeout(milliseconds) {
        const signal = new AbortSignal();
        startQuietTimer(() => signal._abort(new DOMException(`it took longer than ${milliseconds} ms`, "TimeoutError")), milliseconds);
        return signal;
    }
    static any(signals) {
        const signal = new AbortSignal();
        for (const one of signals) {
            if (one.aborted) signal._abort(one.reason);
            else one.addEventListener("abort", () => signal._abort(one.reason), { once: true });
        }
        return signal;
    }
}

class AbortController {
    signal = new AbortSignal();
    abort(reason) {
        this.signal._abort(reason);
    }
}

// Settles as a promise does, or fails when a signal says so.
function unlessAborted(signal, promise) {
    if (!signal) return promise;
    return new Promise((resolve, reject) => {
        const abort = () => reject(signal.reason);
        if (signal.aborted) abort();
        signal.addEventListener("abort", abort, { once: true });
        promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
}

// Headers that are for the server that was asked, and not for one to which it redirects.
const PRIVATE = ["authorization", "cookie", "proxy-authorization", "host"];
const MAX_REDIRECTS = 20;

async function fetch(input, init = {}) {
    // The frames of the caller are gone once something has been awaited.
    const { stack } = new Error();
    try {
        return await follow(input, init);
    } catch (error) {
        if (error instanceof Error) error.stack = `${error.stack ?? ""}\n${stack}`;
        throw error;
    }
}

// Sends a request, and goes where the responses lead.
async function follow(input, init) {
    // Nothing is sent for a socket that stands for no client.
    if (state.recording) return new Promise(() => {});
    const signal = init.signal ?? (input instanceof Request ? input.signal : undefined);
    const request = await new Request(input, { ...init, signal })._collect();
    const redirect = init.redirect ?? "follow";
    let { url, method } = request;
    let body = request._content();
    const headers = new Headers(request.headers);
    for (let count = 0; ; count++) {
        signal?.throwIfAborted();
        const bytes = typeof body === "string" ? encode(body) : (body ?? undefined);
        const [response, location] = await unlessAborted(signal, exchange(method, url, headers, bytes, signal));
        if (location === undefined || redirect === "manual") return response;
        if (redirect === "error") throw new TypeError(`fetch of ${url}: it redirects to ${location}`);
        if (count === MAX_REDIRECTS) throw new TypeError(`fetch of ${url}: there were ${MAX_REDIRECTS} redirects`);
        const target = new URL(location, url);
        if (target.origin !== new URL(url).origin) for (const name of PRIVATE) headers.delete(name);
        if (response.status === 303 || (method === "POST" && (response.status === 301 || response.status === 302))) {
            if (method !== "HEAD") method = "GET";
            body = null;
            headers.delete("content-type");
        }
        url = target.href;
    }
}

// Sends one request. Returns the response, and where it redirects to.
async function exchange(method, url, headers, body, signal) {
    const number = host.fetch(method, url, headers._flat(), body);
    await ready(number);
    const [status, flat] = host.fetchHead(number);
    const received = new Headers(pairs(flat));
    const response = new Response(null, { status, headers: received, _url: url, _arriving: () => unlessAborted(signal, readBody(number)) });
    const location = [301, 302, 303, 307, 308].includes(status) ? received.get("location") : null;
    return [response, location ?? undefined];
}

async function readBody(number) {
    host.fetchBody(number);
    const pieces = [];
    for (;;) {
        await ready(number);
        const piece = host.fetchRead(number);
        if (piece === undefined) return concat(pieces);
        pieces.push(piece);
    }
}

for (const [name, value] of Object.entries({ DOMException, Event, EventTarget, AbortSignal, AbortController, fetch })) define(globalThis, name, value);
