// The context of a connection or a request as an object: each property is a key, with JSON as its value.

import { text } from "hitchy:host";
import { toJson } from "hitchy:payload";

// Makes the object. Values are read when they are first used, and written back by `save`, so that changes within a
// value (`data.list.push(1)`) count too.
export function makeData(read, write) {
    const cache = {};
    const known = new Map();
    const load = key => {
        if (typeof key !== "string" || known.has(key)) return;
        const json = read(text(key));
        known.set(key, json);
        if (json !== undefined) cache[key] = parse(json);
    };
    const object = new Proxy(cache, {
        get: (target, key) => (load(key), Reflect.get(target, key)),
        has: (target, key) => (load(key), Reflect.has(target, key)),
        set: (target, key, value) => (load(key), Reflect.set(target, key, value)),
        deleteProperty: (target, key) => (load(key), Reflect.deleteProperty(target, key)),
        getOwnPropertyDescriptor: (target, key) => (load(key), Reflect.getOwnPropertyDescriptor(target, key)),
    });
    const save = () => {
        for (const [key, before] of known) {
            // A key cannot be removed from a context, so what is gone is null.
            const now = key in cache ? (toJson(cache[key]) ?? "null") : before === undefined ? undefined : "null";
            if (now === before || now === undefined) continue;
            write(text(key), now);
            known.set(key, now);
        }
    };
    return { object, save };
}

// Handlers in other languages may have stored text that is not JSON.
function parse(json) {
    try {
        return JSON.parse(json);
    } catch {
        return json;
    }
}
