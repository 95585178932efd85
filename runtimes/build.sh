#!/usr/bin/env bash
# Makes the images in which Python and Node.js functions run: serverledge-python:latest and serverledge-nodejs:latest.
#
#   build.sh [python] [nodejs]             from the official images, which need a registry: docker build with */Dockerfile
#   build.sh --offline [python] [nodejs]   from Debian's packages, where no registry can be reached; as root, with debootstrap
#   --force                                again, even if an image with the same content is there
#
# Without a name, both. An image that is there already is left alone while its agent and its recipe are the same.
#
# SERVERLEDGE_DEBIAN_MIRROR, SERVERLEDGE_DEBIAN_SECURITY_MIRROR   used by --offline instead of apt's own
# SERVERLEDGE_TOOLS   the folder that keeps unpacked systems between runs, instead of .tools
set -euo pipefail
this=$(realpath "${BASH_SOURCE[0]}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# Debian's stable release, whatever the machine itself runs: the same script makes the same image everywhere.
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
base_packages=ca-certificates
user=65532

packages_of() {
    case $1 in
        python) echo python3 python3-pip ;;
        nodejs) echo nodejs npm ;;
    esac
}

# Needless packages of npm's, with all that they pull in three quarters of its 360 packages: node-gyp compiles
# native add-ons, for which the image has no compiler, and webpack is wanted by a package of which npm uses another part.
stand_ins_of() {
    case $1 in
        nodejs) echo node-gyp webpack ;;
    esac
}

entrypoint_of() {
    case $1 in
        # Isolated, without `site` and without writing bytecode: ten milliseconds less until the socket is there.
        python) echo '["python3","-I","-S","-B","/serverledge/agent.pyc"]' ;;
        nodejs) echo '["/serverledge/start.sh"]' ;;
    esac
}

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$this"; }

# === the two ways ===

build_online() {
    local runtime=$1
    docker build --quiet --label "serverledge.inputs=$(inputs_of "$runtime")" --tag "serverledge-$runtime:latest" \
        "runtimes/$runtime" >/dev/null || fail "docker build of runtimes/$runtime failed; without a registry: $0 --offline"
}

build_offline() {
    local runtime=$1 system=$work/$1
    need_system "$runtime"
    mkdir "$system"
    tar -xpf "$(kept "$runtime")" -C "$system" --numeric-owner
    "add_agent_$runtime" "$system"
    say "importing into docker"
    tar -cf - -C "$system" --numeric-owner . | docker import \
        --change "ENTRYPOINT $(entrypoint_of "$runtime")" --change "USER $user:$user" --change "WORKDIR /app/code" \
        --change "ENV PATH=/usr/local/bin:/usr/bin:/bin" --change "ENV LANG=C.UTF-8" --change "ENV HOME=/tmp" \
        --change "LABEL serverledge.runtime=$runtime" --change "LABEL serverledge.protocol=1" \
        --change "LABEL serverledge.inputs=$(inputs_of "$runtime")" \
        - "serverledge-$runtime:latest" >/dev/null || fail "docker import failed"
    rm -rf "$system"
}

# === a system of Debian's packages ===

# The unpacked system of a runtime, without the agent, as it is kept between runs.
kept() { printf '%s/%s-%s.tar\n' "$cache" "$1" "$(digest_of_system "$1")"; }

digest_of_system() {
    printf '%s\n' "$suite" "$architecture" "$base_packages" "$(packages_of "$1")" "$(stand_ins_of "$1")" \
        "$(declare -f make_system make_stand_in add_contract clean_system)" | sha256sum | cut -c1-12
}

need_system() {
    local runtime=$1 file
    file=$(kept "$runtime")
    [[ $force == 0 && -f $file ]] && { say "the system kept in ${file#"$PWD/"} is used"; return; }
    need_base
    rm -f "$cache/$runtime"-*.tar
    cp -a "$work/base" "$work/$runtime-system"
    make_system "$runtime" "$work/$runtime-system"
    tar -cf "$file.part" -C "$work/$runtime-system" --numeric-owner .
    mv "$file.part" "$file"
    rm -rf "$work/$runtime-system"
}

