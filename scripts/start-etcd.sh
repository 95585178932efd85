#!/usr/bin/env bash
# Starts an etcd of one member on this machine's loopback, for a cluster of nodes or to try things, and waits until it
# answers. Where it runs already, this only says so. Data, log and process id lie in a folder; scripts/stop-etcd.sh stops it.
#
#   start-etcd.sh                  on port 2379
#   start-etcd.sh --port N         clients' port; members' port is the next one
#   start-etcd.sh --peer-port N    another port for members
#   start-etcd.sh --dir DIR        folder; default: $XDG_STATE_HOME/serverledge/etcd (or ~/.local/state/...)
#   start-etcd.sh --quota-mib N    size after which it refuses writes; default 2048
#   start-etcd.sh --retention T    history that is kept; default 1h. etcd's own default would be: all, until it is full
#
# Needs the program etcd; as root on Debian it is installed (etcd-server) where it is missing.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/lib.sh"

usage() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

dir=${XDG_STATE_HOME:-${HOME:?is not set, so --dir is needed}/.local/state}/serverledge/etcd
port=2379 peer_port='' quota_mib=2048 retention=1h
start_seconds_max=60

while (($# > 0)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --dir | --port | --peer-port | --quota-mib | --retention) (($# >= 2)) || fail "$1 needs a value" ;;
        *) printf '%s\n' "$program: unknown argument $1" >&2; usage >&2; exit 1 ;;
    esac
    case $1 in
        --dir) dir=$2 ;;
        --port) port=$2 ;;
        --peer-port) peer_port=$2 ;;
        --quota-mib) quota_mib=$2 ;;
        --retention) retention=$2 ;;
    esac
    shift 2
done

# is_between NAME VALUE MIN MAX
is_between() {
    if [[ ! $2 =~ ^[1-9][0-9]{0,6}$ ]] || (($2 < $3 || $2 > $4)); then
        fail "$1 is $2; it must be a number from $3 to $4"
    fi
}
is_between --port "$port" 1 65534
is_between --peer-port "${peer_port:=$((port + 1))}" 1 65535
# Below 16 MiB it is full before it is used; above 8 GiB etcd itself warns.
is_between --quota-mib "$quota_mib" 16 8192
((port != peer_port)) || fail "--port and --peer-port are the same"
[[ $retention =~ ^[1-9][0-9]*[hms]$ ]] || fail "--retention is $retention; it must be a time such as 1h or 30m"
dir=$(realpath -m -- "$dir")

address=127.0.0.1:$port
client_url=http://$address peer_url=http://127.0.0.1:$peer_port

# === what there is ===

install_etcd() {
    command -v etcd >/dev/null && return
    install "etcd" etcd-server
    # On a machine with a service manager, the package has just started an etcd of its own, on the same port.
    if [[ -d /run/systemd/system ]]; then
        systemctl disable --now etcd.service >/dev/null 2>&1 || true
    fi
}

healthy() { [[ $(curl --silent --max-time 2 --noproxy '*' "$client_url/health" 2>/dev/null) == *'"true"'* ]]; }

# Prints the id of the process that was started here, if it still runs.
running_pid() {
    local pid
    pid=$(cat "$dir/pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == etcd ]] || return 1
    # Ids are given again: it must be the one with these data.
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "$dir/data" || return 1
    printf '%s' "$pid"
}

show() {
    local stop=scripts/stop-etcd.sh
    [[ $dir_given == no ]] || stop+=" --dir $dir"
    say "etcd $1 at $address (process $(running_pid), data in $dir/data)"
    say "  a node uses it with:  SERVERLEDGE_REGISTRY_URL=etcd://$address"
    say "  or, in its file:      registry.url: etcd://$address"
    say "  it is stopped with:   $stop"
}

# === start ===

start() {
    local options=(
        --name serverledge --data-dir "$dir/data"
        --listen-client-urls "$client_url" --advertise-client-urls "$client_url"
        --listen-peer-urls "$peer_url" --initial-advertise-peer-urls "$peer_url" --initial-cluster "serverledge=$peer_url"
        --auto-compaction-mode=periodic "--auto-compaction-retention=$retention"
        --quota-backend-bytes "$((quota_mib * 1024 * 1024))"
        --logger zap --log-outputs stderr --log-level warn
    )
    # The machine's settings for another etcd are not for this one.
    local variable
    for variable in "${!ETCD_@}"; do unset "$variable"; done
    case $(uname -m) in
        aarch64) export ETCD_UNSUPPORTED_ARCH=arm64 ;;
    esac
    # In a session of its own, so that Ctrl-C in this terminal is not for it; without the lock, which is this script's.
    setsid etcd "${options[@]}" >>"$dir/log" 2>&1 </dev/null 9>&- &
    printf '%s\n' "$!" >"$dir/pid"
}

await() {
    local deadline=$((SECONDS + start_seconds_max))
    until healthy; do
        if ! running_pid >/dev/null && ! kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
            rm -f "$dir/pid"
            tail -n 10 "$dir/log" >&2
            fail "etcd does not start; the end of $dir/log is above"
        fi
        ((SECONDS < deadline)) || fail "etcd does not answer at $address after $start_seconds_max s; see $dir/log"
        sleep 0.1
    done
}

dir_given=yes
[[ $dir != "$(realpath -m -- "${XDG_STATE_HOME:-$HOME/.local/state}/serverledge/etcd")" ]] || dir_given=no

install_etcd
command -v curl >/dev/null || install "curl" curl
(umask 077 && mkdir -p "$dir")
# One at a time: of two that start at once the second finds the first one's etcd.
exec 9>"$dir/lock"
flock --timeout "$start_seconds_max" 9 || fail "another start-etcd.sh is busy in $dir"

if pid=$(running_pid); then
    tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "$client_url" ||
        fail "an etcd with the data in $dir runs on another port; stop it first (scripts/stop-etcd.sh --dir $dir), or use another --dir"
    await
    show "runs already"
    exit 0
fi
if healthy; then
    fail "another etcd answers at $address. Use that one (etcd://$address; see that it compacts by itself), or another --port"
fi
start
await
show "started"
