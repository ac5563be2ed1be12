// Failures for clients, and descriptions of errors for people.

import host from "hitchy:host";
import { show } from "hitchy:console";
import { toJson } from "hitchy:payload";

// An error that the client reads: its code, its message and its data.
export class Failure extends Error {
    constructor(code, message, data) {
        super(message);
        if (!Number.isInteger(code) || code < 400 || code > 599) throw new RangeError(`the code of a Failure is an HTTP status from 400 to 599, and not ${show(code)}`);
        this.code = code;
        if (data !== undefined) this.data = data;
    }
}
Object.defineProperty(Failure.prototype, "name", { value: "Failure", writable: true, configurable: true });

// Makes an error of one that says why an answer cannot be sent. It names the answer, because the function that made it
// is not on the stack any more.
export const unsendable = (what, error) => (isFailure(error) ? error : new TypeError(`${what} cannot be sent`, { cause: error }));

// Failures of the host are no instances of the class.
export const isFailure = value => value instanceof Error && value.name === "Failure" && Number.isInteger(value.code);

const FRAME = /^\s*at (?:(.*?) \()?(.+?):(\d+)(?::(\d+))?\)?$/;

// Returns the frames of a stack that lie in the handler's own files.
function frames(error) {
    const found = [];
    for (const line of String(error.stack ?? "").split("\n")) {
        const match = FRAME.exec(line);
        if (!match || match[2].startsWith("hitchy:")) continue;
        const [, name, file, row, column] = match;
        const [source, at] = host.sourceLine(file, +row, +(column ?? 0)) ?? ["", column];
        const place = `${file}:${row}${column ? `:${at}` : ""}`;
        found.push({ name: name && name !== "<anonymous>" && name !== "<eval>" ? name : "", line: source.trim(), place });
    }
    return found;
}

const MAX_FRAMES = 10;
const MAX_LINE = 160;

// Describes an error in one line: `chat.js:12:5: TypeError: not a function; the line is "x.y()"; in send <
// chat.js:3:1`.
export function describe(error, depth = 0) {
    // What the engine throws when there is not even the memory for an error.
    if (error === null) return "out of memory, or null was thrown";
    if (!(error instanceof Error)) return `thrown: ${show(error)}`;
    const own = frames(error);
    const head = `${error.name}: ${error.message}`;
    const where = own.slice(0, MAX_FRAMES);
    let text = where.length ? `${where[0].place}: ${head}` : head;
    const line = where[0]?.line;
    if (line) text += `; the line is \`${line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line}\``;
    const callers = where.map((frame, at) => (at === 0 ? frame.name : `${frame.name} ${frame.place}`.trim())).filter(Boolean);
    if (callers.length) text += `; in ${callers.join(" < ")}`;
    if (error.cause !== undefined && depth < 3) text += `; caused by ${describe(error.cause, depth + 1)}`;
    return text;
}

// The promises that were rejected and that nobody has handled so far, with their reasons.
let rejections = new Map();
// The error that the call has failed with.
let explained;

export function rejected(promise, reason, isHandled) {
    if (isHandled) rejections.delete(promise);
    else rejections.set(promise, reason);
}

// Logs the rejections of the call that nobody has handled.
export function endRejections() {
    const told = explained;
    explained = undefined;
    if (rejections.size === 0) return;
    const left = new Set(rejections.values());
    left.delete(told);
    rejections = new Map();
    for (const reason of left) host.log(4, `a promise was rejected, and nothing handles it: ${describe(reason)}; await it, or catch it`.toWellFormed());
}

// Returns what the client gets: `[code, message, data]`. Errors that are not for clients are logged.
export function explain(error) {
    explained = error;
    if (isFailure(error) && error.code >= 400 && error.code <= 599) {
        // What the server refuses is for the client, because the client may have caused it, and for an author who looks.
        // Clients can cause it as often as they like.
        if (!(error instanceof Failure)) host.log(1, describe(error).toWellFormed());
        let data;
        if (error.data !== undefined) {
            try {
                data = toJson(error.data);
            } catch (cause) {
                host.log(4, `the data of a Failure cannot be sent: ${describe(cause)}`.toWellFormed());
            }
        }
        return [error.code, String(error.message).toWellFormed(), data];
    }
    host.log(4, describe(error).toWellFormed());
    return [500, "internal server error", undefined];
}

// Describes why a file could not be loaded.
export function explainLoad(error, file) {
    let text = describe(error);
    if (!text.includes(":") || !(error instanceof Error)) text = `${file}: ${text}`;
    return text.toWellFormed();
}
