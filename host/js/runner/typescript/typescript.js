// From TypeScript to JavaScript: types are taken out, and every line stays where it is.

import { transform } from "sucrase";
import { parse } from "sucrase/dist/esm/parser/index.js";
import { TokenType as tt } from "sucrase/dist/esm/parser/tokenizer/types.js";
import { ContextualKeyword } from "sucrase/dist/esm/parser/tokenizer/keywords.js";

const OPTIONS = { transforms: ["typescript"], disableESTransforms: true, production: true };

// Returns `[JavaScript, ""]`, or `[null, an error for the author]`.
export function translate(name, text) {
    try {
        const refusal = refused(text);
        if (refusal) return [null, `${name}:${place(text, refusal.at)}: ${refusal.cause}`];
        return [transform(text, OPTIONS).code, ""];
    } catch (error) {
        const { line, column } = error.loc ?? {};
        const where = line === undefined ? name : `${name}:${line}:${column}`;
        const message = String(error.message).replace(/^Error transforming .*?: /, "").replace(/ \(\d+:\d+\)$/, "");
        return [null, `${where}: SyntaxError: ${message}`];
    }
}

// Returns what is valid TypeScript and cannot be taken out, because it stands for code that runs.
function refused(text) {
    if (!/\b(?:namespace|module|require|export\s*=)/.test(text) && !text.includes("@")) return undefined;
    const { tokens } = parse(text, false, true, false);
    for (const [index, token] of tokens.entries()) {
        const [before, next, afterNext] = [tokens[index - 1], tokens[index + 1], tokens[index + 2]];
        if (token.type === tt.at) return { at: token.start, cause: "decorators are not supported; call the function instead" };
        if (token.type === tt._export && next?.type === tt.eq)
            return { at: token.start, cause: "`export =` is not supported; write `export default`" };
        const isNamespace =
            [ContextualKeyword._namespace, ContextualKeyword._module].includes(token.contextualKeyword) &&
            next?.type === tt.name &&
            [tt.braceL, tt.dot].includes(afterNext?.type) &&
            before?.contextualKeyword !== ContextualKeyword._declare;
        if (isNamespace)
            return { at: token.start, cause: "namespaces are not supported; write a file of its own and import it, or an object" };
        const isRequire = token.type === tt._import && next?.type === tt.name && afterNext?.type === tt.eq;
        if (isRequire) return { at: token.start, cause: "`import … =` is not supported; write `import … from`" };
    }
    return undefined;
}

function place(text, at) {
    const lines = text.slice(0, at).split("\n");
    return `${lines.length}:${lines.at(-1).length + 1}`;
}
