#!/usr/bin/env bash
# Builds the guests of wasm-examples/ and the JavaScript guest of runtimes/javascript/ from source, records what went into each
# module, and checks those records.
#
#   build-guests.sh                rebuild every module and rewrite its record.json
#   build-guests.sh --javascript   rebuild the JavaScript guest only
#   build-guests.sh --check        no compiler needed: sources, recipe and modules still have the recorded digests
#   build-guests.sh --verify [DIR] --check, then rebuild (into DIR, or a temporary folder) and compare byte for byte
#                                  where the compilers are the recorded ones
#
# Rust: the wasm targets of the rustup toolchain in use, when it has them (`rustup target add wasm32-wasip1
# wasm32-unknown-unknown`); else Debian's rustc-web, unpacked (not installed) in ${SERVERLEDGE_TOOLS:-.tools}/rust-wasm.
# C: clang and wasi-libc, installed from Debian when they are missing. JavaScript: both, and the sources of QuickJS in a Rust package.
set -euo pipefail
export LC_ALL=C

mode=${1:-}
verify_into=${2:+$(realpath -m "$2")}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# The root's rust-toolchain.toml decides which rustc and cargo run.
cd "$root"
examples=$root/wasm-examples
recipe=scripts/build-guests.sh
javascript_recipe=runtimes/javascript/build.sh
# shellcheck source=runtimes/javascript/build.sh
source "$javascript_recipe"
tools=$(realpath -m "${SERVERLEDGE_TOOLS:-$root/.tools}")/rust-wasm
# Raised when the fallback toolchain's set-up changes, so that an older cache folder is not taken for the new one.
tools_version=2

commands=(hello markdown sieve thumbnail) # Rust, wasm32-wasip1
reactors=(call-chain counter)             # Rust, wasm32-unknown-unknown
components=(echo-cli echo-concurrent-cli echo-http echo-service fetch-cli fetch-http fetch-service kv-http) # Rust, wasm32-unknown-unknown, made a component by its linker
c_guests=(call-c word-count)
wat_guests=(add)
javascript_guests=(javascript) # C, with the sources of QuickJS, and Rust, wasm32-wasip1; it has two modules
rust_guests=("${commands[@]}" "${reactors[@]}" "${components[@]}")
guests=("${rust_guests[@]}" "${c_guests[@]}" "${wat_guests[@]}" "${javascript_guests[@]}")

say() { printf '%s\n' "build-guests: $*"; }
fail() { printf '%s\n' "build-guests: $*" >&2; exit 1; }
contains() { local wanted=$1 each; shift; for each; do [[ $each == "$wanted" ]] && return; done; return 1; }
digest() { sha256sum "$1" | cut -d' ' -f1; }
# Where a guest's sources and its module are, relative to the root.
folder() { if contains "$1" "${javascript_guests[@]}"; then printf 'runtimes/%s' "$1"; else printf 'wasm-examples/%s' "$1"; fi; }

# The file names of a guest's modules.
modules() {
    printf '%s\n' "$1.wasm"
    ! contains "$1" "${javascript_guests[@]}" || printf '%s\n' "$1$intl_suffix.wasm"
}

# === records ===

# The files a guest's module depends on, relative to the root. Readme, examples and records are left out: changing
# a sentence must not ask for a rebuild.
sources() {
    local guest=$1
    if contains "$guest" "${javascript_guests[@]}"; then
        javascript_sources "$(folder "$guest")"
        return
    fi
    if ! contains "$guest" "${c_guests[@]}"; then
        printf 'wasm-examples/%s\n' Cargo.toml Cargo.lock .cargo/config.toml
    fi
    if contains "$guest" "${wat_guests[@]}"; then
        (cd "$root" && find wasm-examples/assemble -type f \( -name '*.rs' -o -name Cargo.toml \))
    fi
    (cd "$root" && find "wasm-examples/$guest" -type f \
        \( -name '*.rs' -o -name '*.c' -o -name '*.h' -o -name '*.wat' -o -name '*.wit' -o -name Cargo.toml \)) | sort
}

