"""Shared by the measurements beside it: servers of their own on loopback, deploys, and how two builds are compared."""

import base64
import contextlib
import http.client
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
BIN = os.path.join(TARGET, "release")
GUESTS = os.path.join(ROOT, "wasm-examples")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Seconds that a node may work in the background before it is measured: it compiles the engine of scripts when it starts.
QUIET_SECONDS_MAX = 60


class Server:
    """A process that prints its address on stdout."""

    def __init__(self, command, **kwargs):
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, **kwargs)
        line = self.process.stdout.readline().decode()
        self.announced = time.monotonic() - self.began
        found = re.search(r"http://([0-9.]+):(\d+)", line)
        if not found:
            raise SystemExit(f"{command[0]} did not start: {line!r}")
        self.host, self.port = found.group(1), int(found.group(2))

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def memory_kib(self):
        """Resident memory: all of it, this process' share of it, and what of that is no file's."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as rollup:
            text = rollup.read()
        return {name: int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) for name in ("Rss", "Pss", "Pss_Anon")}

    def processor_seconds(self):
        """Processor time of the process and of its children that have ended, in steps of a tick."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(") ")[2].split()
        # Fields 14 to 17 of proc_pid_stat(5); the first here is the third.
        return sum(int(field) for field in fields[11:15]) / TICKS_PER_SECOND

    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            own = children.read().split()
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{self.process.pid}/task/{task}/children") as children:
                own += children.read().split()
        return own

    def wait_until_quiet(self):
        """Until it has no child and has used next to no processor time for half a second."""
        until = time.monotonic() + QUIET_SECONDS_MAX
        while time.monotonic() < until:
            before = self.processor_seconds()
            time.sleep(0.5)
            if not self.children() and self.processor_seconds() - before <= 0.02:
                return
        raise SystemExit(f"a node was still at work after {QUIET_SECONDS_MAX} s without a request")

    def stop(self, how=signal.SIGTERM):
        self.process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        self.process.wait(timeout=60)


def node(data_dir, limit_files=None, folder=BIN, settings=()):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SERVERLEDGE_")}
    settings = {"api.port": 0, "data.dir": data_dir, "log.level": "error", **dict(settings)}
    environment |= {"SERVERLEDGE_" + key.replace(".", "_").upper(): str(value) for key, value in settings.items()}
    command = [os.path.join(folder, "serverledge")]
    if limit_files:
        command = ["sh", "-c", f"ulimit -n {limit_files}; exec {command[0]}"]
    return Server(command, env=environment, cwd=data_dir)


@contextlib.contextmanager
def nodes(scratch, against=None, settings=()):
    """Nodes with data of their own: `ours`, and `against` if there is another build. They are stopped at the end."""
    builds = {"ours": BIN} | ({"against": os.path.abspath(against)} if against else {})
    running = {}
    try:
        for name, folder in builds.items():
            data = os.path.join(scratch, name)
            os.mkdir(data)
            running[name] = node(data, folder=folder, settings=settings)
            running[name].data = data
            running[name].wait_until_quiet()
        yield running
    finally:
        for server in running.values():
            server.stop()


def post(server, path, body):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", path, body if isinstance(body, (bytes, str)) else json.dumps(body))
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"POST {path}: {response.status} {text[:300]!r}")
    return text


def deploy(server, name, code, **more):
    post(server, "/update", {"Name": name, "TarFunctionCode": base64.b64encode(code).decode(), **more})


def module(name):
    with open(os.path.join(GUESTS, name, f"{name}.wasm"), "rb") as file:
        return file.read()


SCRIPT = b"""// What people write first.
const DIGITS_MAX = 15;

module.exports = (params, context) => {
  for (const name of ['a', 'b']) {
    if (!Number.isSafeInteger(params[name])) throw new TypeError(`${name} must be an integer of at most ${DIGITS_MAX} digits`);
  }
  const sum = [params.a, params.b].reduce((total, each) => total + each, 0);
  return { sum };
};
"""
SCRIPT_PARAMS = {"a": 2, "b": 3}


def machine_code(data_dir):
    """The sizes in bytes of a node's files of machine code, by their paths."""
    folder = os.path.join(data_dir, "machine-code")
    paths = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".cwasm")]
    return {path: os.path.getsize(path) for path in paths}


def distinct(source, number):
    """The script as another one of the same size: nothing that was made for one is of use to the next."""
    return source + b"// Number %06d.\n" % number


def print_machine():
    cpu = re.search(r"model name\s*:\s*(.+)", open("/proc/cpuinfo").read())
    print(f"machine: {cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}")


def print_figures(figures):
    """A table of what was measured of each build; `figures` has them by the build's name and the figure's."""
    print()
    for name, value in figures["ours"].items():
        other = figures.get("against", {}).get(name)
        print(f"figure {name} {value:.1f}" + (f" (against: {other:.1f})" if other is not None else ""))


def print_ratio_to_against(name, ratios):
    low, _, high = statistics.quantiles(ratios, n=4)
    print(f"ratio {name}/against {statistics.median(ratios):.3f} (middle half {low:.3f} to {high:.3f})")
