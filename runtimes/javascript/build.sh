#!/usr/bin/env bash
# How the JavaScript guest is built: part of scripts/build-guests.sh, which has the compilers ready, and `$work`, `$root`, `say` and
# `fail`. QuickJS is compiled as it was published, but for quickjs/engine.patch and the frames of stack-frames.awk.

prelude_files=(globals warnings errors console encoding url clone crypto timers invocation locale load fetch)

# A file of the prelude with its lines, but without their indentation and comments.
prelude_file() { sed -e 's/^ *//' -e 's|^//.*||' "prelude/$1.js"; }

# How far into a page the memory behind the prelude's texts begins: the multiple of 512 with which a short call writes the fewest
# pages, 17 of 17 to 21 (tests/guest.js, pagesChanged).
heap_offset=3584

# The files of the prelude in C, in the order in which they run: a table, and their texts with a zero behind each. The texts take
# whole pages and that offset, so that their length decides nothing about the pages that a call writes.
prelude_table() {
    local name bytes=0
    for name in "${prelude_files[@]}"; do bytes=$((bytes + $(prelude_file "$name" | wc -c) + 1)); done
    echo 'static const struct { const char *name; size_t length; } prelude[] = {'
    for name in "${prelude_files[@]}"; do
        printf '{"serverledge:prelude/%s.js", %d},\n' "$name" "$(prelude_file "$name" | wc -c)"
    done
    printf '};\nstatic char prelude_text[%d] = {' $(((bytes + 4095) / 4096 * 4096 + heap_offset))
    for name in "${prelude_files[@]}"; do
        prelude_file "$name" | od -An -v -tx1 | sed 's/ \(..\)/0x\1,/g'
        echo '0,'
    done
    echo '};'
}

# Only cargo knows where it keeps the crate; it compares the checksum.
quickjs_sources() {
    local manifest=quickjs/Cargo.toml
    cargo fetch -q --locked --manifest-path "$manifest"
    cargo metadata --locked --offline --format-version 1 --manifest-path "$manifest" |
        grep -oE '"manifest_path":"[^"]*/rquickjs-sys-[^"]*/Cargo.toml"' | sed 's|.*:"\(.*\)/Cargo.toml"|\1/quickjs|;q'
}

# quickjs.c with our changes, below the objects.
prepare_engine() {
    local quickjs=$1 objects=$2
    cp "$quickjs/quickjs.c" "$objects/quickjs.c"
    chmod u+w "$objects/quickjs.c"
    # Outside of a repository git applies patches like any other program; it takes none that does not fit exactly.
    (cd "$objects" && GIT_CEILING_DIRECTORIES=$(dirname "$objects") git apply "$root/runtimes/javascript/quickjs/engine.patch")
    awk -f stack-frames.awk "$objects/quickjs.c" >"$objects/quickjs-framed.c"
}

build_javascript() {
    local out=$1/javascript objects=$work/javascript quickjs name flags
    say "JavaScript: QuickJS (a minute)"
    mkdir -p "$out" "$objects"
    (
        cd "$root/runtimes/javascript"
        quickjs=$(quickjs_sources)
        [[ -f $quickjs/quickjs.c ]] || fail "the sources of QuickJS are not there"
        prelude_table >"$objects/prelude.h"
        prepare_engine "$quickjs" "$objects"
        flags=(--target=wasm32-wasi -std=gnu11 -O2 -DNDEBUG -D_GNU_SOURCE -ffunction-sections "-ffile-prefix-map=$PWD=."
            "-ffile-prefix-map=$objects=." "-ffile-prefix-map=$quickjs=quickjs" -I. "-I$objects" -isystem "$quickjs")
        # What the compiler says about sources that are not ours helps nobody.
        for name in libregexp libunicode dtoa; do clang "${flags[@]}" -w -c "$quickjs/$name.c" -o "$objects/$name.o"; done
        clang "${flags[@]}" -w -c engine.c -o "$objects/engine.o"
        for name in main native host memory digest; do
            clang "${flags[@]}" -Wall -Wextra -Werror -Wno-unused-parameter -c "$name.c" -o "$objects/$name.o"
        done
        cd "$objects"
        clang --target=wasm32-wasi -mexec-model=reactor -nostartfiles -Wl,--no-entry -Wl,-z,stack-size=163840 -Wl,--stack-first \
            -Wl,--gc-sections -Wl,--strip-all main.o native.o host.o memory.o digest.o engine.o libregexp.o libunicode.o dtoa.o -lm \
            -o "$out/javascript.wasm"
    )
}
