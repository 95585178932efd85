# Shared by the build.sh of the guests beside it; read with `source`. A build.sh writes $OUT/$NAME.wasm and says its toolchain's
# version. It has OUT, NAME, ROOT and TOOLS; it runs in its guest's folder and leaves nothing there.
# shellcheck shell=bash
# shellcheck disable=SC2034  # names for the scripts that read this
set -euo pipefail

module=$OUT/$NAME.wasm
here=$PWD

# shellcheck source=tests/conformance/versions.sh
source "$ROOT/tests/conformance/versions.sh"

say_version() { printf 'version: %s\n' "$*"; }
# The toolchain is not to be had here: the guest is "not built", which is no fault.
cannot() { printf '%s\n' "$*"; exit 3; }
fail() { printf '%s\n' "$*"; exit 1; }
need() { local each; for each; do command -v "$each" >/dev/null || cannot "no $each on this machine"; done; }

# Whether something may be fetched.
online() { [[ ${OFFLINE:-} != 1 ]] || cannot "missing: $* (SERVERLEDGE_CONFORMANCE_OFFLINE=1)"; }

# once FOLDER COMMAND...: runs a command that fills a folder of TOOLS, unless the same one did so before.
once() {
    local folder=$TOOLS/$1 name=$1
    shift
    [[ $(cat "$folder/.complete" 2>/dev/null) == "$*" ]] && return
    online "$name"
    rm -rf "$folder"
    mkdir -p "$folder"
    # Not in a condition, where a function would go on after a command that fails.
    local status=0
    set +e
    (set -e; cd "$folder"; "$@")
    status=$?
    set -e
    ((status == 0)) || { rm -rf "$folder"; cannot "$name cannot be installed here"; }
    printf '%s\n' "$*" >"$folder/.complete"
}

# npm_tool FOLDER PACKAGE@VERSION...: packages below $TOOLS/FOLDER/node_modules.
npm_tool() {
    local folder=$1
    shift
    need node npm
    once "$folder" npm install --silent --no-audit --no-fund --ignore-scripts --no-save "$@"
    PATH=$TOOLS/$folder/node_modules/.bin:$PATH
}

# pip_tool FOLDER PACKAGE==VERSION...: a virtual environment in $TOOLS/FOLDER.
pip_tool() {
    local folder=$1
    shift
    need python3
    # shellcheck disable=SC2016  # for the inner shell
    once "$folder" bash -c 'python3 -m venv . && bin/pip -q --disable-pip-version-check install "$@"' pip "$@"
    PATH=$TOOLS/$folder/bin:$PATH
}

# zig as a C compiler: it brings a libc for wasm.
zig_tool() {
    pip_tool zig "ziglang==$zig_version"
    export ZIG_GLOBAL_CACHE_DIR=$TOOLS/zig-cache ZIG_LOCAL_CACHE_DIR=$TOOLS/zig-cache
}
zig() { nice -n 19 python -m ziglang "$@"; }

