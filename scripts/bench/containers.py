"""The measurements of containers.sh: needs a built node, a Docker Engine and the images of runtimes/. What it starts listens on
loopback and is stopped by its id; containers are found by the label of their node."""

import argparse
import array
import base64
import contextlib
import gc
import http.client
import io
import json
import math
import os
import platform
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The time that anything may take that is waited for.
PATIENCE_SECONDS = 60
# A call that has no answer by then counts as refused.
ANSWER_SECONDS = 30
CALLS_MAX = 500_000
WARM_UPS_MAX = 6
# A peer's own state cannot be seen: after a deployment it is left alone for so long.
PEER_REST_SECONDS = 1.0
# The load under which the Go node was measured.
LIMITED = {"MemoryMB": 128, "CPUDemand": 0.1, "MaxConcurrency": 1}
# No share of the processor is declared: all cores may be used.
FREE = {"MemoryMB": 128, "CPUDemand": 0, "MaxConcurrency": 1}
# All calls in one container: one agent, one process.
SHARED = {"MemoryMB": 128, "CPUDemand": 0, "MaxConcurrency": 64}
FILES = {
    "python": ("noop.py", "def handler(params, context):\n    return None\n"),
    "nodejs": ("noop.js", "exports.handler = (params, context) => null;\n"),
}
SLEEPER = "import time\n\ndef handler(params, context):\n    time.sleep(%s)\n"
INVOCATION = json.dumps({"Params": {}, "QoSClass": 0, "QoSMaxRespT": -1.0, "CanDoOffloading": False, "Async": False})
PHASES = ("create", "start", "ready", "limits", "bind")


class Trouble(Exception):
    """Why something could not be measured."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def percentile(values, share):
    """The smallest of the values that is not below this share of them."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def wait_until(what, condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise Trouble(f"did not come in {PATIENCE_SECONDS} s: {what}")
        time.sleep(0.002)


# === nodes ===


