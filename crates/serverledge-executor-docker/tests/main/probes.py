"""Attempts to get out of a container, or to spoil it for others. Each gives back what it won: nothing, if all is well.

Runs as a function (`handler`) and as a custom image (`custom_server.py`).
"""
import ctypes
import errno
import os
import resource
import signal
import socket
import stat
import time

libc = ctypes.CDLL(None, use_errno=True)
# x86_64 and aarch64.
ARM = os.uname().machine == "aarch64"
CALLS = {
    "add_key": (248, 217), "keyctl": (250, 219), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "bpf": (321, 280), "kexec_load": (246, 104), "init_module": (175, 105), "open_by_handle_at": (304, 265),
    "reboot": (169, 142), "setns": (308, 268), "swapon": (167, 224), "pivot_root": (155, 41), "move_mount": (429, 429),
    "fsopen": (430, 430), "clock_settime": (227, 112), "sethostname": (170, 161), "quotactl": (179, 60),
}
CLONE_NEW = {"user": 0x10000000, "mount": 0x20000, "net": 0x40000000, "pid": 0x20000000, "ipc": 0x8000000, "uts": 0x4000000}
PROBES = {}


def probe(function):
    PROBES[function.__name__] = function
    return function


def won(what, attempt):
    """The name of what was attempted, if it worked."""
    try:
        result = attempt()
    except (OSError, ValueError, OverflowError):
        return []
    return [] if result == -1 else [f"{what}: {result!r}"]


def write(path, mode="ab"):
    def attempt():
        with open(path, mode) as file:
            return file.write(b"x")
    return won(f"write {path}", attempt)


def syscall(name, *args):
    return won(name, lambda: libc.syscall(CALLS[name][ARM], *args))


def in_child(attempt):
    """What an attempt gives in a child with one thread: 0, or -1."""
    child = os.fork()
    if child == 0:
        os._exit(0 if attempt() == 0 else 1)
    return -1 if os.waitpid(child, 0)[1] else 0


