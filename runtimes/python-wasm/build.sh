#!/usr/bin/env bash
# Builds the Python guest: CPython for wasm32-wasi from Debian's sources with Debian's patches, our C and our prelude.
#
#   build.sh                  rebuild python.wasm.br, and write record.json
#   build.sh --check          no compiler needed: sources, recipe and module have the recorded digests
#   build.sh --verify         --check, then build everything anew in a temporary folder and compare byte for byte
#   build.sh --module FILE    build the module into FILE, not packed and not recorded
#
# All compilers and sources are Debian's, in the versions of packages.txt. They come from the mirrors that this machine's apt
# uses, and are unpacked, not installed, in ${SERVERLEDGE_TOOLS:-.tools}/python-wasm. Beside them that folder keeps CPython's
# objects, as long as nothing changes that they are made of. It works as any user, on Debian for amd64, and needs make and patch.
set -euo pipefail
export LC_ALL=C

mode=${1:-}
module_into=${2:+$(realpath -m "$2")}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
here=$root/runtimes/python-wasm
tools=$(realpath -m "${SERVERLEDGE_TOOLS:-$root/.tools}")/python-wasm

# The stack of C begins at address 0. Only its used end is ever written; it is as long as the recursion that CPython allows needs.
stack_bytes=$((1024 * 1024))
optimise=(-O2 -DNDEBUG)
# Parts of CPython that no function can use, or that are large and rarely used: they have to be decoded by a container.
modules_left_out=(_lsprof _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _multibytecodec)
zlib_files=(adler32 crc32 deflate infback inffast inflate inftrees trees zutil compress uncompr)
bzip2_files=(blocksort huffman crctable randtable compress decompress bzlib)
lzma_folders=(api common check lz rangecoder lzma delta simple)
# Programs, what is for threads, and tables in the place of which it computes where it is to be small.
lzma_left_out='(crc(32|64)_fast|fastpos_table|_tablegen|_consts_gen|_mt|outqueue|hardware_[a-z]*)\.c$'
lzma_flags=(-DHAVE_STDBOOL_H -DHAVE_STDINT_H -DHAVE_INTTYPES_H -DHAVE_LIMITS_H -DHAVE_STRING_H -DHAVE_SMALL -DASSUME_RAM=32 -DTUKLIB_SYMBOL_PREFIX=lzma_
    -DHAVE_ENCODERS -DHAVE_DECODERS -DHAVE_CHECK_CRC32 -DHAVE_CHECK_CRC64 -DHAVE_CHECK_SHA256
    -DHAVE_{EN,DE}CODER_{LZMA1,LZMA2,DELTA,X86,POWERPC,IA64,ARM,ARMTHUMB,ARM64,SPARC,RISCV} -DHAVE_MF_{HC3,HC4,BT2,BT3,BT4})
# Of SQLite what can work on databases in memory, with fewer pages written. It has no threads, and nothing to load.
sqlite_flags=(-Os -D_WASI_EMULATED_GETPID -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_DEFAULT_PCACHE_INITSZ=0
    -DSQLITE_MAX_MMAP_SIZE=0 -DSQLITE_OMIT_{LOAD_EXTENSION,LOOKASIDE,SHARED_CACHE,WAL} -DSQLITE_ENABLE_{FTS5,MATH_FUNCTIONS} -DPY_SQLITE_HAVE_SERIALIZE)
sqlite_modules=(blob connection cursor microprotocols module prepare_protocol row statement util)
our_files=(main host native builtin kdf sqlite library memory immortal)
# What clang uses of WebAssembly, and so wasm-opt may.
wasm_features=(--enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int --enable-mutable-globals)
# Functions of libc that ours stand in for.
wrapped=(free realloc __wasi_clock_time_get __wasi_clock_res_get __wasi_poll_oneoff __wasi_random_get __wasi_environ_sizes_get
    __wasi_fd_write __wasi_fd_close)

say() { printf '%s\n' "python-wasm: $*"; }
fail() { printf '%s\n' "python-wasm: $*" >&2; exit 1; }
digest() { sha256sum "$1" | cut -d' ' -f1; }
packages() { grep -v '^#' "$here/packages.txt"; }

# === records ===

sources() {
    (cd "$root" && find runtimes/python-wasm -path '*/tests' -prune -o -type f \
        \( -name '*.c' -o -name '*.h' -o -name '*.py' -o -name '*.patch' -o -name packages.txt \) -print) | sort
}