class Peer:
    """A node that speaks Serverledge's API, wherever it runs."""

    name = "peer"

    def __init__(self, url, runtime):
        parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise SystemExit(f"--peer {url}: expected http://HOST:PORT")
        self.host, self.port, self.runtime = parts.hostname, parts.port or 80, runtime
        self.functions = set()
        self.suffix = uuid.uuid4().hex[:8]

    def named(self, name):
        """Nobody else's function, whoever else uses the node."""
        return f"bench-{name}-{self.suffix}"

    def post(self, path, body):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_SECONDS * 5)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def deploy(self, name, runtime, more, files=None):
        """Also where it is deployed already: its containers go."""
        name = self.named(name)
        file, text = FILES[runtime]
        body = {"Name": name, "Runtime": self.runtime_name(runtime), "Handler": "noop.handler" if runtime == "python" else "noop",
                "TarFunctionCode": tar({file: text, **(files or {})}), **more}
        path = "/update" if name in self.functions else "/create"
        status, answer = self.post(path, body)
        if status != 200:
            raise Trouble(f"POST {path} {name}: {status} {answer[:600].decode(errors='replace')}")
        self.functions.add(name)

    def runtime_name(self, _runtime):
        return self.runtime

    def delete_all(self):
        for name in list(self.functions):
            with contextlib.suppress(OSError):
                self.post("/delete", {"Name": name})

    def rest(self):
        time.sleep(PEER_REST_SECONDS)

    def rest_of_warm(self, _containers):
        self.rest()

    def stop(self):
        self.delete_all()

    def connect(self):
        connection = socket.create_connection((self.host, self.port), timeout=ANSWER_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return patient(connection)

    def request(self, name):
        return (f"POST /invoke/{self.named(name)} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(INVOCATION)}\r\n\r\n{INVOCATION}").encode()


class Node(Peer):
    """One of ours, started and stopped here."""

    name = "node"

    def __init__(self, options, scratch, **settings):
        self.functions = set()
        self.suffix = uuid.uuid4().hex[:8]
        self.id = f"bench-{self.suffix}"
        self.cells = settings.get("cells", 2)
        self.data = os.path.join(scratch, self.id)
        os.mkdir(self.data)
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("SERVERLEDGE_") or name.startswith(("SERVERLEDGE_CONTAINER_IMAGE_", "SERVERLEDGE_CONTAINER_INSTALL_"))}
        environment |= {"SERVERLEDGE_API_PORT": "0", "SERVERLEDGE_DATA_DIR": self.data, "SERVERLEDGE_LOG_LEVEL": "warn",
                        "SERVERLEDGE_REGISTRY_NODE_ID": self.id, "SERVERLEDGE_CONTAINER_CELLS": str(self.cells),
                        "SERVERLEDGE_CONTAINER_ALLOW_BRIDGE": "true"}
        environment |= registries(environment)
        self.log = open(os.path.join(self.data, "log"), "wb")
        self.process = subprocess.Popen([settings.get("program", options.node)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=self.log,
                                        env=environment, cwd=self.data, start_new_session=True)
        # It says where it listens when it does.
        line = self.process.stdout.readline().decode() if select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0] else ""
        found = re.search(r"http://([0-9.]+):(\d+)", line)
        if not found:
            self.process.kill()
            self.process.wait()
            raise Trouble(f"the node did not start: {line!r} {self.log_text()}")
        self.host, self.port = found.group(1), int(found.group(2))
        self.sockets = os.path.join(self.data, "containers", "sockets")
        self.dir = os.open(self.sockets, os.O_RDONLY | os.O_DIRECTORY)

    def runtime_name(self, runtime):
        return runtime

    def log_text(self):
        with open(self.log.name, errors="replace") as file:
            return file.read()[-2000:]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"the node did not end: {self.log_text()}")
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        os.close(self.dir)
        self.remove_rest()

    def remove_rest(self):
        """What the node should have removed itself."""
        label = f"label=serverledge.node={self.id}"
        for kind, remove in (("ps", ["rm", "--force"]), ("network", ["network", "rm"])):
            listing = ["docker", "ps", "--all"] if kind == "ps" else ["docker", "network", "ls"]
            left = subprocess.run([*listing, "--quiet", "--filter", label], capture_output=True, text=True).stdout.split()
            if left:
                say(f"the node left {len(left)} behind ({kind}); removing them")
                subprocess.run(["docker", *remove, *left], stdout=subprocess.DEVNULL)

    def listening(self):
        """Names of the containers whose agents listen; the node takes the right to write from their folders then."""
        names = []
        for name in os.listdir(self.sockets):
            with contextlib.suppress(FileNotFoundError):
                folder = os.path.join(self.sockets, name)
                if os.path.exists(os.path.join(folder, "agent.sock")) and os.stat(folder).st_mode & 0o022 == 0:
                    names.append(name)
        return names

    def rest(self):
        """Until only template containers are left, and all of them are ready: nothing is being started or removed."""
        def at_rest():
            return len(os.listdir(self.sockets)) == self.cells == len(self.listening())
        wait_until(f"{self.cells} template containers that are ready, and no other container", at_rest)

    def rest_of_warm(self, containers):
        """The same beside so many containers that have a function."""
        whole = self.cells + containers
        wait_until(f"{whole} containers that are ready", lambda: len(os.listdir(self.sockets)) == whole == len(self.listening()))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect_agent(self, container):
        """Socket addresses are short: the folder is reached by a descriptor, whatever its path."""
        connection = patient(socket.socket(socket.AF_UNIX))
        connection.connect(f"/proc/self/fd/{self.dir}/{container}/agent.sock")
        return connection

    def bound(self):
        """Names of the containers that have a function."""
        names = []
        for name in self.listening():
            with contextlib.suppress(OSError), self.connect_agent(name) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nhost: agent\r\n\r\n")
                if json.loads(receive(connection)[1])["bound"]:
                    names.append(name)
        return names

    def phase_sums(self):
        """Seconds spent in each phase of all starts so far, and their number."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        sums = {}
        for line in text.splitlines():
            found = re.match(r"serverledge_start_phase_seconds_sum\{(.*)\} (\S+)$", line)
            phase = found and re.search(r'phase="([^"]*)"', found.group(1))
            if phase:
                sums[phase.group(1)] = sums.get(phase.group(1), 0.0) + float(found.group(2))
        return sums


def registries(environment):
    """Where packages come from, as this machine is set to, unless the caller said otherwise."""
    authorities = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    said = {
        "SERVERLEDGE_CONTAINER_INSTALL_CA_FILE": authorities if os.path.isfile(authorities) else None,
        "SERVERLEDGE_CONTAINER_INSTALL_PIP_INDEX": os.environ.get("PIP_INDEX_URL"),
        "SERVERLEDGE_CONTAINER_INSTALL_PROXY": os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"),
    }
    return {name: value for name, value in said.items() if value and name not in environment}


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return base64.b64encode(out.getvalue()).decode()


def patient(connection):
    """With the kernel's time limits: with Python's own ones every call would also be a poll."""
    connection.settimeout(None)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", ANSWER_SECONDS, 0))
    return connection


@contextlib.contextmanager
def running(options, scratch, **settings):
    node = Node(options, scratch, **settings)
    try:
        yield node
    finally:
        node.stop()


# === load ===

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def receive(connection):
    """Status and body of one answer."""
    data = connection.recv(65536)
    while True:
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            found = LENGTH.search(data, 0, end)
            if found and len(data) - end - 4 >= int(found.group(1)):
                return int(data[9:12]), data[end + 4:]
            if not found and data.endswith(b"0\r\n\r\n"):
                return int(data[9:12]), data[end + 4:]
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("closed instead of an answer")
        data += more


def call(connect, request, seconds, start, pipe, calls_max):
    """In a process of its own: one call after the other on one connection, until the time is over or all are made."""
    taken, refused, cpu = array.array("d"), 0, 0.0
    clock = time.perf_counter
    connection = None
    with contextlib.suppress(OSError):
        connection = connect()
    gc.disable()
    time.sleep(max(0.0, start - clock()))
    end, before, cpu_before = start + seconds, clock(), time.process_time()
    while before < end and len(taken) + refused < calls_max:
        try:
            connection = connection or connect()
            connection.sendall(request)
            ok = receive(connection)[0] == 200
        except OSError:
            connection, ok = None, False
        now = clock()
        if ok:
            taken.append(now - before)
        else:
            refused += 1
        before = now
    cpu = time.process_time() - cpu_before
    with os.fdopen(pipe, "wb") as file:
        file.write(struct.pack("<Qdd", refused, cpu, before - start))
        file.write(taken.tobytes())


class Load:
    """What a number of clients saw."""

    def __init__(self, parts):
        self.taken = sorted(value for part in parts for value in part[3])
        self.refused = sum(part[0] for part in parts)
        self.seconds = max(part[2] for part in parts)
        self.calls = len(self.taken) + self.refused
        self.node_cpu_us = None
        self.rate = len(self.taken) / self.seconds
        self.refused_share = self.refused / max(self.calls, 1)
        self.client_cpu_us = sum(part[1] for part in parts) / max(self.calls, 1) * 1e6

    def ms(self, share):
        return percentile(self.taken, share) * 1e3 if self.taken else math.nan


def load(clients, seconds, calls_max=CALLS_MAX):
    """Each client, a function that connects and a request, is a process: a generator in threads would be the bottleneck."""
    start = time.perf_counter() + 0.1 + 0.01 * len(clients)
    children = []
    sys.stdout.flush()
    sys.stderr.flush()
    for connect, request in clients:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.close(read)
                call(connect, request, seconds, start, write, calls_max)
                code = 0
            finally:
                os._exit(code)
        os.close(write)
        children.append((child, read))
    parts = []
    try:
        for child, read in children:
            with os.fdopen(read, "rb") as file:
                data = file.read()
            if len(data) < 24:
                raise Trouble("a client of the load generator ended early")
            taken = array.array("d")
            taken.frombytes(data[24:])
            parts.append((*struct.unpack("<Qdd", data[:24]), taken))
    finally:
        for child, _ in children:
            if len(parts) < len(children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return Load(parts)


AGENT_BODY = b"{}"
AGENT_REQUEST = (b"POST /invoke HTTP/1.1\r\nhost: function\r\ncontent-length: %d\r\n"
                 b"serverledge-invocation: 0123456789abcdef0123456789abcdef\r\nserverledge-function: noop\r\n"
                 b"serverledge-deadline: 4102444800000\r\nserverledge-memory: 128\r\n\r\n%s") % (len(AGENT_BODY), AGENT_BODY)


def through(node, name, count):
    return [(node.connect, node.request(name))] * count


def on_agents(node, containers):
    return [(lambda container=container: node.connect_agent(container), AGENT_REQUEST) for container in containers]


# === cold starts ===


class Starts:
    """Times of cold starts in seconds: as the client sees them, as the node's reply tells, and by phase."""

    def __init__(self):
        self.wall, self.init, self.phases, self.warm = [], [], {}, 0

    def one(self, node, name):
        before = node.phase_sums() if isinstance(node, Node) else {}
        with node.connect() as connection:
            begun = time.perf_counter()
            connection.sendall(node.request(name))
            status, body = receive(connection)
            took = time.perf_counter() - begun
        if status != 200:
            raise Trouble(f"{node.name}: the cold start failed: {status} {body[:300].decode(errors='replace')}")
        reply = json.loads(body)
        if reply.get("IsWarmStart"):
            self.warm += 1
            return
        self.wall.append(took)
        self.init.append(float(reply.get("InitTime", math.nan)))
        for phase, total in (node.phase_sums() if isinstance(node, Node) else {}).items():
            if total > before.get(phase, 0.0):
                self.phases.setdefault(phase, []).append(total - before.get(phase, 0.0))


