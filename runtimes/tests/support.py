"""Starts agents and speaks to them, for the tests and for bench.py: as plain processes in a temporary folder, or in the
images as the node starts them."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

RUNTIMES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMMANDS = {
    "python": [sys.executable, "-I", "-S", "-B", f"{RUNTIMES}/python/agent.py"],
    "nodejs": ["node", f"{RUNTIMES}/nodejs/agent.js"],
}
EXTENSIONS = {"python": "py", "nodejs": "js"}
USER = 65532
START_SECONDS = 20
ANSWER_SECONDS = 30

# As the node starts a container; docs/container-protocol.md says what it finds there.
HARDENED = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--user", f"{USER}:{USER}", "--pids-limit", "256", "--memory", "256m", "--memory-swap", "256m", "--init",
            "--tmpfs", "/tmp:size=64m,mode=1777", "--tmpfs", f"/app/code:size=64m,uid={USER},gid={USER},mode=0755,exec"]


OUTCOMES = {b"r": "result", b"e": "error", b"b": "bad-output", b"t": "output-too-large"}


class Response:
    """What the agent answered. Of an invocation: `outcome`, and the two parts `result` and `log`, put together from frames."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.outcome, self.raw_log, self.raw_result, self.pieces = None, b"", body, []
        # The time at which each piece was written, if frames say so.
        self.times = []
        # Everything else is JSON and says so.
        if status == 200 and "content-type" not in headers:
            self.read_frames()

    def read_frames(self):
        rest = self.body
        while rest:
            kind, length = rest[:1], int.from_bytes(rest[1:5], "big")
            content, rest = rest[5:5 + length], rest[5 + length:]
            if len(content) < length or self.outcome is not None:
                raise ConnectionError(f"the frames are broken: {self.body[:2000]!r}")
            if kind == b"L":
                self.times.append(int.from_bytes(content[:8], "big"))
                kind, content = b"l", content[8:]
            if kind == b"l":
                self.raw_log += content
                self.pieces.append(content)
            else:
                self.outcome, self.raw_result = OUTCOMES[kind], content
        if self.outcome is None:
            raise ConnectionError("the frames have no last one")

    @property
    def json(self):
        return json.loads(self.raw_result)

    @property
    def log(self):
        return self.raw_log.decode()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:2000]!r}>"


