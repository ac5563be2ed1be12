// `crypto`, `Math.random`, `structuredClone` and `navigator`.

import host, { define } from "hitchy:host";
import { bytesOf } from "hitchy:encoding";

// The engine's own would draw the same numbers in every instance.
define(Math, "random", () => host.random());

function randomUUID() {
    const bytes = host.randomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

define(globalThis, "crypto", {
    randomUUID,
    getRandomValues(array) {
        const bytes = bytesOf(array);
        if (bytes.length > 65536) throw new DOMException("at most 65536 bytes can be drawn at once", "QuotaExceededError");
        bytes.set(host.randomBytes(bytes.length));
        return array;
    },
    subtle: {
        async digest(algorithm, data) {
            const name = String(algorithm?.name ?? algorithm).toUpperCase();
            return host.digest(name, bytesOf(data).slice()).buffer;
        },
    },
});

define(globalThis, "structuredClone", value => clone(value, new Map()));

function clone(value, known) {
    if (typeof value === "function" || typeof value === "symbol") throw new DOMException(`a ${typeof value} cannot be cloned`, "DataCloneError");
    if (value === null || typeof value !== "object") return value;
    if (known.has(value)) return known.get(value);
    const keep = copy => (known.set(value, copy), copy);
    if (value instanceof Date) return keep(new Date(value));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) {
        const buffer = clone(value.buffer, known);
        return keep(new value.constructor(buffer, value.byteOffset, value.length ?? value.byteLength));
    }
    if (value instanceof Boolean || value instanceof Number || value instanceof String) return keep(Object(value.valueOf()));
    if (value instanceof Map) {
        const copy = keep(new Map());
        for (const [key, one] of value) copy.set(clone(key, known), clone(one, known));
        return copy;
    }
    if (value instanceof Set) {
        const copy = keep(new Set());
        for (const one of value) copy.add(clone(one, known));
        return copy;
    }
    if (value instanceof Error) {
        const copy = keep(new (globalThis[value.name] ?? Error)(value.message));
        if ("cause" in value) copy.cause = clone(value.cause, known);
        return copy;
    }
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) throw new DOMException(`a ${value.constructor.name} cannot be cloned`, "DataCloneError");
    const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
    for (const key of Object.keys(value)) copy[key] = clone(value[key], known);
    return copy;
}

define(globalThis, "navigator", { userAgent: "Hitchy" });
