// The module "hitchy". Files without imports find the same in global variables.

import { app, dispatch } from "hitchy:app";
import { config } from "hitchy:config";
import { Failure } from "hitchy:errors";
import { define } from "hitchy:host";
import { io } from "hitchy:io";
import { kv } from "hitchy:kv";

// The name of the server of socket.io in Hitchy's plugin for Node.
const websocket = io;

for (const [name, value] of Object.entries({ app, config, dispatch, Failure, io, kv, websocket })) define(globalThis, name, value);

export { Failure, app, config, dispatch, io, kv, websocket };
