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

# === a Docker Engine ===

# Options with which `need_docker` starts dockerd, beside its defaults.
dockerd_options=()
# Seconds that an engine may take until it answers, and to end: it ends its containers first.
docker_start_seconds_max=60
docker_stop_seconds_max=30
# The engine that `need_docker` started, and where it writes its log; empty if there is none.
dockerd_pid='' dockerd_log=''

# The folder in which cargo puts what it builds here.
target_directory() {
    cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# Whether an engine answers where the docker client looks for it.
docker_answers() {
    command -v docker >/dev/null && [[ $(timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null) ]]
}

# An engine that answers: the one that is there, or one that is started here and that `stop_docker` stops. Call
# `stop_docker` in a trap. Where there can be none this fails, and says why.
need_docker() {
    docker_answers && return
    [[ -z ${DOCKER_HOST:-} ]] || fail "no Docker Engine answers at $DOCKER_HOST (DOCKER_HOST); start it, or unset that variable"
    ((EUID == 0)) || fail "no Docker Engine answers. Start it (sudo systemctl start docker; on Debian: sudo apt-get install -y docker.io), \
and be in the group docker; or run this as root, which starts one"
    install_docker
    start_docker
    say "Docker Engine $(docker version --format '{{.Server.Version}}')"
}

install_docker() {
    local missing=()
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v iptables >/dev/null || missing+=(iptables)
    ((${#missing[@]} == 0)) || install "a Docker Engine" "${missing[@]}"
    # From Debian 13 on the client is a package of its own.
    command -v docker >/dev/null || install "Docker's client" docker-cli
}

# Whether a dockerd runs that does not answer yet: where the init system is allowed to, installing the package starts it.
docker_is_coming() {
    local pid
    pid=$(cat /var/run/docker.pid 2>/dev/null) && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]]
}

start_docker() {
    local log deadline=$((SECONDS + docker_start_seconds_max))
    while docker_is_coming && ((SECONDS < deadline)); do
        docker_answers && return
        sleep 0.2
    done
    log=$(mktemp --tmpdir dockerd.XXXXXX.log)
    # In a session of its own: Ctrl-C is for the script, which stops the engine when its tests have ended.
    setsid dockerd "${dockerd_options[@]}" >"$log" 2>&1 </dev/null &
    dockerd_pid=$! dockerd_log=$log
    deadline=$((SECONDS + docker_start_seconds_max))
    until docker_answers; do
        if ! kill -0 "$dockerd_pid" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 20 "$log" >&2
            stop_docker
            fail "dockerd does not start here; the end of its log is above"
        fi
        sleep 0.2
    done
}

# Ends the engine that `need_docker` started, with everything that ran on it; leaves any other alone.
stop_docker() {
    [[ -n $dockerd_pid ]] || return 0
    local pid=$dockerd_pid deadline=$((SECONDS + docker_stop_seconds_max))
    remove_containers
    dockerd_pid=''
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            say "dockerd does not end: killing it"
            kill -KILL "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.2
    done
    wait "$pid" 2>/dev/null || true
    rm -f "$dockerd_log"
}

# Containers and networks that nodes or tests left on the engine that was started here. On somebody else's they may be in use.
remove_containers() {
    local containers networks
    containers=$(ours_on_docker ps --all --quiet)
    networks=$(ours_on_docker network ls --quiet)
    [[ -n $containers$networks ]] || return 0
    say "removing what was left on the engine: $(wc -w <<<"$containers") containers, $(wc -w <<<"$networks") networks"
    # shellcheck disable=SC2086  # words
    [[ -z $containers ]] || timeout 60 docker rm --force --volumes $containers >/dev/null 2>&1 || true
    # shellcheck disable=SC2086  # words
    [[ -z $networks ]] || timeout 60 docker network rm $networks >/dev/null 2>&1 || true
}

# Lists what carries a node's label, or the name of a test's container.
ours_on_docker() {
    {
        timeout 10 docker "$@" --filter label=serverledge.node
        timeout 10 docker "$@" --filter name=serverledge-
    } 2>/dev/null | sort -u || true
}

# Whether the images of the runtimes are on the engine.
images_are_there() { docker image inspect serverledge-python serverledge-nodejs >/dev/null 2>&1; }

# === Podman ===

# The folder of the service that `start_podman` started: its socket, images and log; empty if there is none.
podman_folder='' podman_pid=''
# Seconds that it may take until it answers.
podman_start_seconds_max=30

podman_socket() { printf '%s/podman.sock' "$podman_folder"; }

# As root: users' own Podmans cannot be tried here. catatonit is the init of its containers.
install_podman() {
    local missing=()
    command -v podman >/dev/null || missing+=(podman)
    [[ -x /usr/libexec/podman/catatonit || -x $(command -v catatonit) ]] || missing+=(catatonit)
    [[ -x $(command -v crun) || -x $(command -v runc) ]] || missing+=(crun)
    [[ -x /usr/lib/podman/netavark || -x /usr/libexec/podman/netavark ]] || missing+=(netavark)
    [[ -x /usr/lib/podman/aardvark-dns || -x /usr/libexec/podman/aardvark-dns ]] || missing+=(aardvark-dns)
    command -v iptables >/dev/null || missing+=(iptables)
    ((${#missing[@]} == 0)) || install "Podman, or a part of it," "${missing[@]}"
}

# A service with folders of its own, which `stop_podman` ends: it sees none of this machine's images and containers.
start_podman() {
    local deadline=$((SECONDS + podman_start_seconds_max)) options=()
    ((EUID == 0)) || fail "only root may start the Podman that is tested"
    install_podman
    # Below /var, since /tmp may be memory and its images are large.
    podman_folder=$(mktemp -d /var/tmp/podman.XXXXXX)
    # No systemd is needed, whatever the configuration says; no overlay lies on another.
    options=(--cgroup-manager=cgroupfs --events-backend=file)
    [[ $(stat -f -c %T "$podman_folder") != overlayfs ]] || options+=(--storage-driver=vfs)
    # crun does not start where both versions of cgroups are mounted: in a mount namespace of its own there is one.
    setsid unshare --mount sh -c '
        ! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
        folder=$1
        shift
        # The watcher of containers leaves a file named oom in its working directory.
        cd "$folder"
        exec podman --root "$folder/root" --runroot "$folder/run" --tmpdir "$folder/tmp" \
            --network-config-dir "$folder/networks" "$@" system service --time=0 "unix://$folder/podman.sock"
    ' sh "$podman_folder" "${options[@]}" >"$podman_folder/log" 2>&1 </dev/null &
    podman_pid=$!
    until on_podman version >/dev/null 2>&1; do
        if ! kill -0 "$podman_pid" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 20 "$podman_folder/log" >&2
            stop_podman
            fail "Podman's service does not start here; the end of its log is above"
        fi
        sleep 0.2
    done
    say "Podman $(on_podman version --format '{{.Server.Version}}')"
}

# The docker client on the service that was started.
on_podman() { docker -H "unix://$(podman_socket)" "$@"; }

# Ends the service that `start_podman` started, with its containers and images.
stop_podman() {
    [[ -n $podman_folder ]] || return 0
    local folder=$podman_folder containers
    containers=$(timeout 10 docker -H "unix://$folder/podman.sock" ps --all --quiet 2>/dev/null || true)
    # shellcheck disable=SC2086  # words
    [[ -z $containers ]] || timeout 60 docker -H "unix://$folder/podman.sock" rm --force $containers >/dev/null 2>&1 || true
    podman_folder=''
    kill -TERM "$podman_pid" 2>/dev/null || true
    wait "$podman_pid" 2>/dev/null || true
    # Its service has mounted its folders onto themselves.
    awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
    rm -rf "$folder"
}
