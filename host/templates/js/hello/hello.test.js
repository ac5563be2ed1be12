// Tests of the handler, on a server that they start: `node --test`. If the program hitchy is not in the PATH, set
// HITCHY=/path/to/hitchy.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

const server = spawn(process.env.HITCHY ?? "hitchy", ["serve", "--listen", "127.0.0.1:0"], {
    cwd: import.meta.dirname,
    env: { ...process.env, HITCHY_ADMIN__LISTEN: "off", HITCHY_KV__PATH: mkdtempSync(join(tmpdir(), "test-")) },
    stdio: ["ignore", "pipe", "inherit"],
});
after(() => server.kill());

let url;
for await (const line of createInterface({ input: server.stdout })) {
    url ??= line.match(/listening on (http:\S+)/)?.[1];
    if (line === "ready") break;
}

test("says hello", async () => {
    const answer = await fetch(`${url}/api/hello/Ada`);
    assert.deepEqual(await answer.json(), { hello: "Ada" });
});

test("answers nothing else", async () => {
    const answer = await fetch(`${url}/api/nobody`);
    assert.equal(answer.status, 404);
});
