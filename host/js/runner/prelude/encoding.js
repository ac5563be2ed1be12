// TextEncoder and TextDecoder, for UTF-8.

import host, { define, text } from "hitchy:host";

export const encode = value => host.encode(text(value));

// Returns the bytes of what the web calls a buffer source.
export function bytesOf(source) {
    if (source instanceof Uint8Array) return source;
    if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    if (source instanceof ArrayBuffer) return new Uint8Array(source);
    throw new TypeError("bytes are wanted: a Uint8Array, another typed array or an ArrayBuffer");
}

export const isBytes = value => ArrayBuffer.isView(value) || value instanceof ArrayBuffer;

class TextEncoder {
    get encoding() {
        return "utf-8";
    }
    encode(value = "") {
        return encode(value);
    }
    encodeInto(value, target) {
        let read = 0, written = 0;
        for (const point of text(value)) {
            const bytes = encode(point);
            if (written + bytes.length > target.length) break;
            target.set(bytes, written);
            written += bytes.length;
            read += point.length;
        }
        return { read, written };
    }
}

class TextDecoder {
    #fatal;
    #keepsMark;
    #rest = new Uint8Array();
    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
        if (!/^\s*(unicode-1-1-)?utf-?8\s*$/i.test(label)) throw new RangeError(`the encoding ${label} is not there; only utf-8 is`);
        this.#fatal = fatal;
        this.#keepsMark = ignoreBOM;
    }
    get encoding() {
        return "utf-8";
    }
    get fatal() {
        return this.#fatal;
    }
    get ignoreBOM() {
        return this.#keepsMark;
    }
    decode(source = new Uint8Array(), { stream = false } = {}) {
        const piece = bytesOf(source);
        const all = new Uint8Array(this.#rest.length + piece.length);
        all.set(this.#rest);
        all.set(piece, this.#rest.length);
        const end = stream ? completeLength(all) : all.length;
        this.#rest = all.slice(end);
        const decoded = host.decode(all.slice(0, end), this.#fatal);
        if (decoded === undefined) throw new TypeError("the bytes are not UTF-8");
        return !this.#keepsMark && decoded.startsWith("\ufeff") ? decoded.slice(1) : decoded;
    }
}

// Returns the length of `bytes` without a character that is cut off at its end.
function completeLength(bytes) {
    for (let back = 1; back <= Math.min(3, bytes.length); back++) {
        const byte = bytes[bytes.length - back];
        if (byte < 0x80) break;
        if (byte >= 0xc0) {
            const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
            return wanted > back ? bytes.length - back : bytes.length;
        }
    }
    return bytes.length;
}

define(globalThis, "TextEncoder", TextEncoder);
define(globalThis, "TextDecoder", TextDecoder);
