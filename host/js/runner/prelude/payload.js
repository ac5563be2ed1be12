// Values on their way to clients, as JSON with attachments, and back.
//
// JSON.stringify calls `toJSON` by itself, so a value without anything special costs nothing here.

import host, { define } from "hitchy:host";

// QuickJS reads JSON by recursion, and more would exhaust the stack, which ends the call.
const MAX_DEPTH = 1000;
const parse = JSON.parse;
define(JSON, "parse", (text, reviver) => {
    const json = String(text);
    if (json.length > MAX_DEPTH && host.jsonIsDeep(json.toWellFormed(), MAX_DEPTH)) throw new SyntaxError(`the JSON is nested deeper than ${MAX_DEPTH}`);
    return parse(json, reviver);
});

const STANDARD = 0, ANSWER = 1, PACKET = 2;
// For whom JSON is made at the moment.
let purpose = STANDARD;
// The attachments of the packet that is made, if it has any.
let files;

function bytesToJson(bytes, standard) {
    if (purpose === PACKET) {
        files ??= [];
        files.push(bytes());
        return { _placeholder: true, num: files.length - 1 };
    }
    if (purpose === ANSWER) throw new TypeError("JSON has no bytes: answer with the bytes alone, or encode them, for example with .toBase64()");
    return standard();
}

define(Object.getPrototypeOf(Uint8Array.prototype), "toJSON", function () {
    return bytesToJson(() => new Uint8Array(this.buffer, this.byteOffset, this.byteLength), () => ({ ...this }));
});
define(ArrayBuffer.prototype, "toJSON", function () {
    return bytesToJson(() => new Uint8Array(this), () => ({}));
});
define(DataView.prototype, "toJSON", function () {
    return bytesToJson(() => new Uint8Array(this.buffer, this.byteOffset, this.byteLength), () => ({}));
});

// What standard JSON turns into `{}` without a word.
for (const [type, remedy] of [
    [Map, "use Object.fromEntries(map)"],
    [Set, "use [...set]"],
    [Promise, "await it"],
]) {
    define(type.prototype, "toJSON", function () {
        if (purpose === STANDARD) return { ...this };
        throw new TypeError(`JSON has no ${type.name}: ${remedy}`);
    });
}

// Half of a surrogate pair is the only thing that JSON.stringify writes as `\\ud…`. It has no UTF-8, and many clients
// refuse it.
const wellFormed = json =>
    json?.includes("\\ud") ? json.replace(/\\(?:(ud[89a-f][0-9a-f]{2})|.)/g, (escape, lone) => (lone ? "\ufffd" : escape)) : json;

function stringify(value, why) {
    const before = purpose;
    purpose = why;
    try {
        return wellFormed(JSON.stringify(value));
    } finally {
        purpose = before;
    }
}

// Returns JSON text for the body of a response. What has no JSON, like `undefined`, is `undefined`.
export const toJson = value => stringify(value, ANSWER);

// Makes a packet of arguments: JSON, or `[json, attachments]`.
export function pack(args) {
    // A `toJSON` may make another packet.
    const before = files;
    files = undefined;
    try {
        const json = stringify(args, PACKET);
        return files === undefined ? json : [json, files];
    } finally {
        files = before;
    }
}

// Makes arguments of a packet that came from a client: the value of its JSON, and its attachments if it has any.
export const unpack = packet => withAttachments(packet[0], packet[1]);
export const withAttachments = (args, attachments) => (attachments === undefined ? args : revive(args, attachments));

function revive(value, attachments) {
    if (value === null || typeof value !== "object") return value;
    if (value._placeholder === true && Number.isInteger(value.num)) return attachments[value.num];
    for (const key of Object.keys(value)) value[key] = revive(value[key], attachments);
    return value;
}
