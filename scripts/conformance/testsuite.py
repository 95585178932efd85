"""The prebuilt tests of the WASI test suite: each is deployed as a function, called, and compared with its JSON.

A test that wants a directory with content that it may write to, or an environment without any other variable, runs in a
runner instead: a program that starts a module without a node (`--runner`). It is called as

    RUNNER MODULE [--dir NAME=PATH]... [--env NAME=VALUE]... [--stdin TEXT] [--grant http|sockets]... [--request JSON]...
                  [--arg TEXT]...

Its name for itself, the argument before the others, is that of the module's file; its environment has the given variables and
no others; it may write to its directories. The runner prints one object,

    {"exit_code": 0, "stdout": "", "stderr": "", "responses": [{"status": 200, "headers": {}, "body": ""}]}

A request is `{"method", "path", "headers", "body"}`, for components that answer requests; such tests read only `responses`.
"""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

import servers
from guests import GUESTS, short
from nodes import NodeEnded, Refused, problem_of

PASSES, FAILS, NEEDS_RUNNER, NOT_GRANTED = "passes", "fails", "needs a runner", "not granted"
RUN_SECONDS_MAX = 120
WORLDS = ("wasm32-wasip1", "wasm32-wasip3")


class Mismatch(Exception):
    """A difference from what a test's JSON wants."""


class Case:
    """A test: its module, and what its JSON says, in the form of operations."""

    def __init__(self, language, world, path):
        self.name = os.path.basename(path).removesuffix(".wasm")
        self.suite = f"{language}, {world}"
        self.key = f"{language}/{world}/{self.name}"
        self.path, self.world = path, world
        spec = {}
        if os.path.exists(path.removesuffix(".wasm") + ".json"):
            with open(path.removesuffix(".wasm") + ".json") as file:
                spec = json.load(file)
        self.operations = spec.get("operations") or operations_of(spec)
        self.answers_requests = spec.get("world") == "wasi:http/service"
        self.servers = spec.get("servers", [])
        self.proposals = spec.get("proposals", [])
        run = next(each for each in self.operations if each["type"] == "run")
        self.args, self.env = run.get("args", []), run.get("env", {})
        self.root = os.path.join(os.path.dirname(path), run["root"]) if run.get("root") else None
        written = [each["payload"] for each in self.operations if each["type"] == "write"]
        self.stdin = "".join(written) if written else None
        self.exit_code = next((each.get("exit_code", 0) for each in self.operations if each["type"] == "wait"), 0)

    def not_granted(self):
        """What the test needs and a node never grants."""
        if "sockets" in self.proposals or self.name.startswith("sockets-"):
            return "sockets"
        return None

    def streams(self):
        return [(each.get("id", "stdout"), each.get("payload", "")) for each in self.operations if each["type"] == "read"]

    def requests(self):
        return [each for each in self.operations if each["type"] == "request"]

    def function_name(self):
        return "wasi-" + re.sub(r"[^a-z0-9]+", "-", self.key.lower())


def operations_of(spec):
    """The older form, without operations."""
    run = {"type": "run", "args": spec.get("args", []), "env": spec.get("env", {}), "root": spec.get("root")}
    reads = [{"type": "read", "id": each, "payload": spec[each]} for each in ("stdout", "stderr") if spec.get(each)]
    return [run, *reads, {"type": "wait", "exit_code": spec.get("exit_code", 0)}]


def cases(folder):
    """All tests below a checkout of the suite's prebuilt branch."""
    found = []
    tests = os.path.join(folder, "tests")
    for language in sorted(os.listdir(tests)) if os.path.isdir(tests) else []:
        for world in WORLDS:
            at = os.path.join(tests, language, "testsuite", world)
            for name in sorted(os.listdir(at)) if os.path.isdir(at) else []:
                if name.endswith(".wasm"):
                    found.append(Case(language, world, os.path.join(at, name)))
    if not found:
        raise SystemExit(f"{folder} has no prebuilt tests; it should be a checkout of the suite's branch prod/testsuite-base")
    return found


def known():
    with open(os.path.join(GUESTS, "testsuite.json")) as file:
        return json.load(file)


def judged(node, case, options, facts):
    """A row of the table."""
    needed = case.not_granted()
    own_environment = facts["runner"].get(case.key)
    row = {"name": case.name, "suite": case.suite, "key": case.key, "via": "node", "sentence": ""}
    if needed:
        in_runner = options.runner and needed in options.runner_grants
    else:
        in_runner = bool(case.root or own_environment)
    if in_runner and not options.runner:
        return row | {"outcome": NEEDS_RUNNER, "via": "", "sentence": own_environment or "a directory that it may write to"}
    if in_runner:
        row["via"] = "runner"
    try:
        with servers.running(case.servers) as variables:
            if in_runner:
                run_in_runner(case, options.runner, needed, variables)
            else:
                run_on_node(case, node, variables)
        return row | {"outcome": PASSES}
    except (Mismatch, Refused, NodeEnded) as fault:
        outcome = NOT_GRANTED if needed and not in_runner else FAILS
        return row | {"outcome": outcome, "sentence": short(str(fault))}


# === on a node ===

