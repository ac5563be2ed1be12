// Request, Response and Blob: messages of HTTP whose bodies are in memory, or arrive from another server.

import host, { define, text } from "hitchy:host";
import { bytesOf, encode, isBytes } from "hitchy:encoding";
import { Headers } from "hitchy:headers";
import { toJson } from "hitchy:payload";
import { parseQuery } from "hitchy:url";

class Blob {
    #bytes;
    #type;
    constructor(parts = [], { type = "" } = {}) {
        this.#bytes = concat(parts.map(part => (part instanceof Blob ? part.#bytes : isBytes(part) ? bytesOf(part) : encode(part))));
        this.#type = String(type).toLowerCase();
    }
    get size() {
        return this.#bytes.length;
    }
    get type() {
        return this.#type;
    }
    slice(start, end, type = "") {
        return new Blob([this.#bytes.slice(start, end)], { type });
    }
    async bytes() {
        return this.#bytes.slice();
    }
    async arrayBuffer() {
        return this.#bytes.slice().buffer;
    }
    async text() {
        return host.decode(this.#bytes, false);
    }
    _bytes() {
        return this.#bytes;
    }
}

// Joins pieces of bytes.
export function concat(pieces) {
    const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
        joined.set(piece, at);
        at += piece.length;
    }
    return joined;
}

// Returns what is sent of a body, and the content type that it has by itself: `[text or bytes, type]`.
function read(body) {
    if (body === undefined || body === null) return [null];
    if (isBytes(body)) return [bytesOf(body).slice()];
    if (body instanceof Blob) return [body._bytes(), body.type || undefined];
    if (body instanceof URLSearchParams) return [body.toString(), "application/x-www-form-urlencoded;charset=UTF-8"];
    if (typeof body === "object" && typeof body[Symbol.asyncIterator] === "function") throw new TypeError("bodies that stream are not supported; collect the body first");
    return [text(body), "text/plain;charset=UTF-8"];
}

class Message {
    #content;
    #arriving;
    #used = false;
    #headers;
    // `arriving` reads a body that is not here yet.
    _begin(body, headers, arriving) {
        const [content, type] = read(body);
        this.#content = content;
        this.#arriving = arriving;
        this.#headers = headers instanceof Headers && arriving ? headers : new Headers(headers);
        if (type && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
    }
    get headers() {
        return this.#headers;
    }
    get bodyUsed() {
        return this.#used;
    }
    get body() {
        return this.#content === null && !this.#arriving ? null : new Body(this);
    }
    // Makes this the message with a body that another one has, and that may not be here yet.
    _adopt(other, headers) {
        if (other.#used) throw new TypeError("the body has been read already");
        this._begin(null, headers);
        other.#used = true;
        this.#content = other.#content;
        this.#arriving = other.#arriving;
    }
    // The body, or `null`, for a message that is sent as it is.
    _content() {
        return this.#content;
    }
    async _take() {
        if (this.#used) throw new TypeError("the body has been read already");
        this.#used = this.#content !== null || this.#arriving !== undefined;
        return this.#arriving ? this.#arriving() : (this.#content ?? "");
    }
    // Reads the body, so that it can be sent on.
    async _collect() {
        if (this.#arriving && !this.#used) {
            this.#content = await this.#arriving();
            this.#arriving = undefined;
        }
        return this;
    }
    async text() {
        const content = await this._take();
        if (typeof content === "string") return content;
        const decoded = host.decode(content, false);
        return decoded.startsWith("\ufeff") ? decoded.slice(1) : decoded;
    }
    async bytes() {
        const content = await this._take();
        return typeof content === "string" ? encode(content) : content;
    }
    async json() {
        return JSON.parse(await this.text());
    }
    async arrayBuffer() {
        return (await this.bytes()).buffer;
    }
    async blob() {
        return new Blob([await this.bytes()], { type: this.#headers.get("content-type") ?? "" });
    }
    async formData() {
        const type = this.#headers.get("content-type") ?? "";
        if (!type.startsWith("application/x-www-form-urlencoded")) throw new TypeError(`a body of type ${type || "unknown"} cannot be read as a form; only application/x-www-form-urlencoded can`);
        return new URLSearchParams(parseQuery(await this.text()));
    }
    _copyTo(other) {
        if (this.#used) throw new TypeError("the body has been read already");
        if (this.#arriving) {
            // Both read the one body that arrives.
            const arriving = this.#arriving;
            let arrived;
            this.#arriving = () => (arrived ??= arriving());
            other.#arriving = this.#arriving;
        }
        other.#content = this.#content;
        other.#headers = new Headers(this.#headers);
        return other;
    }
}

// What stands for a stream: it can be handed on, and read as a whole.
class Body {
    #message;
    constructor(message) {
        this.#message = message;
    }
    async *[Symbol.asyncIterator]() {
        yield await this.#message.bytes();
    }
    getReader() {
        const pieces = this[Symbol.asyncIterator]();
        return { read: () => pieces.next(), releaseLock() {}, cancel: async () => {}, closed: Promise.resolve() };
    }
    cancel() {
        return Promise.resolve();
    }
    _message() {
        return this.#message;
    }
}

export class Request extends Message {
    #url;
    #method;
    #signal;
    constructor(input, init = {}) {
        super();
        const from = input instanceof Request ? input : undefined;
        this.#url = from ? from.url : new URL(input, "http://localhost").href;
        const method = text(init.method ?? from?.method ?? "GET");
        this.#method = /^(get|head|post|put|delete|options)$/i.test(method) ? method.toUpperCase() : method;
        this.#signal = init.signal ?? from?.signal;
        const hasBody = init.body !== undefined && init.body !== null;
        if (hasBody && (this.#method === "GET" || this.#method === "HEAD")) throw new TypeError(`a request with ${this.#method} has no body`);
        if (from && !hasBody) {
            from._copyTo(this);
            if (init.headers) this._begin(this._content(), init.headers);
        } else if (init.body instanceof Body) this._adopt(init.body._message(), init.headers ?? from?.headers);
        else this._begin(init.body, init.headers ?? from?.headers, init._arriving);
    }
    get url() {
        return this.#url;
    }
    get method() {
        return this.#method;
    }
    get signal() {
        return (this.#signal ??= new AbortController().signal);
    }
    clone() {
        return this._copyTo(new Request(this.#url, { method: this.#method, signal: this.#signal }));
    }
}

export class Response extends Message {
    #status;
    #statusText;
    #url;
    constructor(body, init = {}) {
        super();
        const status = init.status ?? 200;
        if (!(status >= 200 && status <= 599)) throw new RangeError(`${status} is not the status of a response; 200 to 599 are`);
        this.#status = Math.trunc(status);
        this.#statusText = init.statusText ?? "";
        this.#url = init._url ?? "";
        if (body instanceof Body) this._adopt(body._message(), init.headers);
        else this._begin(body, init.headers, init._arriving);
    }
    static json(value, init = {}) {
        const response = new Response(toJson(value), init);
        if (!new Headers(init.headers).has("content-type")) response.headers.set("content-type", "application/json");
        return response;
    }
    static redirect(url, status = 302) {
        return new Response(null, { status, headers: { location: text(url) } });
    }
    static error() {
        const response = new Response();
        response.#status = 0;
        return response;
    }
    get status() {
        return this.#status;
    }
    get statusText() {
        return this.#statusText;
    }
    get ok() {
        return this.#status >= 200 && this.#status < 300;
    }
    get url() {
        return this.#url;
    }
    get redirected() {
        return false;
    }
    get type() {
        return this.#status === 0 ? "error" : "default";
    }
    clone() {
        const copy = new Response(null, { statusText: this.#statusText, _url: this.#url });
        copy.#status = this.#status;
        return this._copyTo(copy);
    }
}

define(globalThis, "Blob", Blob);
define(globalThis, "Request", Request);
define(globalThis, "Response", Response);
