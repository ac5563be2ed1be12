#!/usr/bin/env bash
# Builds host/js/runner.wasm, the component that runs handlers in JavaScript, from host/js/runner.
#
# The result is in the repository, so that the server builds without a C compiler. `build.sh --check` builds it elsewhere and
# fails if the bytes differ. Needed: clang-19 and llvm-ar-19 (in Debian: apt-get install clang-19 llvm-19), a C compiler for this
# machine (`cc`), npm, the version of Rust that `toolchain` names, and its target wasm32-unknown-unknown.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"

# Other versions give other bytes.
toolchain=1.95.0
target=wasm32-unknown-unknown
if command -v rustup >/dev/null; then
    # The toolchain that is there anyway, if it has this version.
    [[ "$(rustc --version)" == "rustc $toolchain "* ]] || export RUSTUP_TOOLCHAIN="$toolchain"
    rustup target add "$target" >/dev/null 2>&1
fi
[[ "$(rustc --version)" == "rustc $toolchain "* ]] || {
    echo "build.sh: Rust $toolchain is needed, and this is $(rustc --version)" >&2
    exit 1
}

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$here/runner/target}"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
sysroot="$(rustc --print sysroot)"
# No path of this machine may be in the result.
remap="--remap-path-prefix=$root=/hitchy --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust --remap-path-prefix=$CARGO_TARGET_DIR=/target"
# The engine limits the stack to 256 KiB, and the rest is for the functions that run at its end.
export RUSTFLAGS="-Clink-arg=-zstack-size=327680 $remap"
export CC_wasm32_unknown_unknown="${CC_wasm32_unknown_unknown:-clang-19}"
export AR_wasm32_unknown_unknown="${AR_wasm32_unknown_unknown:-llvm-ar-19}"
export CFLAGS_wasm32_unknown_unknown="-O2 -g0 -ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$CARGO_TARGET_DIR=/target"
export SOURCE_DATE_EPOCH=0 CARGO_INCREMENTAL=0

# The translator of TypeScript, with what it imports, as one file.
translator="$CARGO_TARGET_DIR/typescript"
mkdir -p "$translator"
cp "$here/runner/typescript/"{package.json,package-lock.json,typescript.js} "$translator/"
(cd "$translator" && npm ci --silent --no-audit --no-fund && npm run --silent bundle -- --log-level=warning --outfile=bundle.js)
export HITCHY_TYPESCRIPT="$translator/bundle.js"

(cd "$here/runner" && cargo build --quiet --release --locked --target "$target")
built="$CARGO_TARGET_DIR/$target/release/hitchy_script_runner.wasm"

if [[ "${1:-}" == --check ]]; then
    cmp "$built" "$here/runner.wasm" || {
        echo "build.sh: host/js/runner.wasm does not come from host/js/runner; run host/js/build.sh" >&2
        exit 1
    }
else
    install -m 644 "$built" "$here/runner.wasm"
    ls -l "$here/runner.wasm"
fi