# The same form as in scripts/build-guests.sh. The digest of the module itself is there as well: of it that of the packed one follows.
record() {
    local file separator=
    printf '{\n  "compiler": "%s",\n  "recipe": {\n    "runtimes/python-wasm/build.sh": "%s"\n  },\n  "sources": {' \
        "$1" "$(digest "$here/build.sh")"
    while read -r file; do
        printf '%s\n    "%s": "%s"' "$separator" "$file" "$(digest "$root/$file")"
        separator=,
    done < <(sources)
    printf '\n  },\n  "module": {\n    "runtimes/python-wasm/python.wasm.br": "%s",\n    "python.wasm": "%s"\n  }\n}\n' \
        "$(digest "$here/python.wasm.br")" "$2"
}

recorded() { sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" "$here/record.json"; }

check() {
    local lines
    [[ -f $here/record.json && -f $here/python.wasm.br ]] || fail "python.wasm.br or record.json is missing; make them with $0"
    lines=$(diff <(record "$(recorded compiler)" "$(recorded python.wasm)" | tr -d ,) <(tr -d , <"$here/record.json")) || {
        { grep -oE '"[^"]+": "[0-9a-f]{64}"' <<<"$lines" || echo '"record.json"'; } | cut -d'"' -f2 | sort -u |
            sed 's/^/python-wasm: not what the record says: /' >&2
        fail "check failed; rebuild with runtimes/python-wasm/build.sh, or restore the files"
    }
    say "check: sources, recipe and module are as recorded"
}

# === what comes from Debian ===

# Debian's mirrors as apt knows them here: that of the archive, and that of security updates.
mirror() {
    local uri
    while read -r uri; do
        case $1,${uri%/} in
            archive,*/debian | security,*/debian-security) printf '%s\n' "${uri%/}" && return ;;
        esac
    done < <(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u)
    [[ $1 == security ]] || fail "apt has no mirror whose address ends with /debian"
}

# An apt of our own: other releases, its own lists, and no packages installed.
configure_apt() {
    local archive security release suites=()
    command -v apt-get >/dev/null || fail "the sources and compilers are Debian's: this works on Debian only"
    archive=$(mirror archive) security=$(mirror security)
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc/preferences.d,parts}
    : >"$apt/status"
    for release in bookworm trixie; do
        suites+=("$archive $release main")
        [[ -z $security ]] || suites+=("$security $release-security main")
    done
    for release in "${suites[@]}"; do
        printf '%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s\n' deb "$release" deb-src "$release"
    done >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONFIGURATION
Dir "$apt";
Dir::Etc "$apt/etc";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/parts";
Dir::Etc::parts "$apt/parts";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
APT::Architecture "amd64";
Acquire::Languages "none";
CONFIGURATION
    say "apt-get update"
    APT_CONFIG=$apt/apt.conf apt-get update -qq || fail "apt-get update failed"
}

# Fetches one line of packages.txt into a folder by itself.
fetch() {
    local kind=$1 name=$2 version=$3
    [[ -f $apt/apt.conf ]] || configure_apt
    rm -rf "$apt/new" && mkdir "$apt/new"
    if [[ $kind == binary ]]; then
        (cd "$apt/new" && APT_CONFIG=$apt/apt.conf apt-get download -qq "$name=$version")
    else
        (cd "$apt/new" && APT_CONFIG=$apt/apt.conf apt-get source -qq --download-only "$name=$version" >/dev/null)
    fi || fail "Debian's $name $version is not to be had: if there is a newer one, write its version and digest into packages.txt"
}

