// Drives Chromium for the tests: one JSON command per line on standard input, one JSON answer with its `n` as `re` on standard output.
//
// Each page has a window of its own that shares nothing with the others. Its socket.io connections are watched: `window.seen` lists
// the ids they had and why they ended, `window.sockets` holds them.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { complaintsOf } from "./complaints.mjs";

const SOON = 30000;
const pages = new Map();
let browser;

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

// Runs in the page, before its own scripts: `io` is what the bundle of the client sets.
const watchSockets = () => {
  window.seen = [];
  window.sockets = [];
  let original;
  const watched = (...args) => {
    const socket = original(...args);
    window.sockets.push(socket);
    socket.on("connect", () => window.seen.push(socket.id));
    socket.on("disconnect", (reason) => window.seen.push(reason));
    return socket;
  };
  Object.defineProperty(window, "io", {
    configurable: true,
    get: () => original && watched,
    set: (io) => (original = io),
  });
};

const start = async ({ chromium: executablePath }) => {
  const args = ["--disable-gpu", "--disable-dev-shm-usage"];
  browser = await chromium.launch({ executablePath, chromiumSandbox: false, args, timeout: SOON });
  return null;
};

// Chromium says this whenever a websocket is closed while it opens. The official client does so when it disconnects
// while it moves from polling to a websocket: a refused `connect` is enough. It depends on the speed of the machine.
const ABANDONED = /WebSocket is closed before the connection is established/;

// In the same moment, a poll of the client may come after its goodbye. The session is unknown by then.
const isLatePoll = (message) =>
  message.text().includes("status of 400") && message.location().url.includes("transport=polling");

const open = async ({ page: name, url, width, height, dark }) => {
  const narrow = width < 600;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    hasTouch: narrow,
    deviceScaleFactor: narrow ? 2 : 1,
    locale: "en-GB",
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(SOON);
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => {
    const counts = message.type() === "error" || message.type() === "warning";
    if (counts && !ABANDONED.test(message.text()) && !isLatePoll(message)) errors.push(`the console says: ${message.text()}`);
  });
  page.on("pageerror", (error) => errors.push(`a script failed: ${error.message}`));
  pages.set(name, { page, errors });
  await page.addInitScript(watchSockets);
  await page.goto(url);
  return null;
};

const commands = {
  start,
  fill: ({ page, label, text }) => page.getByLabel(label, { exact: true }).fill(text),
  type: ({ page, text }) => page.keyboard.type(text),
  press: ({ page, key }) => page.keyboard.press(key),
  click: ({ page, name }) => page.getByRole("button", { name, exact: true }).click(),
  sees: ({ page, selector, text }) => page.locator(selector).filter({ hasText: text, visible: true }).first().waitFor(),
  seesNo: ({ page, selector }) => page.locator(selector).filter({ visible: true }).first().waitFor({ state: "hidden" }),
  eval: ({ page, expression }) => page.evaluate(expression),
  until: ({ page, expression }) => page.waitForFunction(expression, undefined, { polling: 50 }).then(() => null),
  picture: ({ page, path }) => page.screenshot({ path }).then(() => null),
  complaints: async ({ page, errors }) => [...errors, ...(await page.evaluate(complaintsOf))],
};

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { n, do: what, ...command } = JSON.parse(line);
    try {
      const ok = what === "open" ? await open(command) : await commands[what]({ ...command, ...pages.get(command.page) });
      say({ re: n, ok: ok ?? null });
    } catch (error) {
      say({ re: n, error: String(error?.stack ?? error) });
    }
  })
  .on("close", async () => {
    await browser?.close();
    process.exit(0);
  });