def cold_starts(nodes, count, runtime, more, files, deadline):
    """Each deployment of a changed function retires its containers, so that the next call starts one; calls are made when
    nothing else goes on. The nodes take turns."""
    found = {node: Starts() for node in nodes}
    for turn in range(count):
        for node in nodes:
            # Another time limit is another version of the same code.
            version = {**more, "Timeout": 20 + turn % 2}
            node.deploy("cold", runtime, version, files)
            node.rest()
            found[node].one(node, "cold")
        if time.monotonic() > deadline:
            say(f"  out of time after {turn + 1} of {count} starts")
            break
    return found


def measure_cold(report, options, scratch):
    runs = [
        ("python", "template containers", options.starts, {"cells": 2}, FREE, None),
        ("python", "no template containers", options.starts, {"cells": 0}, FREE, None),
        ("nodejs", "template containers", options.starts, {"cells": 2}, FREE, None),
        ("python", "dependency layer", options.few_starts, {"cells": 2}, FREE, {"requirements.txt": "idna==3.10\n"}),
        ("python", "bridge", options.few_starts, {"cells": 2}, {**FREE, "Network": "bridge"}, None),
        ("nodejs", "no template containers", options.starts, {"cells": 0}, FREE, None),
    ]
    for runtime, kind, count, settings, more, files in runs:
        if not report.has_time(f"cold starts, {runtime}, {kind}"):
            continue
        say(f"cold starts: {runtime}, {kind}, {count}")
        try:
            with running(options, scratch, **settings) as node:
                starts = cold_starts([node], count, runtime, more, files, report.deadline)[node]
            report.starts(f"{runtime}, {kind}", starts)
        except Trouble as trouble:
            report.missing(f"cold starts, {runtime}, {kind}", trouble)


