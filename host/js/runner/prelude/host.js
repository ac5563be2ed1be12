// The native functions, and the state of this instance that several modules share.

const host = globalThis.__hitchy;
delete globalThis.__hitchy;

export default host;

export const state = {
    // True while the file is evaluated and its connection callbacks are recorded.
    loading: true,
    // True while a connection callback runs only to register its listeners. Nothing that it does has an effect then.
    recording: false,
    // True if that callback runs with the socket of a client: what it reads is real.
    replaying: false,
};

// Returns true while a connection callback runs with a socket that stands for no client.
export const isNobodyThere = () => state.recording && !state.replaying;

// Strings for the host: UTF-8 has no lone surrogates.
export const text = value => (typeof value === "string" ? value : String(value)).toWellFormed();

// Makes pairs of a list in which names and values alternate.
export function* pairs(flat) {
    for (let at = 0; at < flat.length; at += 2) yield [flat[at], flat[at + 1]];
}

// Defines a property as the language's own are: it can be replaced, and loops do not see it.
export const define = (object, name, value) =>
    Object.defineProperty(object, name, { value, writable: true, configurable: true });
