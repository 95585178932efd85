#!/usr/bin/env bash
# Builds the library for browsers, edge/edge.js, from edge/src, and records what went into it.
#
#   build-edge.sh            check the types, rebuild edge/edge.js and rewrite edge/record.json
#   build-edge.sh --check    no npm needed: sources, recipe and library still have the recorded digests
#   build-edge.sh --verify   --check, then check the types and rebuild elsewhere and compare, where npm is there and finds its packages
#
# esbuild and TypeScript are the versions that edge/package.json pins; npm puts them into ${SERVERLEDGE_TOOLS:-.tools}/edge.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

tools=$(realpath -m "${SERVERLEDGE_TOOLS:-.tools}")/edge
library=edge/edge.js

digest() { sha256sum "$1" | cut -d' ' -f1; }

# What the library depends on. One file a line, so that two records can be compared by lines.
record() {
    local file separator=
    printf '{\n  "recipe": {\n    "scripts/build-edge.sh": "%s"\n  },\n  "sources": {' "$(digest scripts/build-edge.sh)"
    while read -r file; do
        printf '%s\n    "%s": "%s"' "$separator" "$file" "$(digest "$file")"
        separator=,
    done < <(printf '%s\n' edge/build.mjs edge/package.json edge/tsconfig.json edge/src/*.ts)
    printf '\n  },\n  "library": {\n    "%s": "%s"\n  }\n}\n' "$library" "$(digest "$library")"
}

check() {
    local lines
    if ! lines=$(diff <(record | tr -d ,) <(tr -d , <edge/record.json)); then
        { grep -oE '"[^"]+": "[0-9a-f]{64}"' <<<"$lines" || echo '"edge/record.json"'; } | cut -d'"' -f2 | sort -u >&2
        fail "these files are not what edge/record.json says; rebuild with scripts/build-edge.sh, or restore them"
    fi
    say "$library, its sources and the recipe are as recorded"
}

# The version of a package that edge/package.json pins.
pinned() { sed -n "s/^    \"$1\": \"\([^\"]*\)\",\?$/\1/p" edge/package.json; }

installed() { [[ $(cat "$tools/versions" 2>/dev/null) == "$(pinned esbuild) $(pinned typescript)" ]]; }

install_packages() {
    installed && return
    command -v npm >/dev/null && command -v node >/dev/null || return
    local esbuild typescript
    esbuild=$(pinned esbuild) typescript=$(pinned typescript)
    rm -rf "$tools" && mkdir -p "$tools"
    printf '{"private": true}\n' >"$tools/package.json"
    (cd "$tools" && npm install --no-audit --no-fund --silent "esbuild@$esbuild" "typescript@$typescript" >/dev/null 2>&1) || return
    printf '%s %s\n' "$esbuild" "$typescript" >"$tools/versions"
}

# build FILE: checks the types and bundles.
build() {
    "$tools/node_modules/.bin/tsc" -p edge/tsconfig.json
    local root=$PWD
    (cd "$tools" && node "$root/edge/build.mjs" built.js)
    cp "$tools/built.js" "$1"
}

case ${1:-} in
    '')
        install_packages || fail "esbuild and TypeScript are needed: npm cannot install them here"
        build "$library"
        record >edge/record.json
        say "built $library: $(stat -c %s "$library") bytes, $(gzip -9nc "$library" | wc -c) with gzip"
        ;;
    --check) check ;;
    --verify)
        check
        if ! install_packages; then
            say "npm cannot install esbuild and TypeScript here: not built again"
            exit
        fi
        again=$(mktemp)
        trap 'rm -f "$again"' EXIT
        build "$again"
        cmp "$again" "$library" || fail "$library is not what edge/src gives"
        say "$library is what edge/src gives"
        ;;
    *) fail "unknown option $1" ;;
esac
