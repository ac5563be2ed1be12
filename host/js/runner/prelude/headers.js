// Headers.

import { define, text } from "hitchy:host";

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function nameOf(value) {
    const name = text(value);
    if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is not the name of a header`);
    return name.toLowerCase();
}

function valueOf(value) {
    const plain = text(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
    if (/[\0\r\n]/.test(plain)) throw new TypeError("the value of a header is one line");
    return plain;
}

export class Headers {
    // Each name with the list of its values.
    #lists = new Map();
    constructor(init) {
        if (init === undefined || init === null) return;
        if (init instanceof Headers) {
            for (const [name, values] of init.#lists) this.#lists.set(name, [...values]);
            return;
        }
        const entries = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
        for (const [name, value] of entries) this.append(name, value);
    }
    append(name, value) {
        const key = nameOf(name);
        const values = this.#lists.get(key);
        if (values) values.push(valueOf(value));
        else this.#lists.set(key, [valueOf(value)]);
    }
    delete(name) {
        this.#lists.delete(nameOf(name));
    }
    get(name) {
        return this.#lists.get(nameOf(name))?.join(", ") ?? null;
    }
    getSetCookie() {
        return [...(this.#lists.get("set-cookie") ?? [])];
    }
    has(name) {
        return this.#lists.has(nameOf(name));
    }
    set(name, value) {
        this.#lists.set(nameOf(name), [valueOf(value)]);
    }
    forEach(callback, self) {
        for (const [name, value] of this) callback.call(self, value, name, this);
    }
    *entries() {
        for (const name of [...this.#lists.keys()].sort()) {
            const values = this.#lists.get(name);
            if (name === "set-cookie") for (const value of values) yield [name, value];
            else yield [name, values.join(", ")];
        }
    }
    *keys() {
        for (const [name] of this.entries()) yield name;
    }
    *values() {
        for (const [, value] of this.entries()) yield value;
    }
    [Symbol.iterator]() {
        return this.entries();
    }
    // Names and values in turn, for the host.
    _flat() {
        const flat = [];
        for (const [name, value] of this.entries()) flat.push(name, value);
        return flat;
    }
}

define(globalThis, "Headers", Headers);