def cloned(flags):
    """A child in namespaces of its own: its number, or -1."""
    child = libc.syscall((56, 220)[ARM], flags | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child > 0:
        os.waitpid(child, 0)
    return child


def status():
    with open("/proc/self/status") as file:
        return {line.split(":")[0]: line.split(":")[1].split() for line in file if ":" in line}


@probe
def write_to_the_root(_):
    folders = ["/", "/serverledge", "/usr", "/usr/bin", "/etc", "/app", "/bin", "/lib", "/var/tmp", "/run", "/run/lock",
               "/home", "/root", "/opt", "/dev", "/sys/fs/cgroup", "/app/python", "/app/node_modules"]
    files = ["/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/etc/ld.so.preload", "/sbin/docker-init",
             "/run/podman-init", "/serverledge/agent.py", "/serverledge/agent.pyc"]
    return sum((write(f"{folder}/escape") for folder in folders), []) + sum((write(path) for path in files), [])


@probe
def only_known_places_are_writable(params):
    found = []
    for folder, folders, _ in os.walk("/", followlinks=False):
        if folder in ("/proc", "/sys"):
            folders.clear()
        elif os.access(folder, os.W_OK):
            found.append(folder)
            folders.clear()
    return [place for place in found if place not in params["writable"]]


@probe
def kernel_files(_):
    paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe",
             "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/uevent_helper", "/sys/power/state", "/proc/1/oom_score_adj",
             "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
             "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory.max", "/sys/class/net/lo/mtu", "/sys/kernel/mm/ksm/run"]
    wins = sum((write(path, "wb") for path in paths if path != "/proc/1/oom_score_adj"), [])
    for path in ["/proc/kcore", "/proc/kallsyms", "/proc/modules", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/dev/mem", "/dev/kmsg"]:
        def read(path=path):
            with open(path, "rb") as file:
                text = file.read(4096)
            # Addresses are zero for those who may not know them; an empty file stands for a masked one.
            return -1 if not text or text.startswith(b"0000000000000000") else text[:40]
        wins += won(f"read {path}", read)
    return wins


@probe
def mounts_and_namespaces(_):
    wins = won("mount", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
    wins += won("remount", lambda: libc.mount(None, b"/", None, 32 | 4096, None))
    wins += won("remount proc", lambda: libc.mount(b"proc", b"/tmp", b"proc", 0, None))
    wins += won("umount", lambda: libc.umount2(b"/proc/kcore", 2))
    wins += won("chroot", lambda: os.chroot("/tmp"))
    for name, flag in CLONE_NEW.items():
        wins += won(f"unshare {name}", lambda flag=flag: libc.unshare(flag))
        # Of one thread: a user namespace is refused to processes of several.
        wins += won(f"unshare {name} in a child", lambda flag=flag: in_child(lambda: libc.unshare(flag)))
        wins += won(f"clone {name}", lambda flag=flag: cloned(flag))
    for name in ["mnt", "net", "pid"]:
        def enter(name=name):
            with open(f"/proc/1/ns/{name}") as file:
                return libc.setns(file.fileno(), 0)
        wins += won(f"setns {name}", enter)
    return wins


@probe
def forbidden_calls(_):
    wins = syscall("add_key", b"user", b"k", b"v", 1, -2) + syscall("keyctl", 0, -3, 1)
    wins += syscall("perf_event_open", 0, 0, -1, -1, 0) + syscall("userfaultfd", 0) + syscall("bpf", 0, 0, 0)
    wins += syscall("kexec_load", 0, 0, 0, 0) + syscall("init_module", 0, 0, b"") + syscall("reboot", 0xfee1dead, 672274793, 0)
    wins += syscall("open_by_handle_at", -1, 0, 0) + syscall("swapon", b"/tmp/x", 0) + syscall("pivot_root", b"/tmp", b"/tmp")
    wins += syscall("fsopen", b"tmpfs", 0) + syscall("sethostname", b"evil", 4) + syscall("quotactl", 0, 0, 0, 0)
    wins += won("settimeofday", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
    wins += won("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
    wins += won("more files", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)))
    return wins


@probe
def raw_sockets(_):
    kinds = {"raw": (socket.AF_INET, socket.SOCK_RAW, 1), "raw6": (socket.AF_INET6, socket.SOCK_RAW, 58),
             "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0x0300), "packet dgram": (socket.AF_PACKET, socket.SOCK_DGRAM, 0x0300)}
    return sum((won(name, lambda of=of: socket.socket(*of).fileno()) for name, of in kinds.items()), [])


@probe
def identity(_):
    told = status()
    wins = []
    for name, wanted in {"Uid": ["65532"] * 4, "Gid": ["65532"] * 4, "NoNewPrivs": ["1"], "Seccomp": ["2"]}.items():
        if told[name] != wanted:
            wins.append(f"{name} is {told[name]}")
    if set(told["Groups"]) - {"65532"}:
        wins.append(f"Groups is {told['Groups']}")
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]:
        if int(told[name][0], 16):
            wins.append(f"{name} is {told[name]}")
    return wins


@probe
def setuid(_):
    wins = won("setuid", lambda: os.setuid(0)) + won("setresuid", lambda: os.setresuid(0, 0, 0))
    wins += won("setgroups", lambda: os.setgroups([0]))
    with open("/tmp/own", "wb") as file:
        file.write(b"x")
    wins += won("chown", lambda: os.chown("/tmp/own", 0, 0))
    # With a setuid program of root, if the image has one: the user's shell is not changed, and the user stays the same.
    for program in ["/usr/bin/su", "/bin/su", "/usr/bin/newgrp"]:
        if os.path.exists(program) and os.stat(program).st_mode & stat.S_ISUID:
            child = os.fork()
            if child == 0:
                quiet = os.open("/dev/null", os.O_RDWR)
                for descriptor in (0, 1, 2):
                    os.dup2(quiet, descriptor)
                os.execv(program, [program, "root", "-c", "touch /escape"])
            os.waitpid(child, 0)
    return wins + (["su"] if os.path.exists("/escape") else [])


@probe
def device_nodes(_):
    wins = []
    for name, kind, device in [("sda", stat.S_IFBLK, (8, 0)), ("mem", stat.S_IFCHR, (1, 1)), ("null", stat.S_IFCHR, (1, 3))]:
        for folder in ["/tmp", "/dev/shm"]:
            wins += won(f"mknod {folder}/{name}", lambda: os.mknod(f"{folder}/{name}", kind | 0o666, os.makedev(*device)))
    allowed = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    for entry in os.scandir("/dev"):
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and entry.name not in allowed):
            wins.append(f"/dev/{entry.name}")
    return wins


@probe
def process_one(_):
    wins = []
    with open("/proc/1/environ", "rb") as file:
        names = [part.split(b"=")[0].decode() for part in file.read().split(b"\0") if part]
    wins += [f"variable {name}" for name in names
             if name not in ("PATH", "LANG", "HOME", "HOSTNAME", "PYTHONPATH", "NODE_PATH", "NODE_VERSION", "VISIBLE",
                             # Podman's own.
                             "TERM", "container")]
    wins += won("root of 1", lambda: -1 if os.listdir("/proc/1/root") == os.listdir("/") else "another root")
    # Only processes of this container are seen.
    ours = [pid for pid in os.listdir("/proc") if pid.isdigit()]
    if len(ours) > 20:
        wins.append(f"{len(ours)} processes are seen")
    # All of them are this user's, so that a trace of one wins no right.
    for pid in ours:
        try:
            if os.stat(f"/proc/{pid}").st_uid not in (65532, 0) or open(f"/proc/{pid}/status").read().split("Uid:")[1].split()[0] != "65532":
                wins.append(f"process {pid} is another user's")
        except FileNotFoundError:
            pass
    return wins


@probe
def the_engine(_):
    wins = []
    for path in ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/lib/docker",
                 "/run/podman/podman.sock", "/run/libpod", "/var/lib/containers"]:
        if os.path.exists(path):
            wins.append(path)
    return wins


