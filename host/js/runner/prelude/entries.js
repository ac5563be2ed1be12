// What the runner calls.

import "hitchy:crypto";
import "hitchy:fetch";
import "hitchy:api";
import { policies, routes, schedules, serveFetch } from "hitchy:app";
import { forgetConfig } from "hitchy:config";
import { saveContext } from "hitchy:context";
import { endRecording, record } from "hitchy:events";
import { endRejections } from "hitchy:errors";
import { state } from "hitchy:host";
import { hooks, listeners } from "hitchy:io";
import { releaseSockets, saveSockets } from "hitchy:socket";
import { endTasks } from "hitchy:tasks";

export { after, before, request, runSchedule as schedule } from "hitchy:app";
export { connect, connected, disconnected, event } from "hitchy:events";
export { explain, explainLoad, rejected } from "hitchy:errors";
export { turn } from "hitchy:tasks";

// Ends the loading of a file, once it was evaluated.
export async function loaded(file, exports) {
    const served = exports.default;
    if (typeof served?.fetch === "function") serveFetch(file, served);
    record();
    // Asynchronous callbacks get the chance to register what they register without waiting for anything.
    for (let round = 0; round < 10; round++) await undefined;
    endRecording();
    endRejections();
    endTasks(`loading ${file} has ended`, "declare what is to be done again and again with app.every");
    state.loading = false;
}

// Returns what the file declares, in the order of the indexes: `[kind, first, second]`.
export function declared() {
    return [
        ...routes.map(one => ["route", one.method, one.path]),
        ...policies.map(one => [one.stage, "", one.prefix]),
        ...listeners.map(one => ["listener", one.namespace.name, one.event]),
        ...hooks.map(one => ["connection", one.name, ""]),
        ...schedules.map(one => ["schedule", one.name, one.spec]),
    ];
}

// Ends a call, whatever became of it.
export function ended() {
    try {
        saveContext();
    } finally {
        endConnections();
    }
}

// Nothing of a client may be left for the next call, also if something cannot be written.
function endConnections() {
    try {
        saveSockets();
    } finally {
        forgetConfig();
        releaseSockets();
        endRejections();
        endTasks();
    }
}
