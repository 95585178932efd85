#!/usr/bin/env bash
# How the two engines of the JavaScript guest are built: part of scripts/build-guests.sh, which has the compilers ready, and `$work`, `$root`, `say` and
# `fail`. QuickJS is compiled as it was published, but for quickjs/engine.patch and the frames of stack-frames.awk.

prelude_files=(globals warnings errors console encoding url clone crypto timers invocation locale load kv bcrypt
    interfaces encodings events streambase readable writable streams textstreams compression blob formdata messages
    reports navigator performance urlpattern fetch serve
    keyformats subtle buffer node-crypto node-path node-querystring node-decoder node-events node-util node-assert
    node-url)

# The second engine knows languages. Its modules, headers and objects have this behind their names.
intl_suffix=-intl
intl_files=(intl intl-collator intl-number intl-text intl-date)

# A file of the prelude with its lines, but without their indentation and comments.
prelude_file() { sed -e 's/^ *//' -e 's|^//.*||' "prelude/$1.js"; }

# What a file says in its first lines: `// names: …`, the names for which it is loaded, or `// needs: …`, the files before it.
# Fails if there is no such line.
prelude_header() {
    local lines
    lines=$(sed -n -e '11q' -e "s|^// $2:||p" "prelude/$1.js" | tr -s ' \n' ' ' | sed -e 's/^ //' -e 's/ $//')
    sed 10q "prelude/$1.js" | grep -q "^// $2:" && printf '%s' "$lines"
}