# debian PACKAGE...: installs what is missing; only root may, on Debian.
debian() {
    local missing=() each
    for each; do dpkg-query -W -f '${Status}' "$each" 2>/dev/null | grep -q 'ok installed' || missing+=("$each"); done
    ((${#missing[@]} == 0)) && return
    online "${missing[*]}"
    { command -v apt-get >/dev/null && ((EUID == 0)); } || cannot "these packages of Debian are missing: ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; } ||
        cannot "cannot be installed: ${missing[*]}"
}

# Debian's clang and C library for wasm.
c_tool() {
    debian clang lld wasi-libc
    debian "libclang-rt-$(clang_major)-dev-wasm32"
}
clang_major() { clang -dumpversion | cut -d. -f1; }
c_version() { clang --version | sed -n '1s/^Debian //p'; }

# A Rust toolchain of its own, so that the one that builds the node stays as it is.
rust_tool() {
    need rustup
    export RUSTUP_HOME=$TOOLS/rustup CARGO_HOME=$TOOLS/cargo CARGO_TARGET_DIR=$TOOLS/rust-target CARGO_BUILD_JOBS=${JOBS:-1}
    export RUSTUP_TOOLCHAIN=$rust_version RUSTUP_AUTO_INSTALL=0
    # The user's own settings of registries.
    if [[ -f $HOME/.cargo/config.toml && ! -e $CARGO_HOME/config.toml ]]; then
        mkdir -p "$CARGO_HOME"
        cp "$HOME/.cargo/config.toml" "$CARGO_HOME/"
    fi
    once rust-ready rustup toolchain install "$rust_version" --no-self-update --profile minimal \
        --target wasm32-wasip1,wasm32-wasip2,wasm32-unknown-unknown
}
rust_version_text() { rustc --version | cut -d' ' -f1,2; }

# rust_build TARGET [NAME-OF-FILE]: builds the guest's own crate.
rust_build() {
    local target=$1 built=${2:-$NAME}
    (cd "$here" && nice -n 19 cargo build --quiet --release --locked --target "$target")
    cp "$CARGO_TARGET_DIR/$target/release/$built.wasm" "$module"
}

# rust_program CRATE VERSION [OPTION...]: a published program as it is, built with its own lock file.
rust_program() {
    local crate=$1 version=$2
    shift 2
    rust_tool
    CARGO_TARGET_DIR=$TOOLS/rust-programs-target nice -n 19 cargo install --quiet --locked --target wasm32-wasip1 \
        --root "$OUT/installed" "$crate@$version" "$@" 2>"$OUT/cargo.log" ||
        fail "$crate $version does not build: $(grep -m 1 '^error' "$OUT/cargo.log")"
    cp "$OUT"/installed/bin/*.wasm "$module"
    rm -rf "$OUT/installed"
    say_version "$crate $version, $(rust_version_text)"
}

# crate_source CRATE VERSION: the folder of a published crate's sources, for C code that crates bring along.
crate_source() {
    local folder=$TOOLS/crates/$1-$2
    [[ -d $folder ]] || online "the crate $1" >&2
    rust_tool >&2
    if [[ ! -d $folder ]]; then
        local work
        work=$(mktemp -d)
        printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n[lib]\npath = "lib.rs"\n[dependencies]\n' >"$work/Cargo.toml"
        printf '%s = "=%s"\n' "$1" "$2" >>"$work/Cargo.toml"
        touch "$work/lib.rs"
        mkdir -p "$TOOLS/crates"
        (cd "$work" && cargo vendor --quiet --versioned-dirs vendor >/dev/null && mv "vendor/$1-$2" "$folder") >&2 ||
            { rm -rf "$work"; return 3; }
        rm -rf "$work"
    fi
    printf '%s\n' "$folder"
}

# debian_unpacked FOLDER PACKAGE...: packages unpacked below $TOOLS/FOLDER, not installed, since they would change what other
# programs of this machine do.
debian_unpacked() {
    local folder=$1
    shift
    need apt-get dpkg
    # shellcheck disable=SC2016  # for the inner shell
    once "$folder" bash -c 'apt-get -q -o APT::Sandbox::User=root download "$@" >/dev/null &&
        for each in ./*.deb; do dpkg -x "$each" . && rm "$each"; done' apt "$@"
}

# maven FOLDER ARTIFACT...: artifacts (group:name:version[:packaging]) with what they need, as files below $TOOLS/FOLDER.
maven() {
    local folder=$1
    shift
    need mvn java
    # shellcheck disable=SC2016  # for the inner shell
    once "$folder" bash -c 'for each; do
        [[ $each == *:klib ]] && transitive=false || transitive=true
        mvn -q -B -Dstyle.color=never -Dmaven.repo.local="$PWD/repository" dependency:get -Dartifact="$each" -Dtransitive="$transitive" || exit 1
    done' maven "$@"
}

# C++ with WebAssembly's exceptions in their present form (exnref): options for zig in `eh`, and the library as "$cxx". No package
# of a registry has such a library; zig brings its sources, and builds them without exceptions.
cxx_tool() {
    zig_tool
    eh=(-target wasm32-wasi -mcpu=lime1+exception_handling+multivalue+reference_types -O1 -fwasm-exceptions
        -mllvm -wasm-enable-eh -mllvm -wasm-use-legacy-eh=false -fno-sanitize=undefined)
    cxx=$TOOLS/cxx-exceptions-$zig_version/libcxx.a
    once "cxx-exceptions-$zig_version" build_cxx
}

build_cxx() {
    local sources flags name
    sources=$(python -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/lib
    flags=("${eh[@]}" -std=c++23 -w -D_LIBCPP_BUILDING_LIBRARY -D_LIBCXXABI_BUILDING_LIBRARY -DLIBCXX_BUILDING_LIBCXXABI
        -DLIBCXXABI_USE_LLVM_UNWINDER -D_LIBCXXABI_HAS_NO_THREADS -I"$sources/libcxx/src" -I"$sources/libcxxabi/include"
        -I"$sources/libcxxabi/src" -I"$sources/libunwind/include" -I"$sources/libcxx/include")
    for name in "$sources"/libcxxabi/src/*.cpp; do
        case $name in *noexception.cpp | *thread_atexit.cpp) continue ;; esac
        zig c++ "${flags[@]}" -c "$name" -o "abi-$(basename "$name" .cpp).o"
    done
    for name in algorithm any call_once charconv error_category exception functional hash ios ios.instantiations iostream locale memory \
        new_handler new_helpers optional ostream random stdexcept string system_error typeinfo valarray variant vector verbose_abort; do
        zig c++ "${flags[@]}" -c "$sources/libcxx/src/$name.cpp" -o "cxx-$name.o"
    done
    zig cc "${eh[@]}" -w -D_LIBUNWIND_HAS_NO_THREADS -D_LIBUNWIND_HIDE_SYMBOLS -Dthread_local=_Thread_local \
        -I"$sources/libunwind/include" -c "$sources/libunwind/src/Unwind-wasm.c" -o unwind.o
    # The tag of C++ exceptions, which each program has once.
    printf '\t.globl __cpp_exception\n\t.tagtype __cpp_exception i32\n__cpp_exception:\n' >tag.s
    zig cc "${eh[@]:0:3}" -c tag.s -o tag.o
    zig ar rcs libcxx.a ./*.o
    rm ./*.o
}
