#!/usr/bin/env bash
# Builds the web console, console/dist, from console/src, and records what went into it.
#
#   build-console.sh               check the types, rebuild console/dist and rewrite console/record.json
#   build-console.sh --check       no npm needed: sources, recipe and built files still have the recorded digests
#   build-console.sh --verify      --check, then check types, rebuild elsewhere and compare, if npm finds its packages
#   build-console.sh --try FOLDER  check types and build into FOLDER; console/dist and the record stay
#
# The packages are those of console/package-lock.json; npm puts them into ${SERVERLEDGE_TOOLS:-.tools}/console, where
# the sources are copied to for each build, and docs/errors.md, which the console shows. The build fails if the first
# load has more than 250,000 bytes with gzip, or more than 450,000 with the editor and one of its languages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

tools=$(realpath -m "${SERVERLEDGE_TOOLS:-.tools}")/console
first_load_max=250000
with_editor_max=450000

digest() { sha256sum "$1" | cut -d' ' -f1; }

# The members of an object of the record: each file on stdin with its digest, one a line.
digests() {
    local file separator=
    while read -r file; do
        printf '%s\n    "%s": "%s"' "$separator" "$file" "$(digest "$file")"
        separator=,
    done
}

sources() {
    printf '%s\n' console/index.html console/package-lock.json console/package.json console/tsconfig.json \
        console/vite.config.ts docs/errors.md
    find console/src -type f | sort
}

# What the console depends on and what it gives.
record() {
    printf '{\n  "recipe": {\n    "scripts/build-console.sh": "%s"\n  },\n  "sources": {' \
        "$(digest scripts/build-console.sh)"
    digests < <(sources)
    printf '\n  },\n  "console": {'
    digests < <(find console/dist -type f 2>/dev/null | sort)
    printf '\n  }\n}\n'
}

check() {
    local lines
    if ! lines=$(diff <(record | tr -d ,) <(tr -d , <console/record.json)); then
        { grep -oE '"[^"]+": "[0-9a-f]{64}"' <<<"$lines" || echo '"console/record.json"'; } |
            cut -d'"' -f2 | sort -u >&2
        fail "these files are not what console/record.json says; rebuild with scripts/build-console.sh, or restore them"
    fi
    say "console/dist, the sources and the recipe are as recorded"
}

installed() { cmp -s "$tools/installed" console/package-lock.json; }

install_packages() {
    installed && return
    command -v npm >/dev/null && command -v node >/dev/null || return
    mkdir -p "$tools"
    cp console/package.json console/package-lock.json "$tools"
    (cd "$tools" && npm ci --no-audit --no-fund --silent >/dev/null 2>&1) || return
    cp console/package-lock.json "$tools/installed"
}

# build FOLDER: checks the types and bundles into FOLDER/dist, from a copy beside the packages. That folder's name is
# no part of what is built.
build() {
    local copy
    copy=$(mktemp -d "$tools/build.XXXXXX")
    cp -r console/index.html console/package.json console/tsconfig.json console/vite.config.ts console/src "$copy"
    mkdir "$copy/docs"
    cp docs/errors.md "$copy/docs"
    (
        trap 'rm -rf "$copy"' EXIT
        cd "$copy"
        "$tools/node_modules/.bin/tsc" -p tsconfig.json
        "$tools/node_modules/.bin/vite" build --logLevel warn
        rm -rf "$1/dist"
        cp -r dist "$1/dist"
    )
    measure "$1/dist"
}

compressed() { gzip -9nc "$1" | wc -c; }

# The scripts and styles that a script loads with it, itself included: FOLDER FILE...
static() {
    local folder=$1 file name
    local -a queue=("${@:2}")
    local -A seen=()
    while ((${#queue[@]} > 0)); do
        file=${queue[0]} queue=("${queue[@]:1}")
        [[ -n ${seen[$file]:-} ]] && continue
        seen[$file]=1
        say "$file"
        [[ $file == *.js ]] || continue
        # `import … from"./x.js"` and `import"./x.js"`, but not `import("./x.js")`.
        while read -r name; do queue+=("assets/$name"); done < <(
            grep -oE '(from|import)[ ]?["`'"'"']\./[A-Za-z0-9_.-]+\.js["`'"'"']' "$folder/$file" |
                sed -E 's/.*\.\/([A-Za-z0-9_.-]+\.js).*/\1/' || true
        )
    done
}

# Bytes with gzip of these files of a folder.
sum() {
    local folder=$1 file total=0
    shift
    for file in "$@"; do total=$((total + $(compressed "$folder/$file"))); done
    printf '%d' "$total"
}

# measure DIST: prints the figures and fails where they are too large.
measure() {
    local -a entry first editor all
    mapfile -t entry < <(
        grep -oE '/console/assets/[A-Za-z0-9_.-]+\.(js|css)' "$1/index.html" | sed 's#^/console/##' | sort -u
    )
    mapfile -t first < <(static "$1" "${entry[@]}")
    # All languages, though a page loads one.
    mapfile -t editor < <(cd "$1" && find assets -name 'editor-*.js' -o -name 'dist-*.js' | sort)
    mapfile -t editor < <(static "$1" "${first[@]}" "${editor[@]}")
    local first_load with_editor
    first_load=$(sum "$1" index.html "${first[@]}")
    with_editor=$(sum "$1" index.html "${editor[@]}")
    mapfile -t all < <(cd "$1" && find . -type f)
    say "first load: $first_load bytes with gzip, of $first_load_max; with the editor and its languages:" \
        "$with_editor, of $with_editor_max; all files: $(sum "$1" "${all[@]}")"
    ((first_load <= first_load_max)) || fail "the first load is too large"
    ((with_editor <= with_editor_max)) || fail "the first load with the editor is too large"
}

case ${1:-} in
    '')
        install_packages || fail "npm cannot install the packages of console/package-lock.json here"
        build "$PWD/console"
        record >console/record.json
        ;;
    --check) check ;;
    --verify)
        check
        if ! install_packages; then
            say "npm cannot install the packages of console/package-lock.json here: not built again"
            exit
        fi
        again=$(mktemp -d)
        trap 'rm -rf "$again"' EXIT
        build "$again"
        diff -r "$again/dist" console/dist >&2 || fail "console/dist is not what console/src gives"
        say "console/dist is what console/src gives"
        ;;
    --try)
        install_packages || fail "npm cannot install the packages of console/package-lock.json here"
        mkdir -p "${2:?a folder}"
        build "$(realpath "$2")"
        ;;
    *) fail "unknown option $1" ;;
esac