# One bit for each file that a file needs: all of them run before it.
prelude_needs() {
    local file=$1 need at bits=0
    for need in $(prelude_header "$file" needs); do
        for ((at = 0; at < ${#prelude_files[@]}; at++)); do
            [[ ${prelude_files[at]} != "$file" ]] || fail "prelude/$file.js needs $need, which does not stand before it"
            [[ ${prelude_files[at]} != "$need" ]] || break
        done
        ((at < ${#prelude_files[@]})) || fail "prelude/$file.js needs $need, which is no file of the prelude"
        bits=$((bits | 1 << at))
    done
    printf '0x%xu' "$bits"
}

# The files of the second engine: those for languages stand where the first has the file that says that there are none.
intl_prelude_files() {
    local name
    for name in "${prelude_files[@]}"; do
        if [[ $name == locale ]]; then printf '%s\n' "${intl_files[@]}"; else printf '%s\n' "$name"; fi
    done
}

# The memory begins with the stack. While the prelude is loaded, the stack ends where the texts of the prelude begin, and these fill
# the rest; after that their place is the stack's as well. So their length costs nothing.
stack_bytes=$((64 * 1024))
prelude_bytes=$((112 * 1024))
# Operations for languages use more of the stack: this is more than the texts need.
intl_prelude_bytes=$((160 * 1024))

# A file of the prelude as it lies in the module: DEFLATE without what gzip puts around it.
packed_file() { prelude_file "$1" | gzip -n9 | tail -c +11 | head -c -8; }

# The files of the prelude in C, in the order in which they run: a table, and the names of which optional files give what.
prelude_table() {
    local name text at optional
    ((${#prelude_files[@]} <= 64)) || fail "a prelude of more than 64 files"
    printf 'enum { STACK_BYTES = %d, PRELUDE_BYTES = %d };\nextern uint8_t prelude_text[];\n' "$stack_bytes" "$prelude_bytes"
    echo 'static const struct { const char *name; uint64_t needs; uint32_t packed, length; bool optional; } prelude[] = {'
    for name in "${prelude_files[@]}"; do
        optional=true
        prelude_header "$name" names >/dev/null || optional=false
        printf '{"serverledge:prelude/%s.js", %sll, %d, %d, %s},\n' "$name" "$(prelude_needs "$name")" \
            "$(packed_file "$name" | wc -c)" "$(prelude_file "$name" | wc -c)" "$optional"
    done
    printf '};\nstatic const struct { const char *text; uint8_t length, file; } prelude_names[] = {'
    for ((at = 0; at < ${#prelude_files[@]}; at++)); do
        for text in $(prelude_header "${prelude_files[at]}" names); do printf '{"%s", %d, %d},\n' "$text" ${#text} "$at"; done
    done
    echo '};'
}

# Their texts in C. Of the sections that begin with .rodata the linker puts first what it sees first.
prelude_texts() {
    local name bytes=0
    for name in "${prelude_files[@]}"; do ((bytes += $(packed_file "$name" | wc -c))); done
    ((bytes <= prelude_bytes)) || fail "the prelude has $bytes bytes when packed: raise prelude_bytes in runtimes/javascript/build.sh"
    printf '#include <stdint.h>\n__attribute__((section(".rodata_prelude"), aligned(16))) uint8_t prelude_text[%d] = {' "$prelude_bytes"
    for name in "${prelude_files[@]}"; do packed_file "$name" | od -An -v -tx1 | sed 's/ \(..\)/0x\1,/g'; done
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
    # Outside of the collector, references to what is in the snapshot are not counted (immortal.h).
    sed -E -e '/^#define JS_GC_MARK\(/a #include "immortal.h"' \
        -e '/^static void gc_(decref|scan_incref)_child/,/^\}/! {
            s/JS_REF_COUNT\(([a-z0-9_>-]+)\)\+\+/immortal_refer(\1)/
            s/--JS_REF_COUNT\(([a-z0-9_]+)\)|JS_REF_COUNT\(([a-z0-9_]+)\)--/immortal_release(\1\2)/
        }' "$objects/quickjs.c" | awk -f stack-frames.awk >"$objects/quickjs-framed.c"
}

# The library in Rust, for the same target as the guest, with the given arguments for cargo.
build_library() {
    local to=$1
    shift
    (cd library && CARGO_TARGET_DIR=$target_dir/javascript cargo_for_wasm build -q --locked --release --target wasm32-wasip1 "$@")
    cp "$target_dir/javascript/wasm32-wasip1/release/liblibrary.a" "$to"
}

# Compiles what both engines have in common, in the current folder, into $objects.
compile_engine() {
    local name
    # What the compiler says about sources that are not ours helps nobody.
    for name in libregexp libunicode dtoa; do clang "${flags[@]}" -w -c "$quickjs/$name.c" -o "$objects/$name.o"; done
    clang "${flags[@]}" -w -c engine.c -o "$objects/engine.o"
    for name in host memory; do clang "${our_flags[@]}" -c "$name.c" -o "$objects/$name.o"; done
}

# Compiles what is one engine's own and links the module: the suffix of its names, and arguments for clang.
link_engine() {
    local suffix=$1 own=$objects/own$1 name
    shift
    mkdir -p "$own"
    prelude_table >"$own/prelude.h"
    prelude_texts >"$own/prelude.c"
    clang "${flags[@]}" "-ffile-prefix-map=$own=." -Wall -Wextra -Werror -c "$own/prelude.c" -o "$own/prelude.o"
    for name in main native; do
        clang "${our_flags[@]}" "-ffile-prefix-map=$own=." "-I$own" "$@" -c "$name.c" -o "$own/$name.o"
    done
    (
        cd "$objects"
        clang --target=wasm32-wasi -mexec-model=reactor -nostartfiles -Wl,--no-entry "-Wl,-z,stack-size=$stack_bytes" -Wl,--stack-first \
            -Wl,--gc-sections -Wl,--strip-all "$own/prelude.o" "$own/main.o" "$own/native.o" host.o memory.o engine.o libregexp.o \
            libunicode.o dtoa.o -lm -lc "library$suffix.a" -o "$out/javascript$suffix.wasm"
    )
}

# The second engine, when the first has been compiled.
link_intl_engine() {
    local prelude_files=($(intl_prelude_files)) prelude_bytes=$intl_prelude_bytes
    build_library "$objects/library$intl_suffix.a" --features intl
    link_engine "$intl_suffix" -DSERVERLEDGE_INTL
}

build_javascript() {
    local out=$1/javascript objects=$work/javascript quickjs flags our_flags
    say "JavaScript: QuickJS and a library in Rust, twice (five minutes)"
    mkdir -p "$out" "$objects"
    (
        cd "$root/runtimes/javascript"
        prepare_javascript
        compile_engine
        build_library "$objects/library.a"
        link_engine ""
        link_intl_engine
    )
}

# Finds the sources of QuickJS and says how to compile: into $quickjs, $flags and $our_flags.
prepare_javascript() {
    quickjs=$(quickjs_sources)
    [[ -f $quickjs/quickjs.c ]] || fail "the sources of QuickJS are not there"
    prepare_engine "$quickjs" "$objects"
    flags=(--target=wasm32-wasi -std=gnu11 -O2 -DNDEBUG -D_GNU_SOURCE -ffunction-sections "-ffile-prefix-map=$PWD=."
        "-ffile-prefix-map=$objects=." "-ffile-prefix-map=$quickjs=quickjs" -I. "-I$objects" -isystem "$quickjs")
    our_flags=("${flags[@]}" -Wall -Wextra -Werror -Wno-unused-parameter)
}
