// The request that is answered, as the one argument of functions that answer requests.

import host, { define, pairs, text } from "hitchy:host";
import { makeData } from "hitchy:data";
import { Failure } from "hitchy:errors";
import { Request } from "hitchy:messages";
import { Socket } from "hitchy:socket";
import { parseQuery, toObject } from "hitchy:url";

// There is one request at a time, so these functions need no `this` and can be taken out of the context.
const read = {
    text: () => host.bodyText(),
    bytes: () => host.body(),
    json() {
        const body = host.bodyText();
        try {
            return JSON.parse(body);
        } catch (error) {
            throw new Failure(400, body === "" ? "the body is empty, and JSON is wanted" : `the body is not JSON: ${error.message}`);
        }
    },
    form: () => {
        const type = read.header("content-type") ?? "";
        if (/^multipart\//i.test(type)) throw new Failure(415, "a form of the type application/x-www-form-urlencoded is wanted");
        return toObject(parseQuery(host.bodyText()));
    },
    header: name => (host.header(text(name)).join(", ") || undefined),
    // Adds a header to the response.
    setHeader: (name, value) => host.responseHeader(text(name), text(value)),
};

function cookies() {
    const found = [];
    for (const part of host.header("cookie").join("; ").split(";")) {
        const at = part.indexOf("=");
        if (at < 0) continue;
        const name = part.slice(0, at).trim();
        const value = part.slice(at + 1).trim().replace(/^"(.*)"$/, "$1");
        // The first of equal names is the one of the longest path.
        if (!found.some(([known]) => known === name)) found.push([name, unescape(value)]);
    }
    return toObject(found);
}

function unescape(value) {
    try {
        return value.includes("%") ? decodeURIComponent(value) : value;
    } catch {
        return value;
    }
}

const GETTERS = {
    id: () => host.id(),
    method: () => host.method(),
    url: () => host.url(),
    path: () => host.url().split("?", 1)[0],
    door: () => host.door(),
    remote: () => host.remote(),
    headers: () => toObject(joined(pairs(host.headers()))),
    cookies,
    query() {
        const url = host.url();
        const at = url.indexOf("?");
        return toObject(at < 0 ? [] : parseQuery(url.slice(at + 1)));
    },
    socket() {
        const number = host.requestSocket();
        return number === undefined ? undefined : new Socket(host.socketNamespace(number), number);
    },
    request: () => webRequest(),
};

// Joins the values of equal names.
function joined(pairs) {
    const all = new Map();
    for (const [name, value] of pairs) all.set(name, all.has(name) ? `${all.get(name)}${name === "cookie" ? "; " : ", "}${value}` : value);
    return all;
}

// The functions that save the context of the request.
let saveData;

export class Context {
    #names;
    #params;
    #data;
    constructor(names) {
        this.#names = names;
    }
    get params() {
        return (this.#params ??= Object.fromEntries(this.#names.map(name => [name, host.param(name)])));
    }
    // Milliseconds that are left of the call.
    get deadline() {
        return host.deadline();
    }
    get data() {
        if (!this.#data) {
            const { object, save } = makeData(host.contextGet, host.contextSet);
            this.#data = object;
            saveData = save;
        }
        return this.#data;
    }
}
for (const [name, value] of Object.entries(read)) define(Context.prototype, name, value);
for (const [name, get] of Object.entries(GETTERS)) {
    // A value that was made once is kept as the context's own property.
    Object.defineProperty(Context.prototype, name, {
        get() {
            const value = get();
            define(this, name, value);
            return value;
        },
        configurable: true,
    });
}

// Writes the context of the request back.
export function saveContext() {
    const save = saveData;
    saveData = undefined;
    save?.();
}

// The request as the web's `Request`.
export function webRequest() {
    const method = host.method();
    const scheme = host.header("x-forwarded-proto")[0] === "https" ? "https" : "http";
    const body = method === "GET" || method === "HEAD" ? undefined : host.body();
    return new Request(`${scheme}://${host.header("host")[0] ?? "localhost"}${host.url()}`, { method, headers: pairs(host.headers()), body: body?.length ? body : undefined });
}
