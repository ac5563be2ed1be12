// `config`: what the operator has set for this handler, as properties.

import host, { pairs } from "hitchy:host";
import { toObject } from "hitchy:url";

let all;
// An instance of a later call may have other settings than the one that is kept as an image.
const read = () => (all ??= toObject(pairs(host.config())));

export const forgetConfig = () => void (all = undefined);

export const config = new Proxy(
    {},
    {
        get: (_, key) => (typeof key === "string" ? read()[key] : undefined),
        has: (_, key) => key in read(),
        ownKeys: () => Reflect.ownKeys(read()),
        getOwnPropertyDescriptor: (_, key) => Object.getOwnPropertyDescriptor(read(), key),
        set() {
            throw new TypeError("the configuration is set by the operator, in the table `config` of the settings");
        },
    },
);
