"""What functions print and when, and what goes on after an answer: output, failures and exits that come late change nobody's answer."""

import unittest

from support import Agent, AgentInImage, docker_has, wait_for

MARK = "\x1e"

LATE_NODEJS = """
const { setTimeout: pause } = require('timers/promises');
const EventEmitter = require('events');
console.log('loading');
const ways = {
  rejection: async () => { await pause(50); console.log('late line'); throw new Error('late failure'); },
  timer: () => { setTimeout(() => { console.log('late line'); throw new Error('late failure'); }, 50); },
  event: () => { const it = new EventEmitter(); setTimeout(() => { console.log('late line'); it.emit('error', new Error('late failure')); }, 50); },
  exit: () => { setTimeout(() => { console.log('late line'); process.exit(3); }, 50); },
};
exports.handler = async ({ way, wait = 0 }) => {
  console.log('in time');
  ways[way]?.();
  await pause(wait);
  return 'done';
};
"""

LATE_PYTHON = """
import asyncio, os, sys, threading, time
print('loading')

async def task(way):
    await asyncio.sleep(0.05)
    print('late line')
    if way == 'exit': sys.exit(3)
    if way == 'stop': asyncio.get_running_loop().stop()
    raise ValueError('late failure')

def thread(way):
    time.sleep(0.05)
    print('late line')
    if way == 'thread_exit': os._exit(3)
    raise ValueError('late failure')

tasks = []

async def handler(params):
    print('in time')
    way = params.get('way')
    if way in ('rejection', 'exit', 'stop'):
        # Kept: what came of it is found at the end of the process alone.
        tasks.append(asyncio.ensure_future(task(way)))
    elif way:
        threading.Thread(target=thread, args=(way,)).start()
    await asyncio.sleep(params.get('wait', 0) / 1000)
    return 'done'
"""


class OneRuntime:
    """Starts agents of one runtime; the classes below say which and where."""

    runtime = None
    kind = Agent

    def bound(self, source, **more):
        self.an_agent = self.kind(self.runtime)
        self.addCleanup(self.an_agent.close)
        connection = self.an_agent.connect()
        answer = connection.bind({"main.py" if self.runtime == "python" else "main.js": source}, **more)
        self.assertEqual(answer.status, 200, answer)
        return connection

    def invoke(self, connection, who, **params):
        answer = connection.invoke(params, {"serverledge-invocation": f"id-of-{who}"})
        self.assertEqual((answer.outcome, answer.json), ("result", "done"), answer)
        self.assertEqual(answer.log, "in time\n")

    def own_log_with(self, text):
        wait_for(f"{text!r} in the container's own log", lambda: text in self.an_agent.own_log())
        return self.an_agent.own_log()

    def check_late(self, source, way, failure, retires):
        """With one call at a time as with several: nobody else is told, and the log says whose it was."""
        for concurrency in (1, 4):
            with self.subTest(way=way, concurrency=concurrency):
                connection = self.bound(source, concurrency=concurrency)
                self.invoke(connection, "ada", way=way)
                self.invoke(connection if concurrency == 1 else self.an_agent.connect(), "bob", wait=200)
                own = self.own_log_with(f"{MARK}lid-of-ada late line\n")
                if failure:
                    own = self.own_log_with(failure)
                    told = [line for line in own.split("\n") if failure in line]
                    self.assertTrue(all(line.startswith(f"{MARK}lid-of-ada ") for line in told), own)
                self.assertEqual(own.count(f"{MARK}x\n"), 1 if retires else 0, own)
                self.invoke(connection, "eve")

    def test_what_loading_prints_is_in_the_containers_log(self):
        self.bound(self.late)
        self.assertEqual(self.an_agent.own_log(), "loading\n")

    def test_lines_say_when_they_were_written(self):
        connection = self.bound(self.slow, log_times=True)
        answer = connection.invoke()
        self.assertEqual(answer.outcome, "result", answer)
        by_line = dict(zip(answer.log.split(), self.times_of_lines(answer)))
        self.assertEqual(sorted(by_line), ["a", "b", "c"])
        # Each was written between two looks at the clock, also while the function kept the process to itself.
        self.assertEqual([name for name in "abc" if not answer.json[name][0] <= by_line[name] <= answer.json[name][1]], [])

    def times_of_lines(self, answer):
        """Of the first byte of each line."""
        times, ended = [], True
        for when, piece in zip(answer.times, answer.pieces):
            for line in piece.decode().splitlines(keepends=True):
                if ended:
                    times.append(when)
                ended = line.endswith("\n")
        return times

    def test_the_end_of_much_output_keeps_its_times(self):
        answer = self.bound(self.much, log_times=True, log_bytes_max=1000).invoke()
        self.assertEqual(answer.outcome, "result", answer)
        self.assertEqual(len(answer.times), len(answer.pieces))
        self.assertEqual(answer.times, sorted(answer.times))
        self.assertTrue(answer.log.endswith("last\n"), answer)