def measure_peer_cold(report, options, scratch, peer):
    if not report.has_time("cold starts beside the peer"):
        return
    say(f"cold starts beside the peer: {options.few_starts} each")
    with running(options, scratch) as node:
        found = cold_starts([node, peer], options.few_starts, "python", LIMITED, None, report.deadline)
    for each, starts in found.items():
        report.starts(f"python, 0.1 CPU, {each.name}", starts)
    if found[node].wall and found[peer].wall:
        report.ratio("peer/node cold-start p50", percentile(found[peer].wall, 0.5) / percentile(found[node].wall, 0.5))


# === warm calls ===


def measure_warm(report, options, scratch):
    """The same client calls, in turns, the node and the socket of the one container that the node has."""
    for runtime in ("python", "nodejs"):
        if not report.has_time(f"warm calls, {runtime}"):
            continue
        say(f"warm calls: {runtime}, {options.calls} each")
        try:
            with running(options, scratch) as node:
                overhead(report, node, runtime, options.calls)
        except Trouble as trouble:
            report.missing(f"warm calls, {runtime}", trouble)


def overhead(report, node, runtime, calls):
    node.deploy("noop", runtime, FREE)
    node.rest()
    taken = {"node": [], "agent": []}
    with node.connect() as through_node:
        exchange(through_node, node.request("noop"))
        (container,) = node.bound()
        with node.connect_agent(container) as agent:
            gc.disable()
            for _ in range(500 + calls):
                taken["node"].append(exchange(through_node, node.request("noop")))
                taken["agent"].append(exchange(agent, AGENT_REQUEST))
            gc.enable()
    # The first ones are the warming up of everybody.
    node_us, agent_us = ([value * 1e6 for value in taken[name][500:]] for name in ("node", "agent"))
    report.warm(runtime, node_us, agent_us)


