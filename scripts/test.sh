#!/usr/bin/env bash
# Runs what CI runs: formatting, lints, the images of the runtimes, all tests, documentation, licences, and the example
# modules and the library for browsers against their sources. Stops at the first step that fails, names it, and ends with
# a table of durations.
#
#   test.sh             everything
#   test.sh STEP...     only these: install fmt edge images runtimes clippy build test instructions podman doc deny guests
#                       conformance deploy
#
# SERVERLEDGE_SKIP_DOCKER=1       leave out everything that needs a Docker Engine or Podman; the summary says so
# SERVERLEDGE_SKIP_GUEST_BUILD=1  compare the shipped modules with their records only; do not build them again
# SERVERLEDGE_TEST_SILENCE_SECONDS_MAX=N  end a test program that has printed nothing for so many seconds (600)
# SERVERLEDGE_WASI_TESTSUITE      a checkout of the WASI test suite with its prebuilt tests, for step conformance
# SERVERLEDGE_TEST_CA_FILE, SERVERLEDGE_TEST_PIP_INDEX, SERVERLEDGE_TEST_NPM_REGISTRY, SERVERLEDGE_TEST_PROXY
#                                 what tests that install packages tell pip and npm; by default what this machine is set to
#
# Missing programs of the tests are installed: on Debian, as root. Others are told what to install. A Docker
# Engine that answers is used; else one is started, and stopped at the end. Podman is started in folders of its own. Tests of
# clusters make network namespaces, which only root may, as is true of Podman's; run by anybody else they fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

all_steps=(install fmt edge images runtimes clippy build test instructions podman doc deny guests conformance deploy)

# Nodes that tests start must not read a configuration from the caller's environment.
for variable in "${!SERVERLEDGE_@}"; do
    case $variable in
        SERVERLEDGE_SKIP_* | SERVERLEDGE_TEST_* | SERVERLEDGE_TOOLS | SERVERLEDGE_DEBIAN_* | SERVERLEDGE_WASI_TESTSUITE) ;;
        *) unset "$variable" ;;
    esac
done
export CARGO_TERM_PROGRESS_WHEN=never

skips_docker() { [[ ${SERVERLEDGE_SKIP_DOCKER:-} == 1 ]]; }

