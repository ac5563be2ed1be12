// URL and URLSearchParams.

import host, { define, text } from "hitchy:host";

const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

class URL {
    #parts;
    #params;
    constructor(url, base) {
        this.#parts = host.urlParse(text(url), base === undefined ? undefined : text(base));
        if (!this.#parts) throw new TypeError(`${JSON.stringify(String(url))} is not a URL${base === undefined ? "; without a base it needs a scheme, as in https://" : ""}`);
    }
    static canParse(url, base) {
        return host.urlParse(text(url), base === undefined ? undefined : text(base)) !== undefined;
    }
    static parse(url, base) {
        return URL.canParse(url, base) ? new URL(url, base) : null;
    }
    get searchParams() {
        this.#params ??= new URLSearchParams(this.search, params => this._set("search", params.toString()));
        return this.#params;
    }
    _get(at) {
        return this.#parts[at];
    }
    _set(part, value) {
        this.#parts = host.urlSet(this.#parts[0], part, text(value)) ?? this.#parts;
    }
    toString() {
        return this.href;
    }
    toJSON() {
        return this.href;
    }
}
PARTS.forEach((part, at) => {
    Object.defineProperty(URL.prototype, part, {
        get() {
            return this._get(at);
        },
        set(value) {
            if (part === "origin") return;
            this._set(part, value);
            if (part === "href" || part === "search") this.searchParams._reset(this.search);
        },
        enumerable: true,
        configurable: true,
    });
});

const unescape = part => {
    const plain = part.replaceAll("+", " ");
    if (!plain.includes("%")) return plain;
    try {
        return decodeURIComponent(plain);
    } catch {
        // What is no escape stands for itself, and bytes that are no UTF-8 become U+FFFD.
        const bytes = [];
        for (let at = 0; at < plain.length; at++) {
            const hex = plain.slice(at + 1, at + 3);
            if (plain[at] === "%" && /^[0-9a-f]{2}$/i.test(hex)) {
                bytes.push(parseInt(hex, 16));
                at += 2;
            } else bytes.push(...host.encode(plain[at].toWellFormed()));
        }
        return host.decode(new Uint8Array(bytes), false);
    }
};

const escape = part =>
    encodeURIComponent(text(part)).replace(/%20|[!'()~]/g, one => (one === "%20" ? "+" : `%${one.charCodeAt(0).toString(16).toUpperCase()}`));

// Reads a query, or the body of a form.
export function parseQuery(query) {
    const found = [];
    for (const part of query.split("&")) {
        if (part === "") continue;
        const at = part.indexOf("=");
        found.push(at < 0 ? [unescape(part), ""] : [unescape(part.slice(0, at)), unescape(part.slice(at + 1))]);
    }
    return found;
}

// Makes an object of pairs. A name that comes several times has a list.
export function toObject(pairs) {
    const object = {};
    for (const [name, value] of pairs) {
        const before = Object.hasOwn(object, name) ? object[name] : undefined;
        const now = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
        Object.defineProperty(object, name, { value: now, writable: true, enumerable: true, configurable: true });
    }
    return object;
}

class URLSearchParams {
    #pairs;
    #changed;
    // `changed` is for the parameters of a URL.
    constructor(init = "", changed = () => {}) {
        if (typeof init === "object" && init !== null) {
            const entries = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
            this.#pairs = Array.from(entries, ([name, value]) => [text(name), text(value)]);
        } else this._reset(text(init));
        this.#changed = changed;
    }
    _reset(query) {
        this.#pairs = parseQuery(query.startsWith("?") ? query.slice(1) : query);
    }
    get size() {
        return this.#pairs.length;
    }
    append(name, value) {
        this.#pairs.push([text(name), text(value)]);
        this.#changed(this);
    }
    delete(name, value) {
        this.#pairs = this.#pairs.filter(pair => pair[0] !== text(name) || (value !== undefined && pair[1] !== text(value)));
        this.#changed(this);
    }
    get(name) {
        return this.#pairs.find(pair => pair[0] === text(name))?.[1] ?? null;
    }
    getAll(name) {
        return this.#pairs.filter(pair => pair[0] === text(name)).map(pair => pair[1]);
    }
    has(name, value) {
        return this.#pairs.some(pair => pair[0] === text(name) && (value === undefined || pair[1] === text(value)));
    }
    set(name, value) {
        const first = this.#pairs.find(pair => pair[0] === text(name));
        if (first) {
            first[1] = text(value);
            this.#pairs = this.#pairs.filter(pair => pair === first || pair[0] !== text(name));
        } else this.#pairs.push([text(name), text(value)]);
        this.#changed(this);
    }
    sort() {
        this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
        this.#changed(this);
    }
    forEach(callback, self) {
        for (const [name, value] of this.#pairs) callback.call(self, value, name, this);
    }
    *entries() {
        for (const [name, value] of this.#pairs) yield [name, value];
    }
    *keys() {
        for (const [name] of this.#pairs) yield name;
    }
    *values() {
        for (const [, value] of this.#pairs) yield value;
    }
    [Symbol.iterator]() {
        return this.entries();
    }
    toString() {
        return this.#pairs.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&");
    }
}

define(globalThis, "URL", URL);
define(globalThis, "URLSearchParams", URLSearchParams);