def run_on_node(case, node, variables):
    name = case.function_name()
    with open(case.path, "rb") as file:
        code = file.read()
    members = {"Env": {**case.env, **variables}}
    if "http" in case.proposals:
        # The servers of the test; one without any may ask whom it likes.
        members["AllowHosts"] = [f"http://{address}" for address in variables.values()] or ["http://*"]
    if not case.answers_requests:
        # Its input is the body of a request where it reads one.
        members |= {"Stdin": "none" if case.stdin is None else "body", "Stdout": "raw"}
    if case.args:
        members["Arguments"] = [each.replace("{", "{{").replace("}", "}}") for each in case.args]
    node.deploy(name, code, members)
    try:
        if case.answers_requests:
            compare_responses(case, [ask(node, name, each) for each in case.requests()])
        else:
            compare_run(case, *program(node, name, case))
    finally:
        node.delete(name)


def ask(node, name, request):
    body = request.get("body")
    status, headers, text = node.request(request.get("method", "GET"), f"/fn/{name}{request.get('path', '/')}",
                                         body.encode() if body else None, request.get("headers", {}).items())
    return {"status": status, "headers": {key.lower(): value for key, value in headers.items()},
            "body": text.decode(errors="replace")}


def program(node, name, case):
    """Exit code, stdout and stderr of a program; the exit code is a sentence if it did not exit."""
    if case.stdin is None:
        try:
            reply = node.invoke(name, {})
        except Refused as refused:
            return exit_of(refused), "", refused.output
        return 0, base64.b64decode(json.loads(reply["Result"])["base64"]).decode(errors="replace"), reply.get("Output", "")
    status, headers, text = node.request("POST", f"/fn/{name}", case.stdin.encode())
    if status != 200:
        refused = Refused(status, json.loads(text))
        return exit_of(refused), "", refused.output
    return 0, text.decode(errors="replace"), node.log(headers.get("X-Invocation-Id", headers.get("X-Request-Id", "")))


def exit_of(refused):
    found = re.search(r"exited with code (\d+)", refused.sentence)
    return int(found.group(1)) if found else refused.sentence


# === in a runner ===

def run_in_runner(case, runner, needed, variables):
    with tempfile.TemporaryDirectory() as scratch:
        command = [*shlex.split(runner), case.path]
        if case.root:
            # Each test begins with the directory as the suite has it.
            shutil.copytree(case.root, os.path.join(scratch, "root"))
            command += ["--dir", f"/={os.path.join(scratch, 'root')}"]
        for name, value in {**case.env, **variables}.items():
            command += ["--env", f"{name}={value}"]
        if case.stdin is not None:
            command += ["--stdin", case.stdin]
        if needed:
            command += ["--grant", needed]
        for request in case.requests():
            command += ["--request", json.dumps({key: request[key] for key in ("method", "path", "headers", "body") if key in request})]
        for each in case.args:
            command += ["--arg", each]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=RUN_SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            raise Mismatch(f"the runner took longer than {RUN_SECONDS_MAX} s") from None
        except OSError as error:
            raise SystemExit(f"the runner does not start: {error}") from error
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise Mismatch(f"the runner ended with {done.returncode}: {done.stderr[-200:] or done.stdout[-200:]}") from None
    if case.answers_requests:
        compare_responses(case, result.get("responses", []))
    else:
        compare_run(case, result.get("exit_code"), result.get("stdout", ""), result.get("stderr", ""))


# === comparing ===

def compare_run(case, exit_code, stdout, stderr):
    if exit_code != case.exit_code:
        raise Mismatch(f"exit code {exit_code} instead of {case.exit_code}: {(stderr or stdout)[-300:]}"
                       if isinstance(exit_code, int) else str(exit_code))
    for name, wanted in case.streams():
        found = stdout if name == "stdout" else stderr
        # A stream is read only as far as the test reads it.
        if found[:len(wanted)] != wanted:
            raise Mismatch(f"{name} begins with {found[:len(wanted)]!r} instead of {wanted!r}")


def compare_responses(case, responses):
    requests = case.requests()
    if len(responses) != len(requests):
        raise Mismatch(f"{len(responses)} responses to {len(requests)} requests")
    for request, found in zip(requests, responses):
        wanted = request.get("response", {})
        what = f"{request.get('method', 'GET')} {request.get('path', '/')}"
        if found["status"] != wanted.get("status", 200):
            raise Mismatch(f"{what}: status {found['status']} instead of {wanted.get('status', 200)}: {said(found['body'])}")
        for name, value in wanted.get("headers", {}).items():
            if found["headers"].get(name) != value:
                raise Mismatch(f"{what}: header {name} is {found['headers'].get(name)!r} instead of {value!r}")
        if found["body"] != wanted.get("body", ""):
            raise Mismatch(f"{what}: body {found['body'][:100]!r} instead of {wanted.get('body', '')!r}")


def said(body):
    """The words of a problem document, or the body."""
    return Refused(0, problem_of(body.encode())).sentence


def worse(row, facts):
    """The way in which a row is worse than expected; nothing if it is as good."""
    if row["outcome"] in (PASSES, NEEDS_RUNNER, NOT_GRANTED):
        return None
    if row["key"] in facts["fails"]:
        return None
    return f"{row['key']} fails: {row['sentence']}"
