# Python of Debian for the scripts that compare the runtime `python-wasm` with it; read with `source` behind lib.sh, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the scripts that read this use `python` and `library`

here=$root/runtimes/python-wasm
tools=$(realpath -m "${SERVERLEDGE_TOOLS:-$root/.tools}")/python-wasm

# How packages are fetched and unpacked is build.sh's matter: its functions are taken, and find the list below.
digest() { sha256sum "$1" | cut -d' ' -f1; }
eval "$(sed -n '/^# === what comes from Debian ===$/,/^# === CPython ===$/p' "$here/build.sh")"
declare -F fetch_packages unpack_source >/dev/null || fail "runtimes/python-wasm/build.sh has changed, and ${BASH_SOURCE[0]} has to follow"

# Of build.sh's packages those that CPython runs with, and its source; and what it needs for `ssl` and `ctypes` as well.
packages() {
    grep -E '^trixie (source python3\.13|binary (libc6|libexpat1|libgcc-s1|libpython3\.13-[a-z]+|libstdc\+\+6|python3\.13-minimal|tzdata|zlib1g)) ' "$here/packages.txt"
    grep -v '^#' "$here/tests/debian.txt"
}

# `python` becomes a CPython for this machine in the runtime's version, and `library` the folder Lib of its source.
prepare_python() {
    local folder release kind name version sha file libraries=usr/lib/x86_64-linux-gnu
    folder=$tools/tests-$(packages | sha256sum | cut -c1-16)
    python=$folder/python3.13 library=$folder/Lib
    [[ ! -f $folder/complete ]] || return 0
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    fetch_packages
    say "unpacking CPython and its source into $folder ..."
    rm -rf "$tools"/tests-* && mkdir -p "$folder"
    while read -r release kind name version sha file; do
        [[ $kind == source ]] || dpkg-deb -x "$tools/files/$sha" "$folder/root"
    done < <(packages)
    unpack_source python3.13 "$work/source"
    mv "$work/source/Lib" "$library"
    printf '#!/bin/sh\nroot=$(dirname "$(readlink -f "$0")")/root\nPYTHONHOME=$root/usr PYTHONTZPATH=$root/usr/share/zoneinfo exec %s --library-path %s "$root/usr/bin/python3.13" "$@"\n' \
        "\$root/$libraries/ld-linux-x86-64.so.2" "\$root/$libraries" >"$python"
    chmod +x "$python"
    touch "$folder/complete"
}