# All files of packages.txt, each under its digest.
fetch_packages() {
    local release kind name version sha file new
    apt=$work/apt
    mkdir -p "$tools/files"
    while read -r release kind name version sha file; do
        [[ ! -f $tools/files/$sha ]] || continue
        say "fetching $name $version of $release"
        fetch "$kind" "$name" "$version"
        for new in "$apt"/new/*; do mv "$new" "$tools/files/$(digest "$new")"; done
        [[ -f $tools/files/$sha ]] || fail "Debian's ${file:-$name $version} has another SHA-256 than packages.txt says"
    done < <(packages)
}

# The compilers, for this machine's libc; and what needs trixie's libc, with it.
unpack_tools() {
    local release kind name version sha file program library=usr/lib/x86_64-linux-gnu
    debian=$tools/debian-$(packages | sha256sum | cut -c1-16)
    [[ ! -f $debian/complete ]] || return 0
    rm -rf "$tools"/debian-* && mkdir -p "$debian/bin"
    while read -r release kind name version sha file; do
        [[ $kind == binary ]] || continue
        dpkg-deb -x "$tools/files/$sha" "$debian/$release"
    done < <(packages)
    for program in clang ld.lld llvm-ar llvm-ranlib wasm-ld; do
        write_launcher "$program" "LD_LIBRARY_PATH=\$debian/bookworm/$library:\$debian/bookworm/lib/x86_64-linux-gnu exec \$debian/bookworm/usr/lib/llvm-19/bin/$program"
    done
    # The name that Debian's clang looks for.
    cp "$debian/bin/wasm-ld" "$debian/bin/wasm-ld-19"
    for program in python3.13 wasm-opt brotli; do
        write_launcher "$program" "PYTHONHOME=\$debian/trixie/usr exec \$debian/trixie/$library/ld-linux-x86-64.so.2 --library-path \$debian/trixie/$library \$debian/trixie/usr/bin/$program"
    done
    write_launcher tclsh "TCL_LIBRARY=\$debian/trixie/usr/share/tcltk/tcl8.6 exec \$debian/trixie/$library/ld-linux-x86-64.so.2 --library-path \$debian/trixie/$library \$debian/trixie/usr/bin/tclsh8.6"
    touch "$debian/complete"
}

write_launcher() {
    printf '#!/bin/sh\ndebian=$(dirname "$(dirname "$(readlink -f "$0")")")\n%s "$@"\n' "$2" >"$debian/bin/$1"
    chmod +x "$debian/bin/$1"
}

# A source package with Debian's patches and ours.
unpack_source() {
    local release kind name version sha file patch to=$2
    mkdir -p "$to"
    while read -r release kind name version sha file; do
        [[ $kind == source && $name == "$1" ]] || continue
        case $file in
            *.orig.tar.*) tar -xf "$tools/files/$sha" -C "$to" --strip-components 1 ;;
            *.debian.tar.*) tar -xf "$tools/files/$sha" -C "$to" ;;
        esac
    done < <(packages)
    while read -r patch _; do
        patch -s -d "$to" -p1 <"$to/debian/patches/$patch" || fail "Debian's patch $patch does not apply to $1"
    done < <(grep -v '^#' "$to/debian/patches/series" | grep .)
}

# === CPython ===

compiler_flags() { cc=(clang --target=wasm32-wasi "--sysroot=$debian/trixie/usr"); }

# Objects of CPython and of other libraries, which change less often than our own files.
build_cpython() {
    local key
    key=$({ packages | grep -E 'clang|llvm|lld|wasi-libc|python3\.13| source '; cat "$here/cpython.patch"; declare -f configure_cpython compile_cpython compile_library compile_libraries write_sqlite; echo "${optimise[*]} ${modules_left_out[*]} ${lzma_flags[*]} ${sqlite_flags[*]}"; } |
        sha256sum | cut -c1-16)
    cpython=$cpython_in/cpython-$key
    [[ ! -f $cpython/complete ]] || return 0
    rm -rf "$cpython_in"/cpython-* && mkdir -p "$cpython"
    say "CPython: patching and configuring (a minute)"
    unpack_source python3.13 "$cpython/source"
    patch -s -d "$cpython/source" -p1 <"$here/cpython.patch" || fail "cpython.patch does not apply"
    configure_cpython
    say "CPython: compiling (two minutes)"
    compile_cpython
    compile_libraries
    touch "$cpython/complete"
}

configure_cpython() {
    mkdir -p "$cpython/build"
    (
        cd "$cpython/build"
        export CC="${cc[*]}" CPP="${cc[*]} -E" CXX="${cc[*]}" AR=llvm-ar RANLIB=llvm-ranlib HOSTRUNNER=true
        export CFLAGS="-ffile-prefix-map=$cpython=." PKG_CONFIG_LIBDIR=/nonexistent PKG_CONFIG_PATH=
        export CONFIG_SITE=../source/Tools/wasm/config.site-wasm32-wasi
        ../source/configure --host=wasm32-unknown-wasip1 --build=x86_64-pc-linux-gnu --with-build-python="$debian/bin/python3.13" \
            --prefix=/usr --disable-test-modules --without-ensurepip --without-doc-strings --with-suffix=.wasm >configure.log 2>&1 ||
            { tail -n 20 configure.log >&2 && fail "CPython cannot be configured"; }
        printf '%s\n' '*disabled*' "${modules_left_out[@]}" >Modules/Setup.local
        # Left out for WASI only since it was never tried there.
        sed -i 's|^/\* #undef WITH_PYMALLOC \*/|#define WITH_PYMALLOC 1|' pyconfig.h
    )
}