javascript_sources() {
    (cd "$root" && find "$1" -path "$1/tests" -prune -o -type f \
        \( -name '*.c' -o -name '*.h' -o -name '*.awk' -o -name '*.patch' -o -path '*/prelude/*.js' -o -path '*/quickjs/Cargo.*' \
        -o -path '*/library/*.rs' -o -path '*/library/Cargo.*' -o -path '*/intl/src/*.rs' -o -path '*/intl/Cargo.toml' \
        -o -path '*/intl/data/*.bin' -o -path '*/intl/data/*.txt' \) -print) | sort
}

# What the record of a guest should say now. A record holds one file a line, so that two of them can be compared by lines.
record() {
    local guest=$1 compiler=$2 recipe=$recipe folder file separator=
    ! contains "$guest" "${javascript_guests[@]}" || recipe=$javascript_recipe
    printf '{\n  "compiler": "%s",\n  "recipe": {\n    "%s": "%s"\n  },\n  "sources": {' \
        "$compiler" "$recipe" "$(digest "$root/$recipe")"
    while read -r file; do
        printf '%s\n    "%s": "%s"' "$separator" "$file" "$(digest "$root/$file")"
        separator=,
    done < <(sources "$guest")
    printf '\n  },\n  "module": {'
    folder=$(folder "$guest") separator=
    for file in $(modules "$guest"); do
        printf '%s\n    "%s": "%s"' "$separator" "$folder/$file" "$(digest "$root/$folder/$file")"
        separator=,
    done
    printf '\n  }\n}\n'
}

recorded_compiler() { sed -n 's/^  "compiler": "\(.*\)",$/\1/p' "$root/$(folder "$1")/record.json"; }

# Names each file whose digest differs from the record's, new and removed ones included.
check() {
    local guest folder file lines bad=0
    for guest in "${guests[@]}"; do
        folder=$(folder "$guest")
        for file in $(modules "$guest") record.json; do
            [[ -f $root/$folder/$file ]] || { say "missing: $folder/$file" >&2; bad=1; continue 2; }
        done
        lines=$(diff <(record "$guest" "$(recorded_compiler "$guest")" | tr -d ,) <(tr -d , <"$root/$folder/record.json")) && continue
        bad=1
        { grep -oE '"[^"]+": "[0-9a-f]{64}"' <<<"$lines" || echo "\"$folder/record.json\""; } |
            cut -d'"' -f2 | sort -u | while read -r file; do
            say "$guest: $file is not what its record says" >&2
        done
    done
    [[ $bad == 0 ]] || fail "check failed; rebuild with $recipe, or restore the files"
    say "check: ${#guests[@]} guests, their sources and the recipe are as recorded"
}

# === toolchains ===

host() { rustc -vV | sed -n 's/^host: //p'; }

# The linkers come with the rustup toolchain, whether or not its wasm targets do.
linkers() { printf '%s\n' "$(rustc --print sysroot)/lib/rustlib/$(host)/bin"; }

has_rustup_targets() {
    local installed
    installed=$(cd "$examples" && rustup target list --installed 2>/dev/null) || return 1
    grep -qx wasm32-wasip1 <<<"$installed" && grep -qx wasm32-unknown-unknown <<<"$installed"
}

debian() {
    command -v apt-get >/dev/null || fail "$1 is needed, and this script knows only Debian's packages"
}

# apt-get update, once in a run and only if something has to be fetched.
refresh_packages() {
    [[ ${refreshed:-} ]] || { say "apt-get update"; apt-get update -qq; }
    refreshed=1
}

c_compiles() {
    command -v clang >/dev/null && printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
        clang --target=wasm32-wasi -x c - -o "$work/probe.wasm" 2>/dev/null
}

prepare_c() {
    c_compiles && return
    debian "clang for wasm32-wasi"
    refresh_packages
    say "installing clang, lld, wasi-libc"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends clang lld wasi-libc >/dev/null
    local major
    major=$(clang -dumpversion | cut -d. -f1)
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "libclang-rt-$major-dev-wasm32" >/dev/null
    c_compiles || fail "clang cannot build for wasm32-wasi"
}

# Packages of the fallback toolchain. The versioned names change with Debian's updates, so they are asked for.
rust_packages() {
    local std
    std=$(apt-cache depends libstd-rust-web-dev | sed -n 's/.*Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p')
    printf '%s\n' rustc-web rust-web-src libstd-rust-web-dev wasi-libc "$std"
    apt-cache depends "$std" | sed -n 's/.*Depends: \(libllvm[0-9]*\)$/\1/p'
}