# The features of tests that need a real service. Every step that compiles has the same ones, and so have the programs that
# the end-to-end tests start: nothing is compiled twice.
features=(serverledge-registry/etcd-tests)
# Each instance that was put back to its beginning is compared with it.
features+=(serverledge-executor-wasm/verify-restores)
features+=(serverledge-tests/cluster-tests serverledge-tests/platform-tests serverledge-tests/nodejs-tests)
if ! skips_docker; then
    for manifest in crates/*/Cargo.toml tests/Cargo.toml; do
        ! grep -q '^docker-tests = ' "$manifest" || features+=("$(sed -n 's/^name = "\(.*\)"$/\1/p;T;q' "$manifest")/docker-tests")
    done
fi
SERVERLEDGE_TEST_FEATURES=$(IFS=,; printf '%s' "${features[*]}")
export SERVERLEDGE_TEST_FEATURES
features=(--features "$SERVERLEDGE_TEST_FEATURES")

# === steps ===

step_install() {
    local missing=() program_name
    c_compiles || missing+=(gcc libc6-dev)
    for program_name in curl git python3; do
        command -v "$program_name" >/dev/null || missing+=("$program_name")
    done
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    ((${#missing[@]} == 0)) || install "what builds and tests need" "${missing[@]}"
    if [[ ${SERVERLEDGE_SKIP_GUEST_BUILD:-} != 1 ]]; then
        missing=()
        command -v clang >/dev/null || missing+=(clang)
        command -v wasm-ld >/dev/null || missing+=(lld)
        ((${#missing[@]} == 0)) || install "a compiler for the example in C" "${missing[@]}"
        wasm_compiles || install "the C library for wasm" wasi-libc "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev-wasm32"
    fi
    missing=()
    command -v etcd >/dev/null || missing+=(etcd-server)
    command -v openssl >/dev/null || missing+=(openssl)
    # Links of tests are between network namespaces.
    command -v ip >/dev/null || missing+=(iproute2)
    command -v nsenter >/dev/null || missing+=(util-linux)
    ((${#missing[@]} == 0)) || install "what the tests of the cluster's registry need" "${missing[@]}"
    missing=()
    # As Debian's Python finds it.
    /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || missing+=(python3-aiosmtpd)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v firefox-esr >/dev/null || missing+=(firefox-esr)
    command -v WebKitWebDriver >/dev/null || missing+=(webkit2gtk-driver)
    command -v Xvfb >/dev/null || missing+=(xvfb)
    command -v nginx >/dev/null || missing+=(nginx-light)
    ((${#missing[@]} == 0)) || install "a mail server, a browser or a proxy for the tests of accounts and applications" "${missing[@]}"
    command -v valgrind >/dev/null || install "what counts the instructions of a call" valgrind
    need_cargo
    say "$(rustc --version), $(cc --version | head -n 1)"
    skips_docker && return
    need_docker
    install_podman
}

wasm_compiles() {
    printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
        clang --target=wasm32-wasi -x c - -o /dev/null 2>/dev/null
}

step_fmt() {
    local bad=0
    fmt_check Cargo.toml || bad=1
    fmt_check wasm-examples/Cargo.toml || bad=1
    return "$bad"
}

# Names the files that differ; `cargo fmt` shows nothing more useful, it just does it.
fmt_check() {
    local files
    files=$(cargo fmt --manifest-path "$1" --all -- --check -l) && return
    say "not formatted (cargo fmt --manifest-path $1 --all):"
    printf '%s\n' "$files" | sed "s|^$PWD/|  |"
    return 1
}

# Kept on the engine, and their systems in .tools/, from run to run.
step_images() {
    if skips_docker; then left_out "no images"; return; fi
    need_docker
    runtimes/build.sh --offline
}

step_runtimes() {
    if skips_docker; then
        left_out "the agents are tried as processes only"
        # The tests look for images on the engine that the docker client finds: none, here.
        DOCKER_HOST=unix:///dev/null runtimes/test.sh
    else
        need_containers
        runtimes/test.sh
    fi
}

# The tests that need images leave themselves out where there are none: that must not happen unseen.
need_containers() {
    need_docker
    images_are_there || fail "the images of the runtimes are missing on the Docker Engine; make them: scripts/test.sh images"
}

step_clippy() { cargo clippy --workspace --all-targets --locked "${features[@]}" -- -D warnings; }

# The end-to-end tests start the real programs. With the examples come the features that tests have: without, libraries
# would be compiled twice.
step_build() { cargo build --workspace --bins --examples --locked "${features[@]}"; }

step_test() {
    if skips_docker; then
        left_out "no test of containers is built"
    else
        need_containers
        use_registries_of_this_machine
    fi
    cargo test --workspace --locked --no-run --message-format=json-render-diagnostics "${features[@]}" |
        python3 -B scripts/run-tests.py
    cargo test --workspace --locked --no-fail-fast --doc "${features[@]}"
}

# Compares what a fresh call costs with what is recorded.
step_instructions() { scripts/instructions.sh; }

# Tests on Docker run on Podman too: the suite of the executor, the attempts to escape, faults of functions, leftovers.
# The tests that stop an engine own a dockerd, and are left out.
step_podman() {
    if skips_docker; then left_out "nothing is tried on Podman"; return; fi
    local tests
    need_docker
    tests=$(container_tests)
    start_podman
    DOCKER_HOST=unix://$(podman_socket) runtimes/build.sh --offline
    (cd crates/serverledge-executor-docker &&
        SERVERLEDGE_TEST_ENGINE=$(podman_socket) "$tests" \
            conformance:: escapes:: custom:: sweeps:: faults:: install::what_an_engine_refuses \
            install::a_function_with_a_network)
    stop_podman
}

# The tests of containers as they were built for step test.
container_tests() {
    local built
    built=$(cargo test --workspace --locked --no-run --message-format=json "${features[@]}" |
        sed -n '/"name":"main"/s/.*serverledge-executor-docker.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    [[ -x $built ]] || fail "the tests of serverledge-executor-docker are not built"
    printf '%s\n' "$built"
}

# Packages are installed in containers, which know nothing of this machine's settings.
use_registries_of_this_machine() {
    local authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    [[ ! -f $authorities ]] || offer SERVERLEDGE_TEST_CA_FILE "$authorities"
    offer SERVERLEDGE_TEST_PIP_INDEX "${PIP_INDEX_URL:-$(setting pip config get global.index-url)}"
    offer SERVERLEDGE_TEST_NPM_REGISTRY "${NPM_CONFIG_REGISTRY:-${npm_config_registry:-$(setting npm config get registry)}}"
    offer SERVERLEDGE_TEST_PROXY "${https_proxy:-${HTTPS_PROXY:-}}"
}

# Exports a variable, unless the caller has set it or there is nothing to say.
offer() { [[ -z $2 || -n ${!1:-} ]] || export "$1=$2"; }

# The setting of a program of this machine, if the program is here.
setting() { ! command -v "$1" >/dev/null || "$@" 2>/dev/null || true; }

step_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked "${features[@]}"; }

step_deny() {
    if ! command -v cargo-deny >/dev/null; then
        say "cargo-deny not present, skipped"
        return
    fi
    local manifest checks=(bans licenses sources)
    if GIT_TERMINAL_PROMPT=0 cargo deny fetch db 2>/dev/null; then
        checks+=(advisories)
    else
        say "the database of advisories cannot be fetched: checking ${checks[*]} only"
    fi
    for manifest in Cargo.toml wasm-examples/Cargo.toml runtimes/javascript/library/Cargo.toml; do
        say "$manifest"
        cargo deny --manifest-path "$manifest" --locked --config deny.toml check --hide-inclusion-graph "${checks[@]}"
    done
}

step_guests() {
    if [[ ${SERVERLEDGE_SKIP_GUEST_BUILD:-} == 1 ]]; then
        say "SERVERLEDGE_SKIP_GUEST_BUILD=1: comparing with the records only"
        scripts/build-guests.sh --check
    else
        # Begins with what --check does.
        scripts/build-guests.sh --verify
    fi
    # Building it takes four minutes: `--verify` is for whoever changes it.
    runtimes/python-wasm/build.sh --check
}

# Guests of the toolchains that install in seconds, with the programs of step build; scripts/conformance.sh knows many more.
step_conformance() { scripts/conformance.sh --quick --require 10 --bin "$(target_directory)/debug"; }

# The library for browsers and the console are what their sources give: seconds, so before what takes long.
step_edge() {
    scripts/build-edge.sh --verify
    scripts/build-console.sh --verify
}

# Sets clusters up with the programs of step build: machines of namespaces with the playbook (as root), and the example.
step_deploy() {
    local programs
    programs=$(target_directory)/debug
    deploy/test.sh --bin "$programs"
    examples/edge-cloud/run.sh --bin "$programs"
}

# === run ===

names=() times=() outcomes=()
current='' began=0

# The part that the running step leaves out, for the summary.
without=''
left_out() {
    without=" (SERVERLEDGE_SKIP_DOCKER=1: $*)"
    say "left out$without"
}

record() {
    names+=("$current") times+=("$(words_of_us $(($(now_us) - began)))") outcomes+=("$1$without")
    current='' without=''
}

# Also after Ctrl-C or a step that failed.
# shellcheck disable=SC2317  # called by the trap
finish() {
    local status=$? i
    trap '' INT TERM
    [[ -z $current ]] || record FAILED
    stop_podman
    stop_docker
    title "summary"
    for i in "${!names[@]}"; do
        printf '%-12s %14s  %s\n' "${names[$i]}" "${times[$i]}" "${outcomes[$i]}"
    done
    printf '%-12s %14s\n' total "$(words_of_us $(($(now_us) - whole)))"
    if ((status == 0)) && skips_docker; then
        say "${red}all steps passed, but nothing was tried in containers (SERVERLEDGE_SKIP_DOCKER=1)${plain}"
    elif ((status == 0)); then
        say "${green}all steps passed${plain}"
    else
        say "${red}step ${names[-1]:-none} failed${plain}"
    fi
}

for step in "$@"; do
    declare -F "step_$step" >/dev/null || fail "no step is called $step; there are: ${all_steps[*]}"
done
steps=("$@")
((${#steps[@]} > 0)) || steps=("${all_steps[@]}")

whole=$(now_us)
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for step in "${steps[@]}"; do
    title "$step"
    current=$step began=$(now_us)
    "step_$step"
    record ok
done
