# Shared by the scripts beside it; read with `source`, never run. It expects `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck disable=SC2034  # some names are used only by the scripts that read this

# Decimal points, sorting and programs' messages must not depend on whose machine this is.
export LC_ALL=C

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' plain=''
fi

# The name of the script that runs, for its messages.
program=$(basename "$0" .sh)

say() { printf '%s\n' "$*"; }
title() { printf '\n%s== %s ==%s\n' "$bold" "$*" "$plain"; }
fail() { printf '%s\n' "${red}$program: $*${plain}" >&2; exit 1; }

# === time ===

# Microseconds since 1970.
now_us() { printf '%s' "${EPOCHREALTIME/./}"; }

# A number of microseconds in words: 4.2 ms, 1.53 s, 3 min 07 s.
words_of_us() {
    local us=$1
    if ((us < 1000000)); then
        printf '%d.%d ms' $((us / 1000)) $((us % 1000 / 100))
    elif ((us < 60000000)); then
        printf '%d.%02d s' $((us / 1000000)) $((us % 1000000 / 10000))
    else
        printf '%d min %02d s' $((us / 60000000)) $((us / 1000000 % 60))
    fi
}

# === what must be installed ===

# Whether programs can be compiled and linked, which the Rust toolchain needs beside itself.
c_compiles() {
    command -v cc >/dev/null && printf 'int main(void) { return 0; }\n' | cc -x c - -o /dev/null 2>/dev/null
}

# install WHY PACKAGE...: Debian packages, as root; anybody else is told what to install.
install() {
    local why=$1
    shift
    command -v apt-get >/dev/null || fail "$why is missing; install it (on Debian: $*)"
    ((EUID == 0)) || fail "$why is missing; install it: sudo apt-get install -y $*"
    say "installing $* ($why is missing)"
    if [[ -z ${packages_refreshed:-} ]]; then
        apt-get update -qq || fail "apt-get update failed"
        packages_refreshed=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        fail "apt-get install $* failed"
}

# cargo in the version that rust-toolchain.toml asks for; call it in the root of the project.
need_cargo() {
    local home=${CARGO_HOME:-$HOME/.cargo} wanted
    wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
    if ! command -v cargo >/dev/null && [[ -x $home/bin/cargo ]]; then
        PATH=$home/bin:$PATH
    fi
    command -v cargo >/dev/null || fail "cargo is missing. Install rustup (https://rustup.rs), then run this again:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
    # rustup fetches the toolchain at the first call; where that is switched off, it has to be asked to.
    rustc --version >/dev/null 2>&1 || { command -v rustup >/dev/null && rustup toolchain install "$wanted" \
        --profile minimal --component rustfmt --component clippy; } || fail "Rust $wanted cannot be installed"
    [[ $(rustc --version) == "rustc $wanted "* ]] ||
        fail "$(rustc --version) is in use and Rust $wanted is needed; rustup (https://rustup.rs) takes it from rust-toolchain.toml"
}