def exchange(connection, request):
    begun = time.perf_counter()
    connection.sendall(request)
    status, body = receive(connection)
    took = time.perf_counter() - begun
    if status != 200:
        raise Trouble(f"a warm call failed: {status} {body[:300].decode(errors='replace')}")
    return took


def measure_load(report, options, scratch, peer):
    for runtime, kind, more in (("python", "0.1 CPU", LIMITED), ("python", "all CPUs", FREE), ("python", "one container", SHARED),
                                ("nodejs", "all CPUs", FREE), ("nodejs", "one container", SHARED)):
        what = f"{runtime}, {kind}"
        if not report.has_time(f"load, {what}"):
            continue
        say(f"load: {what}, {options.rounds} rounds of {options.seconds} s")
        try:
            beside = peer if more is LIMITED else None
            with running(options, scratch) as node:
                rows = under_load(node, beside, runtime, more, options)
            report.loads(what, rows)
        except Trouble as trouble:
            report.missing(f"load, {what}", trouble)


def under_load(node, peer, runtime, more, options):
    """Rows of measurements by what was measured, one for each round."""
    for each in filter(None, (node, peer)):
        each.deploy("noop", runtime, more)
    containers = warm_up(node, 1 if more is SHARED else 8)[:8]
    if more is SHARED:
        containers = containers[:1] * 8
    targets = {f"node, {count}": through(node, "noop", count) for count in (1, 8, 32)}
    targets[f"agents, {len(containers)}"] = on_agents(node, containers)
    if peer:
        load(through(peer, "noop", 32), 1)
        targets |= {f"peer, {count}": through(peer, "noop", count) for count in (1, 8, 32)}
    rows = {name: [] for name in targets}
    for _ in range(options.rounds):
        for name, clients in targets.items():
            before = node.cpu_seconds()
            rows[name].append(load(clients, options.seconds))
            if name.startswith("node"):
                rows[name][-1].node_cpu_us = (node.cpu_seconds() - before) / max(rows[name][-1].calls, 1) * 1e6
    return rows


def warm_up(node, least):
    """Until the largest number of clients makes no container start any more; the containers that there are then."""
    found = []
    for _ in range(WARM_UPS_MAX):
        warming = load(through(node, "noop", 32), 1)
        if not warming.taken:
            raise Trouble(f"no call succeeds: {refusal(node)}")
        before, found = found, node.bound()
        if len(found) == len(before) >= least:
            break
    return found


# === a burst ===

# Clients that come at once where one container is warm, the calls that each makes, and the milliseconds that a call sleeps. A
# burst has an end: among calls without end, those that wait for a start would not be seen, since who waits makes none.
BURST, BURST_CALLS, BURST_MS = 8, 25, 10


def measure_burst(report, options, scratch, peer):
    """One container is warm; then all clients come at once, each with one call after the other. The nodes take turns, ours each
    time a new one: a function grows once."""
    programs = {"node": options.node, **({"against": os.path.abspath(options.against)} if options.against else {})}
    for kind, more in (("0.1 CPU", LIMITED), ("all CPUs", FREE)):
        if not report.has_time(f"burst, {kind}"):
            continue
        say(f"burst: {kind}, {options.rounds} rounds")
        rows = {name: [] for name in [*programs, *(["peer"] if peer and more is LIMITED else [])]}
        try:
            for turn in range(options.rounds):
                for name in rows:
                    if name == "peer":
                        # Another time limit is another version, of which no container is there.
                        rows[name].append(burst(peer, {**more, "Timeout": 20 + turn}))
                        continue
                    with running(options, scratch, program=programs[name]) as node:
                        rows[name].append(burst(node, more))
            report.bursts(f"python, {kind}", rows)
        except Trouble as trouble:
            report.missing(f"burst, {kind}", trouble)


def burst(node, more):
    node.deploy("burst", "python", more, {"noop.py": SLEEPER % (BURST_MS / 1000)})
    node.rest()
    with node.connect() as connection:
        exchange(connection, node.request("burst"))
    node.rest_of_warm(1)
    return load(through(node, "burst", BURST), PATIENCE_SECONDS, BURST_CALLS)


