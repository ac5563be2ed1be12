// `app`: routes, policies and schedules.

import host, { pairs, state, text } from "hitchy:host";
import { Context, webRequest } from "hitchy:context";
import { bytesOf, isBytes } from "hitchy:encoding";
import { unsendable } from "hitchy:errors";
import { Response } from "hitchy:messages";
import { toJson } from "hitchy:payload";

export const routes = [];
export const policies = [];
export const schedules = [];

function wantFunction(value, what) {
    if (typeof value !== "function") throw new TypeError(`${what} takes a function, and this is ${value === undefined ? "nothing" : `a ${typeof value}`}`);
}

// Handlers of other frameworks take a request, a response and a function for the next handler.
function wantHandler(value, what, remedy) {
    wantFunction(value, what);
    if (value.length > 1) host.log(3, `${what}: its function takes ${value.length} arguments and gets one, the context; ${remedy}`.toWellFormed());
}

function wantLoading(what) {
    if (!state.loading) throw new Error(`${what} declares something, which is possible only while the file is loaded: call it at the top level`);
}

// Reads a path: `:name` and `*rest` as web frameworks have them, `{name}` and `{*rest}` as the contract has them.
function pattern(path) {
    const names = [];
    const parts = text(path).split("/").map(part => {
        const match = /^:(\w+)$/.exec(part) ?? /^\*(\w*)$/.exec(part) ?? /^\{\*?(\w+)\}$/.exec(part);
        if (!match) return part;
        const name = match[1] || "rest";
        names.push(name);
        return part.startsWith("*") || part.startsWith("{*") ? `{*${name}}` : `{${name}}`;
    });
    return { path: parts.join("/"), names };
}

const route = (name, method) => (path, ...functions) => {
    wantLoading(`app.${name}`);
    functions = functions.flat();
    if (functions.length === 0) wantFunction(undefined, `app.${name}`);
    for (const one of functions) wantHandler(one, `app.${name}(${JSON.stringify(path)})`, "it answers with what it returns, as in ({ params, json }) => ({ hello: params.name })");
    routes.push({ method, ...pattern(path), run: functions.length === 1 ? functions[0] : inTurn(functions) });
    return app;
};

// Makes one function of several: the first that answers is the last that runs.
const inTurn = functions => async context => {
    for (const one of functions) {
        const answer = await one(context);
        if (answer !== undefined) return answer;
    }
    return undefined;
};

const policy = (stage, name) => (prefix, ...functions) => {
    wantLoading(`app.${name}`);
    const everywhere = typeof prefix === "function";
    functions = (everywhere ? [prefix, ...functions] : functions).flat();
    if (functions.length === 0) wantFunction(undefined, `app.${name}`);
    for (const run of functions) {
        wantHandler(run, `app.${name}${everywhere ? "" : `(${JSON.stringify(prefix)})`}`, "what it returns is the answer, and a request passes if it returns nothing");
        policies.push({ stage, prefix: everywhere ? "/" : text(prefix), run });
    }
    return app;
};

function schedule(what, spec, run, { name } = {}) {
    wantLoading(`app.${what}`);
    wantFunction(run, `app.${what}`);
    const own = name ?? (run.name || `${what}-${schedules.length + 1}`);
    schedules.push({ name: text(own), spec: what === "every" && !/^every\b/.test(spec) ? `every ${text(spec)}` : text(spec), run });
    return app;
}

export const app = {
    get: route("get", "GET"),
    post: route("post", "POST"),
    put: route("put", "PUT"),
    patch: route("patch", "PATCH"),
    delete: route("delete", "DELETE"),
    head: route("head", "HEAD"),
    options: route("options", "OPTIONS"),
    all: route("all", ""),
    use: policy("before", "use"),
    before: policy("before", "before"),
    after: policy("after", "after"),
    every: (spec, run, options) => schedule("every", spec, run, options),
    cron: (spec, run, options) => schedule("cron", spec, run, options),
};

// Declares the route of a file that answers as the web's servers do, by its default export.
export function serveFetch(file, served) {
    const path = file.replace(/\.m?[jt]s$/, "");
    const base = path === "index" ? "" : path.replace(/\/index$/, "");
    const own = base === "" ? "" : `/${base.split("/").map(encodeURIComponent).join("/")}`;
    const run = async () => {
        const response = await served.fetch(webRequest(), {}, { waitUntil() {}, passThroughOnException() {} });
        if (!(response instanceof Response)) throw new TypeError("fetch of the default export answers with a Response");
        return response;
    };
    routes.push({ method: "", path: own || "/", names: [], run }, { method: "", path: `${own}/{*rest}`, names: [], run });
}

const JSON_TYPE = "application/json; charset=utf-8";
const TEXT_TYPE = "text/plain; charset=utf-8";

// Makes the host's response of an answer: `[status, headers, body]`.
function toResponse(answer) {
    if (typeof answer === "string") return [200, ["content-type", TEXT_TYPE], answer.toWellFormed()];
    if (answer === undefined || answer === null) return [204, [], ""];
    if (answer instanceof Response) return ofResponse(answer);
    if (isBytes(answer)) return [200, ["content-type", "application/octet-stream"], bytesOf(answer)];
    const json = toJson(answer);
    if (json === undefined) throw new TypeError(`a ${typeof answer} is no answer; return an object, a string, bytes or a Response`);
    return [200, ["content-type", JSON_TYPE], json];
}

function ofResponse(response) {
    if (response.type === "error") throw new TypeError("Response.error() is no answer");
    const content = response._content();
    const sent = content => [response.status, response.headers._flat(), typeof content === "string" ? content.toWellFormed() : (content ?? "")];
    return response.body === null || content !== null ? sent(content) : response._collect().then(collected => sent(collected._content()));
}

const then = (value, next) => (value instanceof Promise || typeof value?.then === "function" ? Promise.resolve(value).then(next) : next(value));

// Makes the response of an answer, or an error that names what answered.
const answerOf = what => answer => {
    try {
        return toResponse(answer);
    } catch (error) {
        throw unsendable(`the answer of ${what()}`, error);
    }
};

export function request(index) {
    const { run, names, method, path } = routes[index];
    return then(run(new Context(names)), answerOf(() => `${method || "every method"} ${path}`));
}

// A policy that returns nothing lets the request pass.
export const before = index => then(policies[index].run(new Context([])), answer => (answer === undefined || answer === null ? null : answerOf(() => `the policy of ${policies[index].prefix}`)(answer)));

export function after(index, status) {
    const context = new Context([]);
    context.status = status;
    return policies[index].run(context);
}

export const runSchedule = (index, due) => schedules[index].run({ name: schedules[index].name, due: new Date(due) });

// Sends a request to the server itself.
export function dispatch(method, url, { headers = {}, body } = {}) {
    const sent = new Headers(headers);
    let bytes = new Uint8Array();
    if (body !== undefined && body !== null) {
        const isJson = typeof body === "object" && !isBytes(body);
        bytes = isBytes(body) ? bytesOf(body) : host.encode((isJson ? toJson(body) : String(body)).toWellFormed());
        if (!sent.has("content-type")) sent.set("content-type", isJson ? JSON_TYPE : isBytes(body) ? "application/octet-stream" : TEXT_TYPE);
    }
    if (state.recording) return new Response(null, { status: 204 });
    const [status, flat, answer] = host.dispatch(text(method).toUpperCase(), text(url), sent._flat(), bytes);
    return new Response(answer.length ? answer : null, { status, headers: pairs(flat) });
}