# Debian has a recent rustc but no standard library for wasm: it is built here once, by that rustc.
prepare_debian_rust() {
    [[ $(cat "$tools/version" 2>/dev/null) == "$tools_version" ]] && return
    debian "a Rust compiler for wasm"
    refresh_packages
    # cargo does not see that the standard library is another one: what was built with the older goes as well.
    rm -rf "$tools" "$examples/target" && mkdir -p "$tools/debs"
    say "fetching Debian's rustc-web into ${tools#"$root/"}"
    # Without its sandbox user apt can write into a folder that only we may enter.
    local package packages
    mapfile -t packages < <(rust_packages)
    (cd "$tools/debs" && apt-get -q -o APT::Sandbox::User=root download "${packages[@]}" >/dev/null)
    for package in "$tools"/debs/*.deb; do dpkg -x "$package" "$tools/unpacked"; done
    printf 'rustc-web %s, wasi-libc %s\n' "$(dpkg-deb -f "$tools"/debs/rustc-web_*.deb Version)" \
        "$(dpkg-deb -f "$tools"/debs/wasi-libc_*.deb Version)" >"$tools/packages"
    rm -rf "$tools/debs"
    write_rustc_launcher
    build_std
    write_c_runtime
    rm -rf "$tools"/{std-target,src,Cargo.toml,Cargo.lock} "$tools"/unpacked/usr/{src,share,lib/rustlib/src}
    printf '%s\n' "$tools_version" >"$tools/version"
}

# The unpacked compiler does not find its own libraries; paths are taken from the launcher's place, so the folder may move.
write_rustc_launcher() {
    mkdir -p "$tools/bin"
    cat >"$tools/bin/rustc" <<'LAUNCHER'
#!/bin/sh
usr=$(dirname "$(dirname "$(readlink -f "$0")")")/unpacked/usr
LD_LIBRARY_PATH=$(echo "$usr"/lib/*-linux-gnu) exec "$usr/bin/rustc" "$@"
LAUNCHER
    chmod +x "$tools/bin/rustc"
}

# The workspace root lies above the library sources: cargo then hashes relative paths into the symbol names, and the
# result does not depend on where the folder is.
build_std() {
    local target lib
    say "building the Rust standard library for wasm (a minute or two, once)"
    mkdir -p "$tools/src"
    echo '#![no_std]' >"$tools/src/lib.rs"
    cat >"$tools/Cargo.toml" <<'MANIFEST'
[workspace]
[package]
name = "stdbuild"
version = "0.0.0"
edition = "2024"
[profile.release]
codegen-units = 1
debug = false
lto = "off"
MANIFEST
    # Bitcode is kept so that the guests can be linked with lto.
    (cd "$tools" && std_flags=-Cembed-bitcode=yes RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$tools/std-target \
        cargo_for_wasm build -q --release -Zbuild-std=std,panic_abort -Zbuild-std-features= \
        --target wasm32-wasip1 --target wasm32-unknown-unknown)
    for target in wasm32-wasip1 wasm32-unknown-unknown; do
        lib=$tools/unpacked/usr/lib/rustlib/$target/lib
        mkdir -p "$lib"
        find "$tools/std-target/$target/release/deps" -name 'lib*.rlib' ! -name 'libstdbuild*' -exec cp {} "$lib/" \;
    done
}

# Debian's wasi-libc is older than this Rust: it has no pthread functions (std refers to them, a guest that spawns a
# thread gets an error), and its start file leaves the constructors to the linker, which no longer calls them.
write_c_runtime() {
    local self=$tools/unpacked/usr/lib/rustlib/wasm32-wasip1/lib/self-contained
    mkdir -p "$self"
    cp "$tools/unpacked/usr/lib/wasm32-wasi/libc.a" "$tools/unpacked/usr/lib/wasm32-wasi/crt1-reactor.o" "$self/"
    clang --target=wasm32-wasi -O2 -ffunction-sections -x c -c - -o "$self/crt1-command.o" <<'C'
enum { UNSUPPORTED = 58 }; /* ENOTSUP */
void __wasm_call_ctors(void);
void __wasm_call_dtors(void);
int __main_void(void);
_Noreturn void __wasi_proc_exit(unsigned code);
void _start(void) {
    __wasm_call_ctors();
    int code = __main_void();
    __wasm_call_dtors();
    if (code != 0) __wasi_proc_exit((unsigned)code);
}
int pthread_attr_init(void *a) { (void)a; return 0; }
int pthread_attr_destroy(void *a) { (void)a; return 0; }
int pthread_attr_setstacksize(void *a, unsigned long n) { (void)a; (void)n; return 0; }
int pthread_create(void *t, const void *a, void *f, void *x) { (void)t; (void)a; (void)f; (void)x; return UNSUPPORTED; }
int pthread_join(void *t, void *r) { (void)t; (void)r; return UNSUPPORTED; }
int pthread_detach(void *t) { (void)t; return UNSUPPORTED; }
C
}

