// Builds the component: node build.mjs WIT OUT
import { writeFile } from "node:fs/promises";

import { componentize } from "@bytecodealliance/componentize-js";

const [witPath, out] = process.argv.slice(2);
const { component } = await componentize({ sourcePath: "app.js", witPath, worldName: "site" });
await writeFile(out, component);