compile_cpython() {
    # The interpreter tells when it was compiled: always at the same time.
    (cd "$cpython/build" && SOURCE_DATE_EPOCH=0 make -s "-j$(nproc)" OPT="${optimise[*]} -w" \
        libpython3.13.a Modules/_hacl/libHacl_Hash_SHA2.a) >"$cpython/make.log" 2>&1 ||
        { tail -n 20 "$cpython/make.log" >&2 && fail "CPython does not compile"; }
}

# Compiles a package's library, and CPython's module over it: the package, the module's files, the folder of the headers, then the
# library's files.
compile_library() {
    local package=$1 modules=$2 headers=$3 file flags
    local objects=$cpython/objects/$package python=(-DPy_BUILD_CORE_BUILTIN "-I$cpython/build" "-I$cpython/source/Include" "-I$cpython/source/Include/internal")
    shift 3
    flags=("${optimise[@]}" -w "-ffile-prefix-map=$cpython=." "-I$headers" "${library_flags[@]}")
    mkdir -p "$objects"
    for file in "$@"; do "${cc[@]}" "${flags[@]}" -c "${file%.c}.c" -o "$objects/$(basename "$file" .c).o"; done
    for file in $modules; do
        "${cc[@]}" "${flags[@]}" "${python[@]}" -c "$cpython/source/Modules/$file.c" -o "$objects/$(basename "$file").o"
    done
}

# SQLite as one file, which its makefile writes with programs that are compiled for this machine, with trixie's libc.
write_sqlite() {
    local libraries=$debian/trixie/usr/lib/x86_64-linux-gnu
    mkdir -p "$cpython/sqlite3/one-file"
    make -s -C "$cpython/sqlite3/one-file" -f ../main.mk TOP=.. BCC="clang --target=x86_64-linux-gnu --sysroot=$debian/trixie -fuse-ld=lld -nostdlib -w \
        -Wl,--dynamic-linker=$libraries/ld-linux-x86-64.so.2 -Wl,-rpath,$libraries $libraries/crt1.o $libraries/libc.so.6 $libraries/libc_nonshared.a" \
        sqlite3.c >"$cpython/sqlite3/make.log" 2>&1 || { tail -n 20 "$cpython/sqlite3/make.log" >&2 && fail "SQLite cannot be put into one file"; }
}

compile_libraries() {
    local package lzma=$cpython/xz-utils/src/liblzma files library_flags=()
    for package in zlib bzip2 xz-utils sqlite3; do unpack_source "$package" "$cpython/$package"; done
    compile_library zlib zlibmodule "$cpython/zlib" "${zlib_files[@]/#/$cpython/zlib/}"
    compile_library bzip2 _bz2module "$cpython/bzip2" "${bzip2_files[@]/#/$cpython/bzip2/}"
    files=("$lzma"/{common,check,lz,rangecoder,lzma,delta,simple}/*.c)
    mapfile -t files < <(printf '%s\n' "${files[@]}" | grep -vE "$lzma_left_out")
    library_flags=("${lzma_flags[@]}" "${lzma_folders[@]/#/-I$lzma/}" "-I$cpython/xz-utils/src/common")
    compile_library xz-utils _lzmamodule "$lzma/api" "${files[@]}"
    write_sqlite
    library_flags=("${sqlite_flags[@]}")
    compile_library sqlite3 "${sqlite_modules[*]/#/_sqlite/}" "$cpython/sqlite3/one-file" "$cpython/sqlite3/one-file/sqlite3"
}

# === the module ===

build_module() {
    local out=$1 file objects=$work/objects wrap=() build
    mkdir -p "$objects"
    fetch_packages
    unpack_tools
    PATH=$debian/bin:$PATH
    compiler_flags
    build_cpython
    build=$cpython/build
    python3.13 "$here/pack.py" "$cpython/source/Lib" "$here/prelude" "$debian/trixie/usr/share/zoneinfo" \
        "$build/Modules/config.c" "$objects"
    for file in "${our_files[@]}"; do
        "${cc[@]}" "${optimise[@]}" -std=gnu23 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers \
            "-ffile-prefix-map=$here=." "-ffile-prefix-map=$objects=." "-ffile-prefix-map=$cpython=." "-DSTACK_BYTES=$stack_bytes" \
            "-I$objects" "-I$build" "-I$cpython/source/Include" "-I$cpython/source/Include/internal" "-I$cpython/zlib" "-I$cpython/sqlite3/one-file" \
            "-I$cpython/source/Modules/_hacl" "-I$cpython/source/Modules/_hacl/include" "--embed-dir=$objects" \
            -c "$here/$file.c" -o "$objects/$file.o"
    done
    for file in "${wrapped[@]}"; do wrap+=("-Wl,--wrap=$file"); done
    (
        cd "$objects"
        "${cc[@]}" -mexec-model=reactor -nostartfiles -Wl,--no-entry "${wrap[@]}" "-Wl,-z,stack-size=$stack_bytes" -Wl,--stack-first \
            -Wl,--gc-sections -Wl,--strip-all "${our_files[@]/%/.o}" "$cpython"/objects/*/*.o "$build/libpython3.13.a" \
            "$build/Modules/_hacl/libHacl_Hash_SHA2.a" "$build/Modules/_decimal/libmpdec/libmpdec.a" "$build/Modules/expat/libexpat.a" \
            -ldl -lwasi-emulated-signal -lwasi-emulated-getpid -lwasi-emulated-process-clocks -lm -o linked.wasm
    )
    say "wasm-opt (a minute)"
    wasm-opt -O3 "${wasm_features[@]}" "$objects/linked.wasm" -o "$out"
    python3.13 "$here/uncount.py" "$out"
    refuse_machine_paths "$out"
}