# One base serves both runtimes.
need_base() {
    [[ -d $work/base ]] && return
    find_mirrors
    say "unpacking Debian $suite (debootstrap, about half a minute)"
    debootstrap --variant=minbase --include="$base_packages" --keyring="$keyring" "$suite" "$work/base" "$mirror" \
        >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; fail "debootstrap failed"; }
    {
        echo "deb $mirror $suite main"
        echo "deb $mirror $suite-updates main"
        [[ -z $security_mirror ]] || echo "deb $security_mirror $suite-security main"
    } >"$work/base/etc/apt/sources.list"
    cat >"$work/base/etc/dpkg/dpkg.cfg.d/small" <<'CONFIGURATION'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
force-unsafe-io
CONFIGURATION
    in_system "$work/base" apt-get -qq update
    in_system "$work/base" apt-get -qq -y upgrade
}

# The mirrors that apt uses on this machine. Only Debian's own, which have every release of it.
find_mirrors() {
    local sites
    # shellcheck disable=SC2016  # apt-get's own variables
    sites=$(apt-get indextargets --format '$(LABEL) $(SITE)' 2>/dev/null | sort -u || true)
    mirror=${SERVERLEDGE_DEBIAN_MIRROR:-$(sed -n 's/^Debian //p' <<<"$sites" | head -n 1)}
    security_mirror=${SERVERLEDGE_DEBIAN_SECURITY_MIRROR:-$(sed -n 's/^Debian-Security //p' <<<"$sites" | head -n 1)}
    [[ -n $mirror ]] || fail "apt knows no mirror of Debian here (has apt-get update run?); name one in SERVERLEDGE_DEBIAN_MIRROR"
}

# Runs a program in an unpacked system, with nothing of the caller's environment but the proxies.
in_system() {
    local system=$1
    shift
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
        chroot "$system" "$@" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; fail "$* failed"; }
}

make_system() {
    local runtime=$1 system=$2 name packages
    read -ra packages <<<"$(packages_of "$runtime")"
    say "installing ${packages[*]}"
    for name in $(stand_ins_of "$runtime"); do
        make_stand_in "$name" "$system/tmp/$name.deb"
        packages+=("/tmp/$name.deb")
    done
    in_system "$system" apt-get -qq -y --no-install-recommends install "${packages[@]}"
    add_contract "$system"
    clean_system "$system"
}

# An empty package in the place of a large one.
make_stand_in() {
    local name=$1 file=$2 tree=$work/stand-in
    rm -rf "$tree"
    mkdir -p "$tree/DEBIAN"
    printf '%s\n' "Package: $name" "Version: 9999" "Architecture: all" "Maintainer: none <none@localhost>" \
        "Description: stands in for $name, which nothing here needs" >"$tree/DEBIAN/control"
    if [[ $name == node-gyp ]]; then
        mkdir -p "$tree/usr/share/nodejs/node-gyp/bin"
        cat >"$tree/usr/share/nodejs/node-gyp/bin/node-gyp.js" <<'SCRIPT'
// npm runs this for packages that have to be compiled.
console.error('This image has no compiler: native add-ons cannot be built, only installed prebuilt.');
process.exit(1);
SCRIPT
    fi
    dpkg-deb --root-owner-group --build "$tree" "$file" >/dev/null
}

# Adds everything that docs/container-protocol.md promises to the node, beside the agent.
add_contract() {
    local system=$1
    echo "serverledge:x:$user:$user::/tmp:/usr/sbin/nologin" >>"$system/etc/passwd"
    echo "serverledge:x:$user:" >>"$system/etc/group"
    mkdir -p "$system"/{serverledge,run/serverledge,app/code,app/node_modules,app/python}
    chown "$user:$user" "$system"/{run/serverledge,app/code}
}