class Python(OneRuntime):
    runtime = "python"
    late = LATE_PYTHON
    slow = """
import time
def now(): return time.time_ns() // 1_000_000
def handler(params):
    told = {}
    for name in 'abc':
        before = now(); print(name); told[name] = [before, now()]
        end = time.monotonic() + 0.02
        while time.monotonic() < end: pass
    return told
"""
    much = "def handler(params):\n for i in range(100000): print(i)\n print('last')\n"

    def test_late_failures_are_nobodys_answer(self):
        # Two of them end nothing in Python: a thread, and a task that nobody asks.
        self.check_late(LATE_PYTHON, "rejection", None, False)
        self.check_late(LATE_PYTHON, "stop", None, False)
        self.check_late(LATE_PYTHON, "thread", "late failure", False)

    def test_late_exits_are_nobodys_answer(self):
        self.check_late(LATE_PYTHON, "thread_exit", "os._exit was called after the answer", True)
        connection = self.bound(LATE_PYTHON)
        self.invoke(connection, "ada", way="exit")
        self.invoke(connection, "bob", wait=200)
        self.assertIn(f"{MARK}x\n", self.own_log_with(f"{MARK}lid-of-ada sys.exit was called after the answer\n"))
        self.invoke(connection, "eve")

    def test_pools_print_for_whoever_gave_them_work(self):
        source = """
from concurrent.futures import ThreadPoolExecutor
pool = None
def handler(params):
    global pool
    pool = pool or ThreadPoolExecutor(1)
    pool.submit(print, 'from the pool').result()
    pool.submit(print, 'from the pool').result()
"""
        connection = self.bound(source)
        for _ in range(3):
            self.assertEqual(connection.invoke().log, "from the pool\n" * 2)


class Nodejs(OneRuntime):
    runtime = "nodejs"
    late = LATE_NODEJS
    slow = """
exports.handler = () => {
  const told = {};
  for (const name of 'abc') {
    const before = Date.now(); console.log(name); told[name] = [before, Date.now()];
    for (const end = performance.now() + 20; performance.now() < end;);
  }
  return told;
};
"""
    much = "exports.handler = () => { for (let i = 0; i < 100000; i++) console.log(i); console.log('last'); };"

    def test_late_failures_are_nobodys_answer(self):
        for way in ("rejection", "timer", "event"):
            self.check_late(LATE_NODEJS, way, "late failure", True)

    def test_late_exits_are_nobodys_answer(self):
        self.check_late(LATE_NODEJS, "exit", "process.exit was called after the answer", True)

    def test_what_loading_leaves_behind_is_only_logged(self):
        source = """
setTimeout(() => { throw new Error('of loading'); }, 30);
exports.handler = () => new Promise((done) => setTimeout(done, 100, 'done'));
"""
        connection = self.bound(source)
        self.assertEqual(connection.invoke({}, {"serverledge-invocation": "id-of-ada"}).json, "done")
        own = self.own_log_with("not caught: Error: of loading")
        # It would come again with every new process.
        self.assertNotIn(MARK, own)

    def test_late_output_goes_line_by_line(self):
        source = """
exports.handler = () => {
  setTimeout(() => { process.stdout.write('a'); process.stdout.write('b\\nc\\nd'); process.stdout.write('e\\n'); }, 20);
};
"""
        self.bound(source).invoke({}, {"serverledge-invocation": "id"})
        own = self.own_log_with("de\n")
        self.assertEqual(own, "".join(f"{MARK}lid {line}\n" for line in ("ab", "c", "de")))


class PythonProcess(Python, unittest.TestCase):
    pass


class NodejsProcess(Nodejs, unittest.TestCase):
    pass


@unittest.skipUnless(docker_has("serverledge-python:latest"), "no image")
class PythonImage(Python, unittest.TestCase):
    kind = AgentInImage


@unittest.skipUnless(docker_has("serverledge-nodejs:latest"), "no image")
class NodejsImage(Nodejs, unittest.TestCase):
    kind = AgentInImage


if __name__ == "__main__":
    unittest.main()
