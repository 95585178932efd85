#!/usr/bin/env bash
# Stops the etcd that scripts/start-etcd.sh started, and waits for its end. Where none runs, this only says so.
#
#   stop-etcd.sh              the one with the default folder
#   stop-etcd.sh --dir DIR    the one with this folder
#   stop-etcd.sh --wipe       and deletes its data and log: functions, invocations, everything in it
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/lib.sh"

usage() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

dir=${XDG_STATE_HOME:-${HOME:?is not set, so --dir is needed}/.local/state}/serverledge/etcd
wipe=''
# Seconds that etcd may take to end by itself: it gives its leadership away and closes its file.
stop_seconds_max=30

while (($# > 0)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --wipe) wipe=1; shift ;;
        --dir) (($# >= 2)) || fail "--dir needs a value"; dir=$2; shift 2 ;;
        *) printf '%s\n' "$program: unknown argument $1" >&2; usage >&2; exit 1 ;;
    esac
done
dir=$(realpath -m -- "$dir")

# Whether this process is the etcd with these data: ids are given again.
is_ours() {
    [[ $1 =~ ^[0-9]+$ && $(cat "/proc/$1/comm" 2>/dev/null) == etcd ]] &&
        tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qxF -- "$dir/data"
}

stop() {
    local pid=$1 deadline=$((SECONDS + stop_seconds_max))
    kill -TERM "$pid"
    # A frozen one would not hear it.
    kill -CONT "$pid" 2>/dev/null || true
    while is_ours "$pid"; do
        if ((SECONDS >= deadline)); then
            say "etcd does not end: killing it"
            kill -KILL "$pid" 2>/dev/null || true
            deadline=$((SECONDS + stop_seconds_max))
        fi
        sleep 0.1
    done
}

pid=$(cat "$dir/pid" 2>/dev/null) || pid=''
if is_ours "$pid"; then
    stop "$pid"
    say "etcd stopped (process $pid)"
else
    say "no etcd of $dir runs"
fi
rm -f "$dir/pid"
if [[ -n $wipe ]]; then
    rm -rf -- "$dir/data" "$dir/log" "$dir/lock"
    rmdir -- "$dir" 2>/dev/null || true
    say "its data in $dir are deleted"
fi
