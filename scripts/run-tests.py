#!/usr/bin/env python3
"""Runs test programs, two at a time: most of them wait for others longer than they compute.

    cargo test --workspace --no-run --message-format=json-render-diagnostics … | run-tests.py

Reads what cargo says of the programs that it built. The output of each is shown when it has ended; the failed ones are
named at the end. The programs that use the machine's container engine take turns, and that with browsers runs alone.
"""

import json
import os
import subprocess
import sys
import threading
import time

AT_ONCE = 2
# Browsers give up where they get too little time: before the others, and alone.
ALONE = {"platform"}
# The longest first, so that none of them runs alone at the end.
FIRST = ["platform", "serverledge-executor-docker/main", "e2e", "cluster", "containers"]
TAKE_TURNS = {"serverledge-executor-docker/main", "containers"}


def programs(lines):
    """The test programs that cargo tells of: name, path and folder of the package."""
    found = []
    for line in lines:
        said = json.loads(line) if line.startswith("{") else {}
        if said.get("reason") == "build-finished" and not said["success"]:
            sys.exit(1)
        if said.get("reason") != "compiler-artifact" or not said.get("executable") or not said["profile"]["test"]:
            continue
        folder, target = os.path.dirname(said["manifest_path"]), said["target"]
        package = os.path.basename(folder)
        name = target["name"] if package == "tests" else f"{package}/{target['name']}"
        kind = target["kind"][0]
        found.append((name if kind == "test" else f"{name} ({kind})", said["executable"], folder))
    return sorted(found, key=lambda one: FIRST.index(one[0]) if one[0] in FIRST else len(FIRST))


class Run:
    """The programs that wait, and what became of the others."""

    def __init__(self, waiting):
        self.waiting, self.all, self.passed, self.failed = waiting, len(waiting), 0, []
        self.turn_taken = False
        self.changed = threading.Condition()

    def next(self):
        with self.changed:
            while self.waiting:
                for at, one in enumerate(self.waiting):
                    if one[0] in TAKE_TURNS and self.turn_taken:
                        continue
                    self.turn_taken = self.turn_taken or one[0] in TAKE_TURNS
                    return self.waiting.pop(at)
                self.changed.wait()
            return None

    def alone(self):
        """Runs those that go first and alone."""
        rest = [one for one in self.waiting if one[0] not in ALONE]
        self.waiting = [one for one in self.waiting if one[0] in ALONE]
        self.lane()
        self.waiting = rest

    def lane(self):
        while (one := self.next()) is not None:
            name, program, folder = one
            environment = {**os.environ, "CARGO_MANIFEST_DIR": folder}
            began = time.monotonic()
            done = subprocess.run(
                [program], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            with self.changed:
                if name in TAKE_TURNS:
                    self.turn_taken = False
                if done.returncode:
                    self.failed.append(name)
                else:
                    self.passed += 1
                self.changed.notify_all()
                sys.stdout.flush()
                sys.stdout.buffer.write(b"\n== %s: %.0f s ==\n" % (name.encode(), time.monotonic() - began) + done.stdout)
                sys.stdout.buffer.flush()


def main():
    run = Run(programs(sys.stdin))
    if not run.all:
        sys.exit("cargo told of no test programs")
    run.alone()
    lanes = [threading.Thread(target=run.lane) for _ in range(AT_ONCE)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    if run.failed:
        sys.exit(f"failed: {', '.join(sorted(run.failed))}")
    if run.passed != run.all:
        sys.exit(f"{run.all - run.passed} of {run.all} test programs were not run")
    print(f"{run.all} test programs passed")


if __name__ == "__main__":
    main()