@probe
def own_socket(params):
    folder = "/run/serverledge"
    wins = won("symlink", lambda: os.symlink("/tmp/x", folder + "/link")) + won("mkdir", lambda: os.mkdir(folder + "/dir"))
    wins += write(folder + "/file") + won("chmod", lambda: os.chmod(folder, 0o777))
    for name in (f"{folder}/agent.sock", f"{folder}/call.sock"):
        wins += won("unlink", lambda: os.unlink(name)) + won("rename", lambda: os.rename(name, name + ".old"))
        wins += won("replace", lambda: os.symlink("/tmp/x", name))
        os.symlink("/tmp", "/tmp/link")
        wins += won("rename over", lambda: os.rename("/tmp/link", name))
        os.unlink("/tmp/link")
    wins += won("chmod of the calls' socket", lambda: os.chmod(f"{folder}/call.sock", 0o600))
    if sorted(os.listdir(folder)) != ["agent.sock", "call.sock"]:
        wins.append(f"{folder} holds {os.listdir(folder)}")
    return wins


@probe
def others_sockets(params):
    wins = []
    for place in params["others"] + [f"/run/serverledge/../{params['other']}", f"/run/{params['other']}"]:
        for path in (f"{place}/agent.sock", f"{place}/call.sock"):
            if os.path.exists(path):
                wins.append(path)
            def connect(path=path):
                with socket.socket(socket.AF_UNIX) as stream:
                    stream.connect(path[:107])
                return "connected"
            wins += won(f"connect {path}", connect)
    with open("/proc/net/unix") as file:
        paths = [line.split()[7] for line in file.readlines()[1:] if len(line.split()) > 7]
    return wins + [path for path in paths if not path.startswith("/run/serverledge/")]


def reach(host, port, limit=0.5):
    def connect():
        with socket.create_connection((host, port), limit):
            return "connected"
    return won(f"reach {host}:{port}", connect)


@probe
def no_network(params):
    wins = [name for name in os.listdir("/sys/class/net") if name != "lo" and not name.startswith(("tunl", "sit", "gre", "ip6", "erspan"))]
    with open("/proc/net/route") as file:
        wins += file.readlines()[1:]
    for host in params["hosts"]:
        wins += reach(*host)
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wins += won("datagram", lambda: datagram.sendto(b"x", ("1.1.1.1", 53)))
    return wins


@probe
def internal_network(params):
    # There may be a route: what counts is what arrives.
    wins = []
    for host in params["hosts"]:
        wins += reach(*host)
    if os.path.exists("/proc/net/if_inet6"):
        with open("/proc/net/if_inet6") as file:
            wins += [line for line in file if not line.split()[5] == "lo"]
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.settimeout(0.3)
    for host in params["hosts"]:
        def echo(host=host):
            datagram.sendto(b"x", tuple(host))
            return datagram.recv(10)
        wins += won(f"datagram to {host}", echo)
    return wins


@probe
def names(_):
    return sum((won(f"look up {name}", lambda name=name: socket.getaddrinfo(name, 80)[0][4]) for name in
                ["example.org", "host.docker.internal", "host.containers.internal"]), [])


@probe
def fork_until_refused(params):
    children = []
    try:
        while len(children) < 10 * params["pids_max"]:
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    return [f"{len(children)} children"] if len(children) >= params["pids_max"] else []


def fill(folder, bytes_max):
    path, piece, written = f"{folder}/filler", b"x" * (1 << 20), 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written < bytes_max:
                written += file.write(piece)
    except OSError:
        pass
    finally:
        try:
            os.unlink(path)
        except OSError:
            pass
    return written


@probe
def fill_disks(params):
    filled = {folder: fill(folder, 2 * (params["sizes"][folder] + 1) << 20) for folder in params["sizes"]}
    return [f"{folder} takes {size}" for folder, size in filled.items() if size > params["sizes"][folder] << 20]


@probe
def many_small_files(params):
    """What has no size costs memory all the same: of this container."""
    made = 0
    try:
        for made in range(params["files"]):
            os.close(os.open(f"/tmp/small-{made}", os.O_CREAT | os.O_WRONLY))
    except OSError:
        pass
    return []


def handler(params):
    if params["probe"] == "all":
        return sorted(PROBES)
    return PROBES[params["probe"]](params)