def refusal(node):
    with node.connect() as connection:
        connection.sendall(node.request("noop"))
        status, body = receive(connection)
    return f"{status} {body[:300].decode(errors='replace')}"


# === report ===


class Report:
    """Collects what was measured; prints it as it comes, and as Markdown in the end if asked to."""

    def __init__(self, options):
        self.deadline = time.monotonic() + options.limit
        self.markdown = options.markdown
        self.absent, self.cold_rows, self.warm_rows, self.load_rows, self.burst_rows, self.lines = [], [], [], [], [], []

    def has_time(self, what):
        if time.monotonic() < self.deadline:
            return True
        self.missing(what, "the time limit was reached (--limit)")
        return False

    def missing(self, what, why):
        self.absent.append(f"not measured: {what}: {why}")
        say(self.absent[-1])

    def line(self, text):
        self.lines.append(text)

    def ratio(self, name, value):
        self.line(f"ratio {slug(name)} {value:.2f}")

    def value(self, name, value, unit):
        self.line(f"value {slug(name)} {value:.4g} {unit}" if value < 1000 else f"value {slug(name)} {value:.0f} {unit}")

    def starts(self, name, starts):
        if starts.warm:
            self.missing(f"{starts.warm} starts of {name}", "the node called them warm")
        if not starts.wall:
            return
        row = [name, str(len(starts.wall))]
        for times in (starts.wall, starts.init, *(starts.phases.get(phase, []) for phase in PHASES)):
            row.append(f"{percentile(times, 0.5) * 1e3:.1f} / {percentile(times, 0.95) * 1e3:.1f}" if times else "–")
        self.cold_rows.append(row)
        for label, times in (("", starts.wall), ("init ", starts.init)):
            self.value(f"cold {name} {label}p50", percentile(times, 0.5) * 1e3, "ms")
            self.value(f"cold {name} {label}p95", percentile(times, 0.95) * 1e3, "ms")

    def warm(self, runtime, node_us, agent_us):
        row = [runtime]
        for share in (0.5, 0.95, 0.99):
            row.append(f"{percentile(node_us, share):.0f} / {percentile(agent_us, share):.0f}")
        added = percentile(node_us, 0.5) - percentile(agent_us, 0.5)
        self.warm_rows.append([*row, f"{added:.0f}"])
        self.value(f"warm {runtime} overhead p50", added, "us")

    def loads(self, what, rows):
        """Medians of the rounds; ratios are medians of the rounds' ratios."""
        for name, loads in rows.items():
            middle = {key: statistics.median(values) for key, values in {
                "rate": [each.rate for each in loads], "p50": [each.ms(0.5) for each in loads],
                "p99": [each.ms(0.99) for each in loads], "cpu": [each.client_cpu_us for each in loads]}.items()}
            refused = sum(each.refused for each in loads)
            share = statistics.median(each.refused_share for each in loads)
            spread = (max(each.rate for each in loads) - min(each.rate for each in loads)) / max(middle["rate"], 1e-9)
            self.load_rows.append([f"{what}: {name}", f"{middle['rate']:,.0f}", f"{middle['p50']:.2f}", f"{middle['p99']:.2f}",
                                   f"{refused} ({share:.0%})", f"{spread:.0%}", f"{middle['cpu']:.0f}",
                                   f"{statistics.median(each.node_cpu_us for each in loads):.0f}" if name.startswith("node") else "–"])
            self.value(f"{what} {name} calls", middle["rate"], "1/s")
        agents = next(name for name in rows if name.startswith("agents"))
        self.rates_ratio(f"{what} node/agent-socket at 8", rows["node, 8"], rows[agents])
        for count in (1, 8, 32):
            if f"peer, {count}" in rows:
                self.rates_ratio(f"{what} node/peer at {count}", rows[f"node, {count}"], rows[f"peer, {count}"])

    def bursts(self, what, rows):
        """All calls of all rounds together."""
        together = {name: sorted(value for each in loads for value in each.taken) for name, loads in rows.items()}
        for name, loads in rows.items():
            taken = together[name]
            if not taken:
                raise Trouble(f"no call of {name} succeeded")
            shares = [f"{percentile(taken, share) * 1e3:.1f}" for share in (0.5, 0.95, 0.99, 0.999, 1)]
            refused = sum(each.refused for each in loads)
            whole = statistics.median(each.seconds for each in loads)
            self.burst_rows.append([f"{what}: {name}", f"{whole * 1e3:.0f}", *shares, str(refused)])
        for name, taken in together.items():
            if name != "node":
                self.ratio(f"burst {what} node/{name} p99", percentile(together["node"], 0.99) / percentile(taken, 0.99))

    def rates_ratio(self, name, ours, theirs):
        ratios = [a.rate / b.rate for a, b in zip(ours, theirs) if b.rate]
        if ratios:
            self.ratio(name, statistics.median(ratios))

    def print(self):
        self.table("cold starts, ms, p50 / p95", ["start", "starts", "client", "InitTime", *PHASES], self.cold_rows)
        self.table("a warm call, µs, node / agent's socket", ["runtime", "p50", "p95", "p99", "node adds (p50)"], self.warm_rows)
        self.table("load", ["target, clients", "calls/s", "p50 ms", "p99 ms", "refused", "spread", "client CPU µs", "node CPU µs"], self.load_rows)
        self.table(f"a burst of {BURST} clients with {BURST_CALLS} calls of {BURST_MS} ms each, ms",
                   ["target", "whole", "p50", "p95", "p99", "p99.9", "longest", "refused"], self.burst_rows)
        for line in self.lines + self.absent:
            print(line)

    def table(self, title, head, rows):
        if not rows:
            return
        print(f"\n{title}\n")
        if self.markdown:
            for row in (head, ["---"] * len(head), *rows):
                print(f"| {' | '.join(row)} |")
        else:
            widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
            for row in (head, *rows):
                print("  ".join(cell.ljust(width) if not at else cell.rjust(width)
                                for at, (cell, width) in enumerate(zip(row, widths))))
        print()


