// Timers and other things that a call waits for. All of them wait in one place, `turn`.

import host, { define, state } from "hitchy:host";
import { describe } from "hitchy:errors";

let timers = new Map();
let nextTimer = 1;
// What waits for the number of a request to another server.
let waiting = new Map();
// Called when nothing is left that could happen.
let idle = [];

const isCallable = value => {
    if (typeof value !== "function") throw new TypeError("the first argument of a timer is a function");
};

function startTimer(callback, delay, args, interval, isQuiet = false) {
    isCallable(callback);
    const asked = Number(delay);
    const wait = Math.max(Number.isFinite(asked) ? asked : 0, interval ? 1 : 0);
    const id = nextTimer++;
    // A connection callback that runs for nobody starts nothing.
    if (!state.recording) timers.set(id, { due: host.now() + wait, wait, callback, args, interval, isQuiet });
    return id;
}

define(globalThis, "setTimeout", (callback, delay, ...args) => startTimer(callback, delay, args, false));
define(globalThis, "setInterval", (callback, delay, ...args) => startTimer(callback, delay, args, true));
define(globalThis, "setImmediate", (callback, ...args) => startTimer(callback, 0, args, false));
for (const name of ["clearTimeout", "clearInterval", "clearImmediate"]) define(globalThis, name, id => void timers.delete(id));

// Starts a timer that may be left when the call ends.
export const startQuietTimer = (callback, delay) => startTimer(callback, delay, [], false, true);

// Returns a promise for the next time at which the host has something for a request to another server.
export const ready = number => new Promise(resolve => waiting.set(number, resolve));

// Calls `callback` when nothing is left to wait for, unless something happens to make it unnecessary.
export const whenIdle = callback => void idle.push(callback);

// Returns true if something is left for which the call waits by itself.
export const isWaiting = () => waiting.size > 0 || [...timers.values()].some(timer => !timer.isQuiet);

// Waits until something happens, and lets it happen. Returns false if nothing can happen any more.
export function turn() {
    // A quiet timer holds up nothing, but a promise may depend on it.
    if (!isWaiting() && (timers.size === 0 || idle.length > 0)) {
        const callbacks = idle;
        idle = [];
        for (const callback of callbacks) callback();
        return callbacks.length > 0;
    }
    let due = Infinity;
    for (const timer of timers.values()) due = Math.min(due, timer.due);
    for (const number of host.wait(due === Infinity ? -1 : Math.max(0, due - host.now()))) {
        const resolve = waiting.get(number);
        waiting.delete(number);
        resolve?.();
    }
    runTimers(host.now());
    return true;
}

function runTimers(now) {
    const ready = [...timers].filter(([, timer]) => timer.due <= now).sort(([, a], [, b]) => a.due - b.due);
    for (const [id, timer] of ready) {
        if (!timers.has(id)) continue;
        if (timer.interval) timer.due = now + timer.wait;
        else timers.delete(id);
        try {
            timer.callback(...timer.args);
        } catch (error) {
            host.log(4, `a timer failed: ${describe(error)}`.toWellFormed());
        }
    }
}

// Ends what is still waiting, because the call has ended.
export function endTasks(ending = "the call has ended", remedy = "await what has to be done before the answer") {
    idle = [];
    if (timers.size === 0 && waiting.size === 0) return;
    const begun = state.loading ? timers.size : [...timers.values()].filter(timer => !timer.isQuiet).length;
    const parts = [[begun, "timer"], [waiting.size, "request to another server", "requests to other servers"]];
    const left = parts.filter(([count]) => count).map(([count, one, many = `${one}s`]) => `${count} ${count === 1 ? one : many}`);
    timers = new Map();
    waiting = new Map();
    if (left.length) host.log(3, `${ending}, and with it ${left.join(" and ")} that had begun; ${remedy}`);
}
