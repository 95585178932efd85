#!/usr/bin/env python3
"""Runs test programs, two at a time: most of them wait for others longer than they compute.

    cargo test --workspace --no-run --message-format=json-render-diagnostics … | run-tests.py

Reads what cargo says of the programs that it built. The output of each is shown when it has ended; the failed ones are
named at the end. The programs that use the machine's container engine take turns, and that with browsers runs alone.
A program that falls silent is ended after a time, and whoever ends this script sees what the running programs printed:
it names the tests that have been running for over a minute.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

AT_ONCE = 2
# Browsers give up where they get too little time: before the others, and alone.
ALONE = {"platform"}
# The longest first, so that none of them runs alone at the end.
FIRST = ["platform", "serverledge-executor-docker/main", "e2e", "cluster", "containers"]
TAKE_TURNS = {"serverledge-executor-docker/main", "containers"}
# A program prints a line for each test, the longest of which takes a minute and a half alone.
SILENCE_SECONDS_MAX = float(os.environ.get("SERVERLEDGE_TEST_SILENCE_SECONDS_MAX", 10 * 60))
# How often it is looked whether a program has printed something.
LOOK_SECONDS = 5


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
        self.running, self.hung = {}, []
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
            passed = self.run(*one)
            with self.changed:
                if one[0] in TAKE_TURNS:
                    self.turn_taken = False
                if passed:
                    self.passed += 1
                else:
                    self.failed.append(one[0])
                self.changed.notify_all()

    def run(self, name, program, folder):
        environment = {**os.environ, "CARGO_MANIFEST_DIR": folder}
        with tempfile.TemporaryFile() as output:
            began = time.monotonic()
            with subprocess.Popen(
                [program], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            ) as running:
                with self.changed:
                    self.running[name] = (running, began, output)
                how, stacks = ended(running, output)
            with self.changed:
                del self.running[name]
                show(name, began, output, how)
                for line in stacks:
                    print(line)
                for test in unfinished(output) if how else ():
                    self.hung.append(f"{name} {test}")
        return running.returncode == 0

    def interrupted(self, number, _frame):
        """Ends the programs that run, shows what they printed, and ends this script as the signal would have."""
        # Held until the end, so that no lane goes on with what was killed.
        with self.changed:
            for name, (program, began, output) in self.running.items():
                show(name, began, output, "was not finished")
                program.kill()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def ended(running, output):
    """Waits for the end of a program, and brings it about if it falls silent. Words for what was not usual, and where
    the threads of a program stood that hung."""
    length, heard = 0, time.monotonic()
    while True:
        try:
            running.wait(min(LOOK_SECONDS, SILENCE_SECONDS_MAX))
            return None if running.returncode in (0, 101) else f"ended with {running.returncode}", []
        except subprocess.TimeoutExpired:
            now = os.fstat(output.fileno()).st_size
            if now > length:
                length, heard = now, time.monotonic()
        if time.monotonic() - heard > SILENCE_SECONDS_MAX:
            stacks = stacks_of(running)
            running.kill()
            running.wait()
            return f"was ended after {SILENCE_SECONDS_MAX:.0f} s of silence", stacks


def stacks_of(running):
    """The functions in which the threads of a program are, if the machine has gdb."""
    command = ["gdb", "-p", str(running.pid), "-batch", "-ex", "thread apply all backtrace 40"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"no stacks of the program that hangs: {error}"]
    lines = done.stdout.decode(errors="replace").splitlines()
    # Runtimes are the same in all threads.
    return [line[:200] for line in lines if re.match(r"Thread |#", line) and not re.search(r" in (std|core|tokio|alloc|test)::", line)]


def unfinished(output):
    """The tests that had been running for over a minute and have no result."""
    printed = printed_by(output).decode(errors="replace")
    slow = re.findall(r"^test (\S+) has been running for over 60 seconds", printed, re.M)
    return [name for name in slow if not re.search(rf"^test {re.escape(name)} \.\.\. ", printed, re.M)]


def printed_by(output):
    # The program writes at the place that it shares with this process, so that place is left alone.
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)


def show(name, began, output, how):
    """Prints what a program printed."""
    title = f"{name}: {time.monotonic() - began:.0f} s" + (f", {how}" if how else "")
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\n== %s ==\n" % title.encode() + printed_by(output))
    sys.stdout.buffer.flush()


def main():
    run = Run(programs(sys.stdin))
    if not run.all:
        sys.exit("cargo told of no test programs")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, run.interrupted)
    run.alone()
    lanes = [threading.Thread(target=run.lane) for _ in range(AT_ONCE)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    for test in run.hung:
        print(f"came to no end: {test}")
    if run.failed:
        sys.exit(f"failed: {', '.join(sorted(run.failed))}")
    if run.passed != run.all:
        sys.exit(f"{run.all - run.passed} of {run.all} test programs were not run")
    print(f"{run.all} test programs passed")


if __name__ == "__main__":
    main()