def slug(name):
    return re.sub(r"[^a-z0-9./]+", "-", name.lower())


def main():
    parser = argparse.ArgumentParser(prog="containers.sh", description=__doc__)
    parser.add_argument("--starts", type=int, default=50, help="cold starts of each kind (%(default)s)")
    parser.add_argument("--few-starts", type=int, default=12, help="the same with dependencies, a network, beside a peer (%(default)s)")
    parser.add_argument("--calls", type=int, default=3000, help="warm calls one after the other (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of load (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of load in each (%(default)s)")
    parser.add_argument("--limit", type=float, default=330, help="no measurement begins after so many seconds (%(default)s)")
    parser.add_argument("--only", choices=("cold", "warm", "load", "burst"), action="append")
    parser.add_argument("--against", metavar="FILE", help="another build's program, whose bursts take turns with the node's")
    parser.add_argument("--markdown", action="store_true", help="tables as in docs/benchmarks.md")
    parser.add_argument("--peer", metavar="URL", help="a node that speaks Serverledge's API, measured in turns with ours")
    parser.add_argument("--peer-runtime", default="python310", help="what the peer calls Python (%(default)s)")
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    parser.add_argument("--node", metavar="FILE", default=os.path.join(target, "release", "serverledge"), help="the node's program")
    options = parser.parse_args()
    options.node = os.path.abspath(options.node)
    # Through the blocks that clean up.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    measure(options)


def end(number, _frame):
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def measure(options):
    with open("/proc/cpuinfo") as file:
        cpu = re.search(r"model name\s*:\s*(.+)", file.read())
    engine = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True).stdout.strip()
    print(f"machine: {cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, "
          f"Linux {platform.release().split('-')[0]}, Docker Engine {engine}", flush=True)
    begun = time.monotonic()
    report = Report(options)
    peer = Peer(options.peer, options.peer_runtime) if options.peer else None
    wanted = options.only or ["warm", "load", "burst", "cold"]
    try:
        with tempfile.TemporaryDirectory(prefix="serverledge-bench-") as scratch:
            if "warm" in wanted:
                measure_warm(report, options, scratch)
            if "load" in wanted:
                measure_load(report, options, scratch, peer)
            if "burst" in wanted:
                measure_burst(report, options, scratch, peer)
            if "cold" in wanted:
                if peer:
                    measure_peer_cold(report, options, scratch, peer)
                measure_cold(report, options, scratch)
    finally:
        if peer:
            peer.stop()
        report.print()
    say(f"measured in {time.monotonic() - begun:.0f} s")


main()
