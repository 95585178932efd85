"""The guests in tests/conformance: builds each with its pinned toolchain, deploys it, calls it, and compares."""

import hashlib
import io
import json
import os
import shutil
import signal
import statistics
import subprocess
import tarfile
import time

from nodes import NodeEnded, Refused

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUESTS = os.path.join(ROOT, "tests", "conformance")
CALLS = 50
BUILD_SECONDS_MAX = 1800
# The exit code of a build.sh whose toolchain cannot be had on this machine.
NO_TOOLCHAIN = 3

WORKS, REMARK, REFUSED, FAILS, NOT_BUILT = "works", "works, with a remark", "refused", "fails", "not built"


class Guest:
    """A folder of tests/conformance: its guest.json, and where its module comes to lie."""

    def __init__(self, name, keep):
        self.name = name
        self.folder = os.path.join(GUESTS, name)
        self.out = os.path.join(keep, name)
        self.module = os.path.join(self.out, f"{name}.wasm")
        # A folder with main.wasm and data, for guests that read files.
        self.files = os.path.join(self.out, "files")
        with open(os.path.join(self.folder, "guest.json")) as file:
            self.spec = json.load(file)
        unknown = set(self.spec) - {"title", "kind", "quick", "function", "calls", "expect", "remark", "times"}
        if unknown or "title" not in self.spec or "calls" not in self.spec:
            raise SystemExit(f"{self.folder}/guest.json: title and calls are needed; unknown members: {sorted(unknown)}")

    def digest(self):
        """Of everything that the module is made from, the versions of toolchains in the scripts included."""
        digest = hashlib.sha256()
        paths = [os.path.join(at, name) for at, _, names in os.walk(self.folder) for name in names]
        for path in sorted(paths) + [os.path.join(GUESTS, "versions.sh")]:
            if os.path.basename(path) == "guest.json":
                continue
            digest.update(os.path.relpath(path, GUESTS).encode() + b"\0")
            with open(path, "rb") as file:
                digest.update(file.read())
        return digest.hexdigest()

    def build(self, log):
        """Builds the module unless it is there; returns the toolchain's version, or raises `NotBuilt`."""
        stamp = os.path.join(self.out, "stamp.json")
        digest = self.digest()
        if os.path.exists(stamp) and os.path.exists(self.module):
            with open(stamp) as file:
                found = json.load(file)
            if found["digest"] == digest:
                return found["version"]
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        began = time.monotonic()
        version = self.run_build()
        with open(stamp, "w") as file:
            json.dump({"digest": digest, "version": version}, file)
        log(f"{self.name}: built in {time.monotonic() - began:.1f} s")
        return version

    def run_build(self):
        path = os.path.join(self.out, "build.log")
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("SERVERLEDGE_", "CARGO_", "RUST"))}
        environment |= {"OUT": self.out, "NAME": self.name, "ROOT": ROOT, "LC_ALL": "C.UTF-8", "TOOLS": tools(),
                        "OFFLINE": os.environ.get("SERVERLEDGE_CONFORMANCE_OFFLINE", "")}
        with open(path, "w") as file:
            process = subprocess.Popen(["bash", os.path.join(self.folder, "build.sh")], stdin=subprocess.DEVNULL, stdout=file,
                                       stderr=subprocess.STDOUT, env=environment, cwd=self.folder, start_new_session=True)
            try:
                status = process.wait(timeout=BUILD_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise NotBuilt(f"building took longer than {BUILD_SECONDS_MAX} s", False) from None
        with open(path, errors="replace") as file:
            lines = [line.rstrip() for line in file if line.strip()]
        if status == 0 and os.path.exists(self.module):
            versions = [line.partition("version: ")[2] for line in lines if "version: " in line]
            return versions[-1] if versions else "unknown"
        reason = lines[-1] if lines else f"build.sh ended with {status}"
        raise NotBuilt(reason[:300], status == NO_TOOLCHAIN)

    def code(self):
        """What is uploaded: the module, or a tar of the folder with the module and its data."""
        if not os.path.isdir(self.files):
            with open(self.module, "rb") as file:
                return file.read()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name in sorted(os.listdir(self.files)):
                tar.add(os.path.join(self.files, name), arcname=name)
        return packed.getvalue()


class NotBuilt(Exception):
    """A guest without a module; `no_toolchain` if its toolchain cannot be had here."""

    def __init__(self, reason, no_toolchain):
        self.no_toolchain = no_toolchain
        super().__init__(reason)


def tools():
    folder = os.environ.get("SERVERLEDGE_TOOLS") or os.path.join(ROOT, ".tools")
    return os.path.join(os.path.abspath(folder), "conformance")


def machine_folders():
    """Paths of this machine that no document should have."""
    return [folder + "/" for folder in (tools(), ROOT, os.path.expanduser("~")) if folder != "/"]


def names():
    return sorted(name for name in os.listdir(GUESTS) if os.path.exists(os.path.join(GUESTS, name, "guest.json")))


def judged(node, guest, log):
    """A row of the table: builds, deploys and calls a guest."""
    row = {"name": guest.name, "title": guest.spec["title"], "kind": guest.spec.get("kind", "toolchain"),
           "expect": guest.spec.get("expect", WORKS), "version": "", "remark": guest.spec.get("remark", ""), "sentence": ""}
    try:
        row["version"] = guest.build(log)
    except NotBuilt as error:
        row |= {"outcome": NOT_BUILT, "sentence": str(error), "no_toolchain": error.no_toolchain}
        return row
    code = guest.code()
    row["bytes"] = len(code)
    try:
        row["deploy_seconds"] = node.deploy(guest.name, code, guest.spec.get("function", {}))
        faults = [fault for fault in (compare(node, guest.name, call) for call in guest.spec["calls"]) if fault]
        if faults:
            row |= {"outcome": FAILS, "sentence": faults[0]}
        else:
            row |= {"outcome": REMARK if row["remark"] else WORKS, "p50_ms": p50(node, guest)}
        node.delete(guest.name)
    except Refused as refused:
        row |= {"outcome": REFUSED, "sentence": refused.sentence}
    except NodeEnded as ended:
        row |= {"outcome": FAILS, "sentence": str(ended)}
    return row


def perform(node, name, call):
    """Makes a call; returns its status, headers and body."""
    if "request" not in call:
        return node.request("POST", f"/invoke/{name}", json.dumps({"Params": call.get("params", {}), "ReturnOutput": True}))
    request = call["request"]
    body = request.get("body")
    return node.request(request.get("method", "POST"), f"/fn/{name}{request.get('path', '')}",
                        body if body is None else body.encode(), request.get("headers", {}).items())


def compare(node, name, call):
    """The difference between what a call should give and what it gives; nothing if there is none."""
    status, headers, body = perform(node, name, call)
    text = body.decode(errors="replace")
    wanted = call.get("status", 200)
    if status != wanted:
        return f"status {status} instead of {wanted}: {short(text)}"
    if "error" in call:
        return None if call["error"] in text else f"{short(text)} does not have {call['error']!r}"
    if "result" in call:
        try:
            result = json.loads(json.loads(text)["Result"]) if "request" not in call else json.loads(text)
        except (ValueError, KeyError) as error:
            return f"no JSON result ({error}): {short(text)}"
        if result != call["result"]:
            return f"{short(json.dumps(result))} instead of {short(json.dumps(call['result']))}"
    if "body" in call and text != call["body"]:
        return f"{short(text)} instead of {short(call['body'])}"
    for part in call.get("body_has", []):
        if part not in text:
            return f"{short(text)} does not have {part!r}"
    if "log_has" in call and call["log_has"] not in json.loads(text).get("Output", ""):
        return f"the log does not have {call['log_has']!r}: {short(text)}"
    for header, value in call.get("headers", {}).items():
        if headers.get(header) != value:
            return f"header {header} is {headers.get(header)!r} instead of {value!r}"
    return None


def short(text):
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:200] + "…"


def p50(node, guest):
    """Milliseconds of the middle one of `CALLS` calls, with one connection."""
    call = next((call for call in guest.spec["calls"] if call.get("status", 200) == 200), guest.spec["calls"][0])
    times = []
    for _ in range(guest.spec.get("times", CALLS)):
        began = time.perf_counter()
        perform(node, guest.name, call)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def worse(row):
    """The way in which a row is worse than its guest.json expects; nothing if it is as good."""
    expect = row["expect"]
    outcome = row["outcome"]
    if outcome == NOT_BUILT:
        return None if row.get("no_toolchain") else f"{row['name']} was not built: {row['sentence']}"
    if outcome in (WORKS, REMARK):
        return None
    if isinstance(expect, dict) and outcome == REFUSED and expect["refused"] in row["sentence"]:
        return None
    wanted = expect if isinstance(expect, str) else f"refused with {expect['refused']!r}"
    return f"{row['name']} should be: {wanted}; but {outcome}: {row['sentence']}"
