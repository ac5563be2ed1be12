// Types of the API of handlers in JavaScript: the module "hitchy", and the same as global variables.

declare module "hitchy" {
    type Json = unknown;
    type Answer = Response | string | object | number | boolean | Uint8Array | ArrayBuffer | null | undefined | void;
    type MaybePromise<T> = T | Promise<T>;

    /** The request that is answered. Its functions can be taken out of it. */
    export interface Context {
        readonly params: Record<string, string>;
        readonly query: Record<string, string | string[]>;
        readonly headers: Record<string, string>;
        readonly cookies: Record<string, string>;
        readonly id: string;
        readonly method: string;
        readonly url: string;
        readonly path: string;
        readonly door: "http" | "socket" | "dispatch";
        readonly remote: string;
        /** Milliseconds that are left. */
        readonly deadline: number;
        /** What policies leave for routes. */
        readonly data: Record<string, any>;
        /** The connection of a `request`. */
        readonly socket: Socket | undefined;
        readonly request: Request;
        json(): any;
        text(): string;
        bytes(): Uint8Array;
        form(): Record<string, string | string[]>;
        header(name: string): string | undefined;
        setHeader(name: string, value: string): void;
    }

    export type Handler = (context: Context) => MaybePromise<Answer>;

    export interface App {
        get(path: string, ...handlers: Handler[]): App;
        post(path: string, ...handlers: Handler[]): App;
        put(path: string, ...handlers: Handler[]): App;
        patch(path: string, ...handlers: Handler[]): App;
        delete(path: string, ...handlers: Handler[]): App;
        head(path: string, ...handlers: Handler[]): App;
        options(path: string, ...handlers: Handler[]): App;
        all(path: string, ...handlers: Handler[]): App;
        /** Runs before requests. What it returns is the response; if it returns nothing, the request goes on. */
        use(prefix: string, ...handlers: Handler[]): App;
        use(...handlers: Handler[]): App;
        /** Runs after the response. */
        after(prefix: string, ...handlers: ((context: Context & { status: number }) => MaybePromise<void>)[]): App;
        every(interval: string, run: (due: Due) => MaybePromise<void>, options?: { name?: string }): App;
        cron(times: string, run: (due: Due) => MaybePromise<void>, options?: { name?: string }): App;
    }

    export interface Due {
        name: string;
        due: Date;
    }

    type Rooms = string | string[] | Set<string>;

    export interface Broadcast {
        to(rooms: Rooms): Broadcast;
        in(rooms: Rooms): Broadcast;
        except(rooms: Rooms): Broadcast;
        readonly local: Broadcast;
        readonly volatile: Broadcast;
        timeout(milliseconds: number): Broadcast;
        emit(event: string, ...args: any[]): void;
        emitWithAck(event: string, ...args: any[]): Promise<any[]>;
        fetchSockets(): Promise<Socket[]>;
        allSockets(): Promise<Set<string>>;
        socketsJoin(rooms: Rooms): void;
        socketsLeave(rooms: Rooms): void;
        disconnectSockets(close?: boolean): void;
    }

    export interface Namespace extends Broadcast {
        readonly name: string;
        use(middleware: (socket: Socket, next: (error?: unknown) => void) => void): Namespace;
        on(event: "connection" | "connect", callback: (socket: Socket) => MaybePromise<void>): Namespace;
        of(name: string): Namespace;
    }

    export interface Socket {
        readonly id: string;
        readonly nsp: { name: string };
        readonly rooms: Set<string>;
        readonly handshake: {
            headers: Record<string, string>;
            query: Record<string, string | string[]>;
            auth: any;
            address: string;
            url: string;
        };
        /** JSON values that the server keeps for the connection. */
        data: Record<string, any>;
        on(event: string, listener: (...args: any[]) => any): Socket;
        once(event: string, listener: (...args: any[]) => any): Socket;
        off(event: string, listener?: (...args: any[]) => any): Socket;
        onAny(listener: (event: string, ...args: any[]) => any): Socket;
        prependAny(listener: (event: string, ...args: any[]) => any): Socket;
        offAny(listener?: (event: string, ...args: any[]) => any): Socket;
        use(middleware: (event: any[], next: (error?: unknown) => void) => void): Socket;
        emit(event: string, ...args: any[]): void;
        emitWithAck(event: string, ...args: any[]): Promise<any>;
        timeout(milliseconds: number): Socket;
        readonly volatile: Socket;
        readonly broadcast: Broadcast;
        to(rooms: Rooms): Broadcast;
        in(rooms: Rooms): Broadcast;
        except(rooms: Rooms): Broadcast;
        join(rooms: Rooms): void;
        leave(room: string): void;
        disconnect(close?: boolean): Socket;
    }

    export interface Bucket {
        get(key: string): any;
        bytes(key: string): Uint8Array | undefined;
        set(key: string, value: Json): void;
        delete(key: string): void;
        has(key: string): boolean;
        increment(key: string, by?: number): number;
        update<T>(key: string, change: (value: T | undefined) => T): T;
        keys(prefix?: string): string[];
        bucket(name: string): Bucket;
    }

    /** An error that the client reads. */
    export class Failure extends Error {
        constructor(code: number, message: string, data?: Json);
        code: number;
        data?: Json;
    }

    export const app: App;
    export const io: Namespace;
    export const websocket: Namespace;
    export const kv: Bucket;
    export const config: Record<string, string | undefined>;
    export function dispatch(method: string, url: string, init?: { headers?: HeadersInit; body?: unknown }): Response;
}

declare const app: import("hitchy").App;
declare const io: import("hitchy").Namespace;
declare const websocket: import("hitchy").Namespace;
declare const kv: import("hitchy").Bucket;
declare const config: Record<string, string | undefined>;
declare const dispatch: typeof import("hitchy").dispatch;
declare const Failure: typeof import("hitchy").Failure;