# === compiling ===

# cargo calls every compiler through this: it names each crate's folder after the crate, so that a panic message says
# neither whose machine built it nor where. It is a wrapper because RUSTFLAGS would be hashed into the symbol names.
write_wrapper() {
    cat >"$work/wrapper" <<'WRAPPER'
#!/bin/sh
rustc=$1
shift
if [ -n "$CARGO_MANIFEST_DIR" ]; then
    name=/$CARGO_PKG_NAME-$CARGO_PKG_VERSION
    set -- "$@" --remap-path-prefix "$SERVERLEDGE_RUST_SRC=/rustc/std" \
        --remap-path-prefix "$CARGO_MANIFEST_DIR=$name" --remap-path-prefix "${CARGO_MANIFEST_DIR#"$PWD/"}=$name"
    [ -z "$OUT_DIR" ] || set -- "$@" --remap-path-prefix "$OUT_DIR=$name/out"
fi
exec "$rustc" "$@"
WRAPPER
    chmod +x "$work/wrapper"
}

# cargo with the chosen rustc, the linkers in reach, and none of the caller's own flags.
cargo_for_wasm() {
    local src
    src=$("$wasm_rustc" --print sysroot)/lib/rustlib/src/rust
    env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_RUSTFLAGS -u CARGO_BUILD_TARGET \
        ${std_flags:+RUSTFLAGS="$std_flags"} PATH="$(linkers):$(linkers)/gcc-ld:$PATH" \
        SERVERLEDGE_RUST_SRC="$src" \
        RUSTC="$wasm_rustc" RUSTC_WRAPPER="$work/wrapper" cargo "$@"
}

prepare_rust() {
    if has_rustup_targets; then
        wasm_rustc=$(cd "$examples" && rustup which rustc)
        rust_origin="rustup's wasm targets"
    else
        say "this rustup toolchain has no wasm targets: using Debian's compiler"
        wasm_rustc=$tools/bin/rustc
        prepare_debian_rust
        rust_origin=$(cat "$tools/packages")
    fi
}

c_compiler() {
    printf '%s, %s, wasi-libc %s\n' "$(clang --version | head -1)" "$(wasm-ld --version)" \
        "$(dpkg-query -W -f '${Version}' wasi-libc 2>/dev/null || echo unknown)"
}

# Everything whose version can change a module's bytes.
compiler() {
    local guest=$1
    if contains "$guest" "${rust_guests[@]}"; then
        printf '%s, %s, %s, %s\n' "$("$wasm_rustc" --version)" "$rust_origin" "$(cargo --version)" \
            "$("$(linkers)/gcc-ld/wasm-ld" --version | sed 's/ (.*//')"
    elif contains "$guest" "${c_guests[@]}"; then
        c_compiler
    elif contains "$guest" "${javascript_guests[@]}"; then
        printf '%s, %s, %s, %s, %s\n' "$(c_compiler)" "$("$wasm_rustc" --version)" "$rust_origin" "$(cargo --version)" \
            "$(gzip --version | head -1)"
    else
        printf 'crate wat %s\n' "$(grep -A1 '^name = "wat"$' "$examples/Cargo.lock" | sed -n 's/^version = "\(.*\)"$/\1/p')"
    fi
}

