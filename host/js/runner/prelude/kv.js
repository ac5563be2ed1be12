// `kv`: key-value storage. Values are JSON, or bytes if a Uint8Array is stored.

import host, { isNobodyThere, state, text } from "hitchy:host";
import { encode, isBytes, bytesOf } from "hitchy:encoding";
import { toJson } from "hitchy:payload";

const MAX_ATTEMPTS = 100;

function encoded(value) {
    if (isBytes(value)) return bytesOf(value);
    const json = toJson(value);
    if (json === undefined) throw new TypeError(`${typeof value} cannot be stored; use delete to remove a key`);
    return encode(json);
}

function decoded(bytes) {
    if (bytes === undefined) return undefined;
    const plain = host.decode(bytes, true);
    if (plain === undefined) return bytes;
    try {
        return JSON.parse(plain);
    } catch {
        return plain;
    }
}

// True while the function of an update runs.
let isUpdating = false;

function changed(change, value) {
    isUpdating = true;
    try {
        return change(value);
    } finally {
        isUpdating = false;
    }
}

class Bucket {
    #name;
    constructor(name) {
        this.#name = text(name);
    }
    // Nothing is stored for a socket that stands for no client.
    get(key) {
        return isNobodyThere() ? undefined : decoded(host.kvGet(this.#name, text(key)));
    }
    bytes(key) {
        return isNobodyThere() ? undefined : host.kvGet(this.#name, text(key));
    }
    set(key, value) {
        const bytes = encoded(value);
        if (!state.recording) host.kvSet(this.#name, text(key), bytes);
    }
    delete(key) {
        if (!state.recording) host.kvDelete(this.#name, text(key));
    }
    has(key) {
        return isNobodyThere() ? false : host.kvExists(this.#name, text(key));
    }
    // Adds to a number, and returns the sum.
    increment(key, by = 1) {
        if (!Number.isSafeInteger(by)) throw new TypeError(`increment takes a whole number, and not ${by}`);
        return state.recording ? 0 : host.kvIncrement(this.#name, text(key), by);
    }
    // Replaces a value by what `change` makes of it. Other calls may change it meanwhile, and then `change` runs again.
    update(key, change) {
        if (state.recording) return undefined;
        if (isUpdating) throw new Error("kv.update cannot be called within the function of another kv.update: read what it needs before");
        for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
            const next = changed(change, decoded(host.kvBeginSwap(this.#name, text(key))));
            if (next instanceof Promise) throw new TypeError("the function of kv.update returns the new value at once, not a promise");
            if (host.kvSwap(encoded(next))) return next;
        }
        throw new Error(`the key ${key} was changed by others ${MAX_ATTEMPTS} times in a row`);
    }
    keys(prefix = "") {
        const found = [];
        let cursor;
        if (isNobodyThere()) return found;
        do {
            const [page, next] = host.kvKeys(this.#name, cursor);
            for (const key of page) if (key.startsWith(prefix)) found.push(key);
            cursor = next ?? undefined;
        } while (cursor !== undefined);
        return found;
    }
    // Another bucket, which the operator has granted.
    bucket(name) {
        return new Bucket(name);
    }
}

// The handler's own.
export const kv = new Bucket("default");
