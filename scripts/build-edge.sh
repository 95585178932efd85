#!/usr/bin/env bash
# Builds the library for browsers, edge/edge.js and the files that it loads, from edge/src, and records what went into
# it.
#
#   build-edge.sh            check the types, rebuild the library and rewrite edge/record.json
#   build-edge.sh --check    no npm needed: sources, recipe and library still have the recorded digests
#   build-edge.sh --verify   --check, then check types, rebuild elsewhere and compare, where npm finds its packages
#
# The packages are the versions that edge/package.json pins; npm puts them into ${SERVERLEDGE_TOOLS:-.tools}/edge. The
# types that edge/edge.d.ts declares are checked against the sources. edge.js has at most 8,192 bytes with gzip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

tools=$(realpath -m "${SERVERLEDGE_TOOLS:-.tools}")/edge
library=(edge/edge.js edge/edge-more.js edge/edge-components.js)
packages=(esbuild terser typescript)
# Most bytes of edge.js with gzip: a page loads it before its first call.
compressed_max=8192

digest() { sha256sum "$1" | cut -d' ' -f1; }

# What the library depends on. One file a line, so that two records can be compared by lines.
record() {
    local file separator=
    printf '{\n  "recipe": {\n    "scripts/build-edge.sh": "%s"\n  },\n  "sources": {' "$(digest scripts/build-edge.sh)"
    while read -r file; do
        printf '%s\n    "%s": "%s"' "$separator" "$file" "$(digest "$file")"
        separator=,
    done < <(printf '%s\n' edge/build.mjs edge/edge.d.ts edge/package.json edge/tsconfig.json edge/src/*.ts)
    printf '\n  },\n  "library": {'
    separator=
    for file in "${library[@]}"; do
        printf '%s\n    "%s": "%s"' "$separator" "$file" "$(digest "$file")"
        separator=,
    done
    printf '\n  }\n}\n'
}

check() {
    local lines
    if ! lines=$(diff <(record | tr -d ,) <(tr -d , <edge/record.json)); then
        { grep -oE '"[^"]+": "[0-9a-f]{64}"' <<<"$lines" || echo '"edge/record.json"'; } | cut -d'"' -f2 | sort -u >&2
        fail "these files are not what edge/record.json says; rebuild with scripts/build-edge.sh, or restore them"
    fi
    say "${library[*]}, the sources and the recipe are as recorded"
}

# The version of a package that edge/package.json pins.
pinned() { sed -n "s/^    \"$1\": \"\([^\"]*\)\",\?$/\1/p" edge/package.json; }

# Each package with its version, one a line.
versions() {
    local package
    for package in "${packages[@]}"; do printf '%s@%s\n' "$package" "$(pinned "$package")"; done
}

installed() { [[ $(cat "$tools/versions" 2>/dev/null) == "$(versions)" ]]; }

install_packages() {
    installed && return
    command -v npm >/dev/null && command -v node >/dev/null || return
    rm -rf "$tools" && mkdir -p "$tools"
    printf '{"private": true, "type": "module"}\n' >"$tools/package.json"
    local wanted
    mapfile -t wanted < <(versions)
    (cd "$tools" && npm install --no-audit --no-fund --silent "${wanted[@]}" >/dev/null 2>&1) || return
    versions >"$tools/versions"
}

# build FOLDER: checks the types and bundles.
build() {
    "$tools/node_modules/.bin/tsc" -p edge/tsconfig.json
    local root=$PWD file
    (cd "$tools" && rm -rf built && mkdir built && node "$root/edge/build.mjs" built)
    for file in "${library[@]}"; do cp "$tools/built/${file##*/}" "$1"; done
    (($(compressed "$1/edge.js") <= compressed_max)) ||
        fail "edge.js has $(compressed "$1/edge.js") bytes with gzip, and may have $compressed_max"
}

compressed() { gzip -9nc "$1" | wc -c; }

case ${1:-} in
    '')
        install_packages || fail "${packages[*]} are needed: npm cannot install them here"
        build edge
        record >edge/record.json
        for file in "${library[@]}"; do
            say "built $file: $(stat -c %s "$file") bytes, $(compressed "$file") with gzip"
        done
        ;;
    --check) check ;;
    --verify)
        check
        if ! install_packages; then
            say "npm cannot install ${packages[*]} here: not built again"
            exit
        fi
        again=$(mktemp -d)
        trap 'rm -rf "$again"' EXIT
        build "$again"
        for file in "${library[@]}"; do
            cmp "$again/${file##*/}" "$file" || fail "$file is not what edge/src gives"
        done
        say "${library[*]} are what edge/src gives"
        ;;
    *) fail "unknown option $1" ;;
esac