build_rust() {
    local out=$1 target=$2 guest packages=()
    shift 2
    for guest; do packages+=(-p "$guest"); done
    say "Rust, $target: $*"
    (cd "$examples" && CARGO_TARGET_DIR=$target_dir cargo_for_wasm build -q --locked --release --target "$target" "${packages[@]}")
    for guest; do
        mkdir -p "$out/$guest"
        # cargo names a library's file with underscores, a program's with hyphens.
        cp "$target_dir/$target/release/$guest.wasm" "$out/$guest/" 2>/dev/null ||
            cp "$target_dir/$target/release/${guest//-/_}.wasm" "$out/$guest/$guest.wasm"
    done
}

build_c() {
    local out=$1 guest
    shift
    for guest; do
        say "C: $guest"
        mkdir -p "$out/$guest"
        (cd "$examples/$guest" && clang --target=wasm32-wasi -std=c11 -O2 -Wall -Wextra -Werror -ffunction-sections \
            -ffile-prefix-map="$PWD=." -Wl,-z,stack-size=65536 -Wl,--stack-first -Wl,--gc-sections -Wl,--strip-all ./*.c -o "$out/$guest/$guest.wasm")
    done
}

build_wat() {
    local out=$1 guest
    shift
    for guest; do
        say "WAT: $guest"
        mkdir -p "$out/$guest"
        (cd "$examples" && CARGO_TARGET_DIR=$target_dir \
            cargo run -q --locked --release -p assemble -- "$guest/$guest.wat" "$out/$guest/$guest.wasm")
    done
}

# A module is public: it must not tell whose machine it was built on.
refuse_machine_paths() {
    local module=$1 pattern
    for pattern in "$root" "$tools" "${HOME:-/nonexistent}/" "${CARGO_HOME:-$HOME/.cargo}" "$target_dir" .cargo/ registry/src; do
        ! grep -qaF -- "$pattern" "$module" || fail "$(basename "$module") contains the machine path $pattern"
    done
}

build_all() {
    local out=$1 guest file
    write_wrapper
    prepare_c
    prepare_rust
    build_wat "$out" "${wat_guests[@]}"
    build_c "$out" "${c_guests[@]}"
    build_javascript "$out"
    build_rust "$out" wasm32-wasip1 "${commands[@]}"
    build_rust "$out" wasm32-unknown-unknown "${reactors[@]}"
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-component-ld build_rust "$out" wasm32-unknown-unknown "${components[@]}"
    for guest in "${guests[@]}"; do
        for file in $(modules "$guest"); do refuse_machine_paths "$out/$guest/$file"; done
    done
}

# === modes ===

rebuild() {
    target_dir=$examples/target
    build_all "$work/modules"
    keep "${guests[@]}"
}

rebuild_javascript() {
    local file
    target_dir=$examples/target
    write_wrapper
    prepare_c
    prepare_rust
    build_javascript "$work/modules"
    for file in $(modules javascript); do refuse_machine_paths "$work/modules/javascript/$file"; done
    keep "${javascript_guests[@]}"
}

# Puts what was built where it belongs, with new records.
keep() {
    local guest folder file
    for guest; do
        folder=$(folder "$guest")
        for file in $(modules "$guest"); do
            install -m 644 "$work/modules/$guest/$file" "$root/$folder/$file"
            say "$(printf '%8d bytes  %s' "$(stat -c %s "$root/$folder/$file")" "$folder/$file")"
        done
        record "$guest" "$(compiler "$guest")" >"$root/$folder/record.json"
    done
}

verify() {
    local out=$1 guest here recorded file bad=0
    check
    # A target folder of its own: what an earlier build left behind must not decide the answer.
    target_dir=$work/target
    build_all "$out"
    for guest in "${guests[@]}"; do
        here=$(compiler "$guest") recorded=$(recorded_compiler "$guest")
        if [[ $here != "$recorded" ]]; then
            say "$guest: built, not compared: recorded with $recorded; here $here"
            continue
        fi
        for file in $(modules "$guest"); do
            if cmp -s "$out/$guest/$file" "$root/$(folder "$guest")/$file"; then
                say "$guest: $file has the same bytes"
            else
                say "$guest: $(folder "$guest")/$file differs from what its sources give" >&2
                bad=1
            fi
        done
    done
    [[ $bad == 0 ]] || fail "verify failed"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $mode in
    "") rebuild ;;
    --javascript) rebuild_javascript ;;
    --check) check ;;
    --verify) verify "${verify_into:-$work/modules}" ;;
    *) fail "unknown argument $mode (none, --javascript, --check or --verify [DIR])" ;;
esac