class Connection:
    """One connection to an agent, kept alive."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(ANSWER_SECONDS)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")
        self.partial = b""

    def close(self):
        self.reader.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        """The next answer; ConnectionError if the agent closed instead."""
        start = self.reader.readline()
        if not start:
            raise ConnectionError("the agent closed the connection")
        headers = {}
        while True:
            line = self.reader.readline()
            if line == b"\r\n":
                break
            if not line:
                raise ConnectionError("the agent closed the connection within the headers")
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.chunks() if "transfer-encoding" in headers else self.exactly(int(headers.get("content-length", "0")))
        return Response(int(start.split()[1]), headers, body)

    def exactly(self, length):
        body = self.reader.read(length)
        if len(body) < length:
            raise ConnectionError("the agent closed the connection within the body")
        return body

    def chunks(self):
        """The chunks of a body; what came before the connection broke is in `self.partial`."""
        self.partial = b""
        while True:
            line = self.reader.readline()
            if not line:
                raise ConnectionError("the agent closed the connection between chunks")
            chunk = self.exactly(int(line, 16))
            self.exactly(2)
            if not chunk:
                return self.partial
            self.partial += chunk

    def read_until(self, text):
        """What comes until `text` has come, as it is."""
        seen = b""
        while text not in seen:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError(f"the agent closed the connection after {seen[-2000:]!r}")
            seen += more
        return seen

    def request(self, method, path, body=b"", headers=None):
        self.send(request_bytes(method, path, body, headers))
        return self.read()

    def bind(self, files, handler="", **more):
        return self.request("POST", "/bind", bind_body(files, handler, **more))

    def invoke(self, params=None, headers=None):
        return self.request("POST", "/invoke", json.dumps(params).encode(), headers)


def request_bytes(method, path, body=b"", headers=None):
    lines = [f"{method} {path} HTTP/1.1", "host: agent", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def bind_body(files, handler="", env=None, secrets=None, log_bytes_max=65536, output_bytes_max=6291456, concurrency=1,
              memory_mb=128, executable=(), log_times=False, outbound=False):
    contents = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}
    head = json.dumps({
        "handler": handler, "env": env or {}, "secrets": secrets or {},
        "files": [{"path": path, "bytes": len(content), "executable": path in executable} for path, content in contents.items()],
        "log_bytes_max": log_bytes_max, "output_bytes_max": output_bytes_max, "concurrency": concurrency,
        "memory_mb": memory_mb, **({"log_times": True} if log_times else {}),
        **({"outbound": True} if outbound else {}),
    }).encode()
    return struct.pack(">I", len(head)) + head + b"".join(contents.values())


class Agent:
    """An agent of its own, stopped and removed at the end; `own_log` is what it wrote to the container's log."""

    def __init__(self, runtime, packages=None):
        self.runtime = runtime
        self.folder = tempfile.mkdtemp(prefix="serverledge-agent-")
        self.run_dir = f"{self.folder}/run"
        self.app_dir = f"{self.folder}/app"
        self.code_dir = f"{self.app_dir}/code"
        self.socket_path = f"{self.run_dir}/agent.sock"
        self.connections = []
        os.makedirs(self.run_dir)
        os.makedirs(self.code_dir)
        self.write_packages(packages or {})
        try:
            self.start()
            self.wait_for_socket()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def write_packages(self, packages):
        for path, text in packages.items():
            os.makedirs(os.path.dirname(f"{self.app_dir}/{path}"), exist_ok=True)
            with open(f"{self.app_dir}/{path}", "w", encoding="utf-8") as file:
                file.write(text)

    def start(self):
        self.log_file = open(f"{self.folder}/log", "w+b")
        # A group of its own: an agent starts its interpreter again where a function's variables ask for it.
        self.process = subprocess.Popen(COMMANDS[self.runtime] + [self.run_dir, self.app_dir], stdin=subprocess.DEVNULL,
                                        stdout=self.log_file, stderr=self.log_file, start_new_session=True)

    def wait_for_socket(self):
        end = time.monotonic() + START_SECONDS
        while not os.path.exists(self.socket_path):
            if not self.is_alive() or time.monotonic() > end:
                raise RuntimeError(f"the agent made no socket: {self.own_log()}")
            time.sleep(0.0002)

    def is_alive(self):
        return self.process.poll() is None

    def wait_for_end(self):
        """The exit code of an agent that is about to end by itself."""
        return self.process.wait(ANSWER_SECONDS)

    def own_log(self):
        with open(f"{self.folder}/log", "rb") as file:
            return file.read().decode(errors="replace")

    def pid(self):
        return self.process.pid

    def connect(self):
        connection = Connection(self.socket_path)
        self.connections.append(connection)
        return connection

    def close(self):
        for connection in self.connections:
            connection.close()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        if hasattr(self, "process"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.log_file.close()


class AgentInImage(Agent):
    """An agent in a container of the image, as closed as the node makes it."""

    def start(self):
        self.container = f"serverledge-test-{uuid.uuid4().hex[:12]}"
        # The container's user has to make its socket there, whoever runs the tests.
        os.chmod(self.folder, 0o755)
        os.chmod(self.run_dir, 0o777)
        mounts = ["-v", f"{self.run_dir}:/run/serverledge"]
        for name in ("node_modules", "python"):
            if os.path.isdir(f"{self.app_dir}/{name}"):
                mounts += ["-v", f"{self.app_dir}/{name}:/app/{name}:ro"]
        subprocess.run(["docker", "run", "--detach", "--name", self.container, *HARDENED, *mounts,
                        f"serverledge-{self.runtime}:latest"], check=True, stdout=subprocess.DEVNULL)

    def inspect(self, template):
        return subprocess.run(["docker", "inspect", "-f", template, self.container], check=True, capture_output=True,
                              text=True).stdout.strip()

    def is_alive(self):
        return self.inspect("{{.State.Running}}") == "true"

    def wait_for_end(self):
        done = subprocess.run(["docker", "wait", self.container], check=True, capture_output=True, text=True,
                              timeout=ANSWER_SECONDS)
        return int(done.stdout)

    def own_log(self):
        done = subprocess.run(["docker", "logs", self.container], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout.decode(errors="replace")

    def pid(self):
        """The agent's own process, which is the only child of the container's first one."""
        first = self.inspect("{{.State.Pid}}")
        with open(f"/proc/{first}/task/{first}/children", encoding="ascii") as file:
            return int(file.read().split()[0])

    def stop(self):
        subprocess.run(["docker", "rm", "--force", self.container], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def docker_has(image):
    """Whether the Docker daemon can be reached and has this image."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "image", "inspect", image], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def wait_for(what, condition):
    """Until the condition holds; says what did not come."""
    end = time.monotonic() + ANSWER_SECONDS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not come in {ANSWER_SECONDS} s: {what}")
        time.sleep(0.005)