clean_system() {
    local system=${1:?}
    find "$system/usr/share/doc" -mindepth 1 ! -name copyright ! -type d -delete
    rm -rf "$system"/usr/share/{man,info,lintian,locale,bash-completion}/* "$system"/var/lib/apt/lists/* \
        "$system"/var/cache/{apt,debconf,ldconfig}/* "$system"/var/log/* "$system"/tmp/* "${system:?}"/dev/* "$system"/root/.[a-z]* \
        "$system"/etc/{resolv.conf,hostname,apt/sources.list}
}

# === agents ===

add_agent_python() {
    local part
    for part in agent serverledge serverledge_function serverledge_outbound serverledge_output serverledge_start; do
        install_file 0644 "runtimes/python/$part.py" "$1/serverledge/$part.py"
    done
    in_system "$1" python3 -I -S -c "$(sed -n 's/^RUN python3 -c "\(.*\)" && rm .*$/\1/p' runtimes/python/Dockerfile)"
    rm "$1"/serverledge/serverledge*.py
}

add_agent_nodejs() {
    local part
    for part in runtimes/nodejs/*.js; do
        install_file 0644 "$part" "$1/serverledge/${part##*/}"
    done
    install_file 0755 runtimes/nodejs/start.sh "$1/serverledge/start.sh"
    # It looks at /proc, which the unpacked system has only within this mount namespace.
    # shellcheck disable=SC2016  # the variable is the inner shell's
    unshare --mount sh -c 'mount -t proc proc "$1/proc" && chroot "$1" /serverledge/start.sh --make' sh "$1" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; fail "the snapshot of the agent cannot be taken"; }
}

install_file() { command install -m "$1" -o 0 -g 0 "$2" "$3"; }

# === whether there is anything to do ===

inputs_of() {
    local runtime=$1
    {
        echo "$mode"
        cat "runtimes/$runtime"/*
        if [[ $mode == offline ]]; then
            digest_of_system "$runtime"
            entrypoint_of "$runtime"
            declare -f build_offline "add_agent_$runtime"
        fi
    } | sha256sum | cut -c1-16
}

build() {
    local runtime=$1 image=serverledge-$1:latest started before
    title "$image"
    before=$(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null || true)
    if [[ $force == 0 && -n $before &&
        $(docker image inspect -f '{{index .Config.Labels "serverledge.inputs"}}' "$image") == "$(inputs_of "$runtime")" ]]; then
        say "up to date"
        return
    fi
    started=$(now_us)
    "build_$mode" "$runtime"
    # The one before has lost its name; containers that still use it keep it.
    [[ -z $before ]] || docker image rm "$before" >/dev/null 2>&1 || true
    say "done in $(words_of_us $(($(now_us) - started))), $(($(docker image inspect -f '{{.Size}}' "$image") / 1000000)) MB"
}

require_docker() {
    command -v docker >/dev/null || fail "docker is missing; install it (on Debian: apt-get install docker.io)"
    docker version >/dev/null 2>&1 || fail "no Docker daemon answers at ${DOCKER_HOST:-its usual socket}; start it (systemctl start docker, or dockerd) or run this as someone who may use it"
}

prepare_offline() {
    ((EUID == 0)) || fail "--offline unpacks a system as root: sudo $0 --offline"
    [[ -x $(command -v debootstrap) && -f $keyring ]] || install debootstrap debootstrap debian-archive-keyring
    architecture=$(dpkg --print-architecture)
    cache=$(realpath -m "${SERVERLEDGE_TOOLS:-.tools}")/runtimes
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
}

mode=online force=0 runtimes=()
for argument; do
    case $argument in
        --offline) mode=offline ;;
        --force) force=1 ;;
        python | nodejs) runtimes+=("$argument") ;;
        -h | --help) usage; exit ;;
        *) fail "what is '$argument'? See $0 --help" ;;
    esac
done
((${#runtimes[@]})) || runtimes=(python nodejs)
require_docker
[[ $mode == online ]] || prepare_offline
for runtime in "${runtimes[@]}"; do
    build "$runtime"
done
