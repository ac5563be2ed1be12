// `console`, which writes to the server's log.

import host, { define } from "hitchy:host";

const MAX_DEPTH = 4;
const MAX_ITEMS = 100;

// Writes a value for people, as consoles do.
export function show(value, depth = 0, above = []) {
    if (typeof value === "string") return depth === 0 ? value : JSON.stringify(value);
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "function") return `[function ${value.name || "(anonymous)"}]`;
    if (value === null || typeof value !== "object") return String(value);
    if (value instanceof Error) return value.stack ? `${value.name}: ${value.message}\n${value.stack}`.trimEnd() : `${value.name}: ${value.message}`;
    if (above.includes(value)) return "[circular]";
    if (depth > MAX_DEPTH) return Array.isArray(value) ? "[…]" : "{…}";
    return composite(value, depth + 1, [...above, value]);
}

function composite(value, depth, above) {
    const inner = one => show(one, depth, above);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (value instanceof Promise) return "Promise";
    if (Array.isArray(value)) return list("[", Array.from(limited(value), inner), value.length, "]");
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return `${value.constructor.name}(${value.length}) ${list("[", Array.from(limited(value), String), value.length, "]")}`;
    if (value instanceof Map) return `Map(${value.size}) ${list("{", Array.from(limited(value), ([key, one]) => `${inner(key)} => ${inner(one)}`), value.size, "}")}`;
    if (value instanceof Set) return `Set(${value.size}) ${list("{", Array.from(limited(value), inner), value.size, "}")}`;
    const keys = Object.keys(value);
    const name = Object.getPrototypeOf(value)?.constructor?.name;
    const parts = keys.slice(0, MAX_ITEMS).map(key => `${/^[\w$]+$/.test(key) ? key : JSON.stringify(key)}: ${inner(value[key])}`);
    return (name && name !== "Object" ? `${name} ` : "") + list("{", parts, keys.length, "}");
}

function* limited(items) {
    let left = MAX_ITEMS;
    for (const item of items) {
        if (left-- === 0) return;
        yield item;
    }
}

function list(open, parts, count, close) {
    if (count > parts.length) parts.push(`… ${count - parts.length} more`);
    return parts.length ? `${open} ${parts.join(", ")} ${close}` : open + close;
}

const write = level => (...values) => {
    // Each line becomes a record, because records are lines.
    for (const line of values.map(value => show(value)).join(" ").split("\n")) host.log(level, line.toWellFormed());
};

const counts = new Map();
const times = new Map();
const [trace, debug, info, warn, error] = [0, 1, 2, 3, 4].map(write);

define(globalThis, "console", {
    trace,
    debug,
    log: info,
    info,
    warn,
    error,
    dir: value => info(value),
    assert: (condition, ...values) => condition || error("assertion failed:", ...values),
    count(label = "default") {
        counts.set(label, (counts.get(label) ?? 0) + 1);
        info(`${label}: ${counts.get(label)}`);
    },
    time: (label = "default") => void times.set(label, host.now()),
    timeEnd: (label = "default") => info(`${label}: ${(host.now() - (times.get(label) ?? host.now())).toFixed(3)} ms`),
    group: info,
    groupEnd() {},
    table: info,
});