# A module is public: it must not tell whose machine it was built on.
refuse_machine_paths() {
    local pattern
    for pattern in "$root" "$tools" "$work" "${HOME:-/nonexistent}/"; do
        ! grep -qaF -- "$pattern" "$1" || fail "the module contains the machine path $pattern"
    done
}

compiler() {
    printf '%s, %s, %s' "$(clang --version | head -1)" "$(wasm-ld --version)" "$(wasm-opt --version)"
    packages | awk '$2 == "source" && $6 ~ /dsc$/ || $3 == "wasi-libc" { printf ", %s %s", $3, $4 }'
}

# The licences of all that the module is made of, as Debian tells them.
notices() {
    local part title
    for part in "Python:$cpython/source/debian/copyright" "SHA-2 of HACL*:$cpython/source/Modules/_hacl/Hacl_Hash_SHA2.c" \
        "zlib:$cpython/zlib/debian/copyright" "bzip2:$cpython/bzip2/debian/copyright" "liblzma:$cpython/xz-utils/COPYING.0BSD" "SQLite:$cpython/sqlite3/debian/copyright" "wasi-libc:$debian/trixie/usr/share/doc/wasi-libc/copyright" \
        "compiler-rt:$debian/bookworm/usr/share/doc/libclang-rt-19-dev-wasm32/copyright" \
        "the tz database:$debian/trixie/usr/share/doc/tzdata/copyright"; do
        title="==== ${part%%:*} ===="
        printf '%s\n\n' "$title"
        # Of a source that is the comment at its beginning.
        if [[ $part == *.c ]]; then sed -n '1,/\*\//p' "${part#*:}"; else cat "${part#*:}"; fi
        printf '\n'
    done | sed -e 's/[[:space:]]*$//'
}

rebuild() {
    local module=$work/python.wasm
    build_module "$module"
    notices >"$here/NOTICES.txt"
    brotli -f -q 11 -w 24 "$module" -o "$here/python.wasm.br"
    record "$(compiler)" "$(digest "$module")" >"$here/record.json"
    say "$(stat -c %s "$module") bytes, $(stat -c %s "$here/python.wasm.br") when packed: python.wasm.br"
}

verify() {
    check
    cpython_in=$work
    build_module "$work/python.wasm"
    [[ $(digest "$work/python.wasm") == "$(recorded python.wasm)" ]] || fail "the sources give another module than the record says"
    say "verify: the sources give the recorded module"
}

[[ $mode == --check ]] && { check; exit; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cpython_in=$tools
case $mode in
    "") rebuild ;;
    --verify) verify ;;
    --module) build_module "${module_into:?where to?}" ;;
    *) fail "unknown argument $mode (none, --check, --verify or --module FILE)" ;;
esac
