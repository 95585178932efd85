"""What only one of the languages has: forms of handlers, ways to print, threads, event loops, kinds of modules."""

import unittest

from support import Agent, AgentInImage, docker_has, wait_for


class OneRuntime:
    """Starts agents of one runtime; the classes below say which and where."""

    runtime = None
    kind = Agent

    def bind(self, source, handler="", path=None, packages=None, **more):
        self.an_agent = self.kind(self.runtime, packages=packages)
        self.addCleanup(self.an_agent.close)
        connection = self.an_agent.connect()
        files = source if isinstance(source, dict) else {path or ("main.py" if self.runtime == "python" else "main.js"): source}
        self.answer = connection.bind(files, handler, **more)
        return connection

    def bound(self, *arguments, **more):
        connection = self.bind(*arguments, **more)
        self.assertEqual(self.answer.status, 200, self.answer)
        return connection

    def assert_result(self, answer, value):
        self.assertEqual((answer.status, answer.outcome), (200, "result"), answer)
        self.assertEqual(answer.json, value)


class Python(OneRuntime):
    runtime = "python"

    def test_forms_of_handlers(self):
        forms = {
            "def handler(params, *, context): return [params, context['memory_mb']]": [1, 0],
            "def handler(params, more=2, ctx=None): return [params, more, ctx['memory_mb']]": [1, 2, 0],
            "def handler(*arguments): return [arguments[0], arguments[1]['memory_mb']]": [1, 0],
            "def handler(params, **more): return [params, more]": [1, {}],
            "class A:\n def __call__(self, ctx, p): return [p, ctx['memory_mb']]\nhandler = A()": [1, 0],
            "class A:\n def f(self, ctx, p): return [p, ctx['memory_mb']]\nhandler = A().f": [1, 0],
            "import functools\ndef f(a, context, p): return [a, p, context['memory_mb']]\nhandler = functools.partial(f, 7)": [7, 1, 0],
            "handler = lambda params: [params]": [1],
            "import functools\ndef d(f):\n @functools.wraps(f)\n def g(*a): return f(*a)\n return g\n"
            "@d\ndef handler(ctx, p): return [p, ctx['memory_mb']]": [1, 0],
            "handler = str": "1",
            "async def f(p): return p\ndef handler(params): return f(params)": 1,
            "class A:\n def __await__(self):\n  yield from ()\n  return 5\ndef handler(params): return A()": 5,
        }
        for source, value in forms.items():
            with self.subTest(source):
                self.assert_result(self.bound(source).invoke(1), value)

    def test_dotted_packages(self):
        files = {"pkg/__init__.py": "", "pkg/sub/__init__.py": "", "pkg/sub/mod.py": "from ..side import value\ndef run(p): return value",
                 "pkg/side.py": "value = 'side'", "other.txt": ""}
        self.assert_result(self.bound(files, "pkg.sub.mod.run").invoke(), "side")
        self.assert_result(self.bound({"pkg/__init__.py": "def run(p): return 'package'"}, "pkg.run").invoke(), "package")
        self.assert_result(self.bound({"my-func.py": "def handler(p): return __name__"}, "my-func").invoke(), "my-func")

    def test_a_module_named_like_one_of_the_library(self):
        source = "import sys\ndef handler(params): return sys.modules['json'].loads('[1]')"
        self.assert_result(self.bound({"json.py": source}, "json.handler").invoke(), [1])

    def test_packages_stand_behind_the_library(self):
        packages = {"python/logging.py": "raise RuntimeError('not this one')", "python/one.pth": "import sys; sys.from_pth = 1\n"}
        source = "import logging, sys\ndef handler(p): return [hasattr(logging, 'getLogger'), sys.from_pth]"
        self.assert_result(self.bound(source, packages=packages).invoke(), [True, 1])

    def test_results_without_a_json_number(self):
        for value in ("float('nan')", "[float('inf')]", "{(1, 2): 3}", "{1, 2}", "b'bytes'", "(x for x in [])"):
            self.assertEqual(self.bound(f"def handler(params): return {value}").invoke().outcome, "bad-output", value)
        self.assert_result(self.bound("def handler(params): return {1: (2, None), 'x': 10 ** 40}").invoke(), {"1": [2, None], "x": 10 ** 40})

    def test_every_way_to_print(self):
        source = """
import logging, sys, warnings, threading
logging.basicConfig(level=logging.INFO, format='%(message)s')
handler_made_early = logging.StreamHandler(sys.stdout)
early = logging.getLogger('early')
early.addHandler(handler_made_early)
early.propagate = False
from sys import stdout
def handler(params):
    logging.info('logging')
    early.info('early')
    stdout.write('stdout\\n')
    sys.stdout.buffer.write(b'buffer\\n')
    sys.stderr.buffer.write(memoryview(b'view\\n'))
    print('flushed', flush=True)
    sys.stdout.writelines(['lines\\n'])
    thread = threading.Thread(target=print, args=('thread',))
    thread.start()
    thread.join()
    print('half', '\\ud83d')
    sys.stdout.close()
    print('after close', sys.stdout.isatty(), sys.stdout.fileno(), sys.stderr.fileno())
"""
        expected = "logging\nearly\nstdout\nbuffer\nview\nflushed\nlines\nthread\nhalf \\ud83d\nafter close False 1 2\n"
        for concurrency in (1, 4):
            connection = self.bound(source, concurrency=concurrency)
            for _ in range(2):
                self.assertEqual(connection.invoke().log, expected)

    def test_output_outside_of_invocations_goes_to_the_containers_log(self):
        source = """
import os, subprocess, sys, threading
wait = threading.Event()
def late():
    wait.wait()
    print('late thread')
    os._exit(3)
def handler(params):
    if params: wait.set(); return
    subprocess.run(['/bin/echo', 'other process'], stdout=sys.stdout)
    threading.Thread(target=late).start()
"""
        connection = self.bound(source, concurrency=2)
        self.assertEqual(connection.invoke().log, "")
        # Its exit would end calls of others: it is told to the node, and the process goes on.
        self.assertEqual(connection.invoke(True).outcome, "result")
        expected = "other process\nlate thread\nos._exit was called after the answer\n\x1ex\n"
        wait_for("the end of the thread", lambda: self.an_agent.own_log() == expected)

    def test_a_forked_process_does_not_answer(self):
        source = """
import os, multiprocessing
def child(): print('from the child')
def handler(params):
    process = multiprocessing.get_context('fork').Process(target=child)
    process.start()
    process.join()
    print('from the parent')
    return process.exitcode
"""
        answer = self.bound(source).invoke()
        self.assert_result(answer, 0)
        self.assertEqual(answer.log, "from the parent\n")
        self.assertEqual(self.an_agent.own_log(), "from the child\n")

    def test_finalizers_that_print(self):
        source = """
class Loud:
    def __init__(self): self.me = self
    def __del__(self): print('gone')
def handler(params):
    for _ in range(20000):
        Loud()
        print('made')
"""
        self.assertEqual(self.bound(source, log_bytes_max=10_000_000).invoke().outcome, "result")

    def test_event_loop_is_the_same_from_call_to_call(self):
        source = """
import asyncio
loop = None
async def handler(params):
    global loop
    same, loop = loop is asyncio.get_running_loop(), asyncio.get_running_loop()
    async with asyncio.timeout(1) if hasattr(asyncio, 'timeout') else asyncio.Lock():
        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(10)))
    return [same, await asyncio.to_thread(lambda: 5)]
"""
        connection = self.bound(source)
        self.assert_result(connection.invoke(), [False, 5])
        # On another connection and so in another thread, too.
        self.assert_result(self.an_agent.connect().invoke(), [True, 5])

    def test_asyncio_run_within_a_plain_handler(self):
        self.assert_result(self.bound("import asyncio\nasync def f(): return 3\ndef handler(p): return asyncio.run(f())").invoke(), 3)

    def test_the_main_thread_loads_and_calls(self):
        source = """
import asyncio, signal, sqlite3, threading
loop = asyncio.get_event_loop_policy().get_event_loop()
database = sqlite3.connect(':memory:')
signal.signal(signal.SIGUSR1, lambda *_: None)
async def double(n): return 2 * n
def handler(params):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    results = [loop.run_until_complete(double(1)), database.execute('select 3').fetchone()[0]]
    results.append(asyncio.get_event_loop().run_until_complete(double(2)))
    if params: results.append(asyncio.run(double(3)))
    return [*results, threading.current_thread() is threading.main_thread()]
"""
        connection = self.bound(source)
        for params, value in ((False, [2, 3, 4, True]), (True, [2, 3, 4, 6, True]), (False, [2, 3, 4, True])):
            self.assert_result(connection.invoke(params), value)
        # On another connection, while the first one is idle; a request that comes meanwhile waits.
        self.assert_result(self.an_agent.connect().invoke(True), [2, 3, 4, 6, True])

    def test_an_async_handler_runs_on_the_loop_that_was_there_at_load(self):
        source = """
import asyncio
loop = asyncio.get_event_loop_policy().get_event_loop()
waiting = asyncio.Lock()
async def handler(params):
    async with waiting: return loop is asyncio.get_running_loop()
"""
        connection = self.bound(source)
        for _ in range(2):
            self.assert_result(connection.invoke(), True)

    def test_several_at_once_have_threads_and_load_in_the_main_one(self):
        source = """
import signal, threading
signal.signal(signal.SIGUSR1, lambda *_: None)
loaded_in_main = threading.current_thread() is threading.main_thread()
def handler(params): return [loaded_in_main, threading.current_thread() is threading.main_thread()]
"""
        connection = self.bound(source, concurrency=2)
        for each in (connection, self.an_agent.connect(), connection):
            self.assert_result(each.invoke(), [True, False])

    def test_signals_meet_the_handler_or_nobody(self):
        source = """
import os, signal, threading, time
def late(*_): raise TimeoutError('too late')
# A shell starts programs in the background with this one ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, late)
def handler(params):
    if params == 'interrupt': signal.raise_signal(signal.SIGINT)
    if params == 'alarm': signal.setitimer(signal.ITIMER_REAL, 0.1)
    if params == 'later': signal.setitimer(signal.ITIMER_REAL, 0.05); return 'set'
    time.sleep(10 if params else 0)
    return 'done'
"""
        connection = self.bound(source)
        for params, name in (("interrupt", "KeyboardInterrupt"), ("alarm", "TimeoutError")):
            answer = connection.invoke(params)
            self.assertEqual(answer.outcome, "error", answer)
            self.assertEqual(answer.json["error"], name)
        # While nothing is called: it is logged, and the next call works.
        self.assert_result(connection.invoke("later"), "set")
        wait_for("the alarm in the log", lambda: "TimeoutError: too late" in self.an_agent.own_log())
        self.assert_result(connection.invoke(), "done")

    def test_exceptions_with_causes_and_odd_ones(self):
        source = """
class Odd(Exception):
    def __str__(self): raise RuntimeError('no words')
def handler(params):
    if params == 1: raise Odd()
    if params == 2: raise KeyboardInterrupt('stop')
    if params == 3: int('x', 99)
    if params == 4: raise ExceptionGroup('both', [ValueError(1), TypeError(2)])
    try: {}['k']
    except KeyError as error: raise ValueError('outer') from error
"""
        connection = self.bound(source)
        told = connection.invoke(0).json
        self.assertEqual((told["error"], told["message"]), ("ValueError", "outer"))
        self.assertIn("KeyError: 'k'", told["stack"])
        self.assertIn("direct cause", told["stack"])
        for params, name in ((1, "Odd"), (2, "KeyboardInterrupt"), (3, "ValueError"), (4, None)):
            answer = connection.invoke(params)
            self.assertEqual(answer.outcome, "error")
            self.assertIn(answer.json["error"], (name,) if name else ("ExceptionGroup", "NameError"))

    def test_exit_codes(self):
        for asked, code in (("sys.exit()", 0), ("sys.exit(300)", 44), ("sys.exit('why')", 1), ("exit(4)", 4), ("os._exit(5)", 5)):
            connection = self.bound(f"import sys, os\ndef handler(params): {asked}")
            with self.assertRaises(ConnectionError):
                connection.invoke()
            self.assertEqual(self.an_agent.wait_for_end(), code, asked)
        self.assertIn("why", self.bind("import sys\nsys.exit('why')") and self.answer.json["message"])
        self.assertEqual((self.answer.status, self.answer.json["error"]), (422, "SystemExit"))

    def test_time_zone_variable(self):
        source = "import time\ndef handler(params): return time.strftime('%z', time.localtime(0))"
        self.assert_result(self.bound(source, env={"TZ": "XYZ-05:30"}).invoke(), "+0530")

    def test_the_agents_own_things_are_out_of_sight(self):
        source = "import sys\ndef handler(params): return [sys.argv[1:], [p for p in sys.path if 'runtimes' in p or 'dist-packages' in p]]"
        self.assert_result(self.bound(source).invoke(), [[], []])


class Nodejs(OneRuntime):
    runtime = "nodejs"

    def test_forms_of_handlers(self):
        forms = {
            "module.exports = (params) => [params];": [1],
            "module.exports = function (ctx, params) { return [params, ctx.memory_mb]; };": [1, 0],
            "exports.default = (params) => [params];": [1],
            "exports.handler = params => [params];": [1],
            "exports.handler = async ctx => [ctx.memory_mb];": [0],
            "exports.handler = async function named(ctx, params) { return [params, ctx.memory_mb]; };": [1, 0],
            "exports.handler = (/* the (context) */ context /* it */, p) => [p, context.memory_mb];": [1, 0],
            "exports.handler = (params = {}, context) => [params, context.memory_mb];": [1, 0],
            "exports.handler = (context = {}, params) => [params, context.memory_mb];": [1, 0],
            "module.exports = { handler(ctx, params) { return [params, ctx.memory_mb, this === undefined || this === globalThis]; } };": [1, 0, True],
            "exports.handler = (...all) => [all[0], all[1].memory_mb];": [1, 0],
            "exports.handler = ({ toFixed }, { memory_mb }) => [typeof toFixed, memory_mb];": ["function", 0],
            "exports.handler = String;": "1",
            "exports.handler = (p) => ({ then(done) { setTimeout(done, 1, p); } });": 1,
            "exports.handler = (p) => new Promise((done) => setImmediate(done, p));": 1,
            "exports.handler = (contextual, p) => [contextual, p.memory_mb];": [1, 0],
        }
        for source, value in forms.items():
            with self.subTest(source):
                self.assert_result(self.bound(source).invoke(1), value)

    def test_names_of_files_and_functions(self):
        source = "exports.run = () => 'run'; exports.handler = () => 'handler';"
        files = {"hello.js": source, "a.b.js": source, "src/deep.cjs": source, "esm.mjs": "export const run = () => 'run'; export default () => 'default';",
                 "other.js": "throw new Error('not asked for');"}
        expected = {"hello": "handler", "hello.js": "handler", "hello.run": "run", "hello.js.run": "run", "a.b": "handler", "a.b.run": "run",
                    "src/deep": "handler", "src/deep.cjs": "handler", "src/deep.run": "run", "esm": "default", "esm.mjs.run": "run"}
        for handler, value in expected.items():
            with self.subTest(handler):
                self.assert_result(self.bound(files, handler).invoke(), value)

    def test_kinds_of_modules(self):
        package = '{"type": "module", "main": "./lib"}'
        cases = [
            {"main.mjs": "import fs from 'node:fs'; export const handler = () => typeof fs.readFileSync;"},
            {"main.mjs": "import { helper } from './helper.js'; export default () => helper();",
             "helper.js": "exports.helper = () => 'function';"},
            {"package.json": package, "lib/index.js": "import './side.js'; export default () => globalThis.side;", "lib/side.js": "globalThis.side = 'function';"},
            {"package.json": '{"main": "src/start"}', "src/start.js": "module.exports = () => 'function';", "index.js": "throw 1"},
            {"package.json": '{"main": 5}', "index.js": "module.exports = () => 'function';"},
            {"main.mjs": "const late = await Promise.resolve('function'); export default () => late;"},
            {"main.js": "const text = `\nimport nothing\n`; module.exports = () => typeof require;"},
            {"main.js": "exports.__esModule = true; exports.default = { handler: () => 'function' };"},
            {"main.js": "module.exports = async () => typeof (await import('./other.mjs')).default;", "other.mjs": "export default () => 1;"},
        ]
        for files in cases:
            with self.subTest(files):
                handler = "main" if "main.js" in files or "main.mjs" in files else ""
                connection = self.bound(files, handler)
                self.assertEqual(self.answer.json["log"], "")
                self.assert_result(connection.invoke(), "function")

    def test_module_syntax_without_a_package(self):
        if self.kind is Agent and int(self.version().split(".")[0]) < 20:
            self.skipTest("this Node.js knows ES modules only by their extension or package.json")
        connection = self.bound("import os from 'node:os';\nexport function handler(params) { return typeof os.cpus; }")
        self.assertEqual(self.answer.json["log"], "")
        self.assert_result(connection.invoke(), "function")

    def version(self):
        with Agent("nodejs") as agent:
            return agent.connect().request("GET", "/health").json["version"]

    def test_es_module_packages_of_the_layer(self):
        packages = {"node_modules/esm-only/package.json": '{"type": "module", "exports": "./i.js"}', "node_modules/esm-only/i.js": "export default 4;"}
        self.assert_result(self.bound({"main.mjs": "import four from 'esm-only'; export default () => four;"}, packages=packages).invoke(), 4)

    def test_results(self):
        for source, text in (("undefined", b"null"), ("NaN", b"null"), ("new Date(0)", b'"1970-01-01T00:00:00.000Z"'), ("({ a: undefined })", b"{}")):
            self.assertEqual(self.bound(f"exports.handler = () => {source};").invoke().raw_result, text)
        for source in ("() => 1", "Symbol()", "({ toJSON() { throw new Error('no'); } })", "[1n]"):
            self.assertEqual(self.bound(f"exports.handler = () => {source};").invoke().outcome, "bad-output", source)

    def test_every_way_to_print(self):
        source = """
const { log } = console;
const { Console } = require('console');
const own = new Console(process.stdout);
const write = (text, ...more) => new Promise((done) => process.stdout.write(text, ...more, done));
exports.handler = async () => {
  log('log');
  console.error('error');
  console.table([{ a: 1 }]);
  own.log('own');
  console.group('group'); console.info('inside'); console.groupEnd();
  await write('callback\\n');
  await write('bGF0aW4K', 'base64');
  process.stderr.write(new Uint8Array([98, 10]));
  await new Promise((done) => require('stream').Readable.from(['piped\\n']).on('end', done).pipe(process.stdout));
};
"""
        expected = ("log\nerror\n┌─────────┬───┐\n│ (index) │ a │\n├─────────┼───┤\n│ 0       │ 1 │\n└─────────┴───┘\nown\ngroup\n  inside\n"
                    "callback\nlatin\nb\npiped\n")
        for concurrency in (1, 4):
            connection = self.bound(source, concurrency=concurrency)
            for _ in range(2):
                self.assertEqual(connection.invoke().log, expected)

    def test_output_outside_of_invocations_goes_to_the_containers_log(self):
        source = """
exports.handler = (params) => {
  if (params) process.exit(3);
  require('child_process').execFileSync('/bin/echo', ['other process'], { stdio: 'inherit' });
  setTimeout(() => { console.log('late'); exports.done = true; }, 5);
};
exports.wait = 1;
"""
        connection = self.bound(source, concurrency=2)
        self.assertEqual(connection.invoke().log, "")
        import time
        end = time.monotonic() + 10
        while "late" not in self.an_agent.own_log() and time.monotonic() < end:
            time.sleep(0.01)
        with self.assertRaises(ConnectionError):
            connection.invoke(True)
        self.assertEqual(self.an_agent.own_log(), "other process\nlate\n")

    def test_what_nobody_catches_fails_its_own_invocation(self):
        source = """
exports.handler = async (params) => {
  if (params === 'throw') setTimeout(() => { throw new RangeError('from a timer'); }, 5);
  if (params === 'reject') setTimeout(() => { Promise.reject(new RangeError('from a promise')); }, 5);
  if (params === 'odd') setTimeout(() => { throw null; }, 5);
  await new Promise((done) => setTimeout(done, params === 'good' ? 50 : 10000));
  return 'good';
};
"""
        for concurrency in (1, 4):
            connection = self.bound(source, concurrency=concurrency)
            for params, message in (("throw", "from a timer"), ("reject", "from a promise"), ("odd", "null")):
                answer = connection.invoke(params)
                self.assertEqual((answer.outcome, answer.json["message"]), ("error", message))
            self.assert_result(connection.invoke("good"), "good")
        # At the same time as another one, which goes on.
        other = self.an_agent.connect()
        other.send(b'POST /invoke HTTP/1.1\r\ncontent-length: 6\r\n\r\n"good"')
        self.assertEqual(connection.invoke("throw").json["message"], "from a timer")
        self.assert_result(other.read(), "good")

    def test_what_fails_outside_of_invocations_is_logged(self):
        source = "exports.handler = () => { setTimeout(() => { throw new Error('too late'); }, 5); return 1; };"
        connection = self.bound(source)
        self.assert_result(connection.invoke(), 1)
        import time
        end = time.monotonic() + 10
        while "too late" not in self.an_agent.own_log() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertIn("not caught: Error: too late", self.an_agent.own_log())
        self.assert_result(connection.invoke(), 1)

    def test_odd_things_thrown(self):
        source = """
const evil = { get name() { throw 1; }, get message() { throw 2; } };
const odd = [null, undefined, 'text', 5, { a: 1 }, evil, Object.assign(new Error('m'), { name: 'Custom' }), Symbol('s')];
exports.handler = (index) => { throw odd[index]; };
"""
        connection = self.bound(source)
        told = [connection.invoke(index).json for index in range(8)]
        self.assertEqual([each["message"] for each in told[:5]], ["null", "undefined", "text", "5", '{"a":1}'])
        self.assertEqual(told[6]["error"], "Custom")

    def test_children_and_workers(self):
        files = {"main.js": """
const { fork, execFileSync } = require('child_process');
const { Worker } = require('worker_threads');
exports.handler = async () => [
  await new Promise((done) => fork('./child.js').on('message', done)),
  await new Promise((done, fail) => new Worker('./worker.js').on('message', done).on('error', fail)),
  execFileSync(process.execPath, ['-p', '1 + 1']).toString(),
  process.argv.slice(2), typeof process.send,
];""", "child.js": "process.send('child');", "worker.js": "require('worker_threads').parentPort.postMessage('worker');"}
        self.assert_result(self.bound(files, "main").invoke(), ["child", "worker", "2\n", [], "undefined"])

    def test_the_platform_is_whole(self):
        source = """
exports.handler = async () => [
  require('crypto').createHash('md5').update('x').digest('hex'), await fetch('http://127.0.0.1:1/').catch((e) => e.name),
  new Intl.NumberFormat('de').format(1234.5), 'é'.normalize('NFD').length, typeof WebAssembly.compile, typeof structuredClone,
  require('zlib').gunzipSync(require('zlib').gzipSync('zip')).toString(), new Date(0).getHours(), process.env.TZ, require('os').EOL,
  new (require('async_hooks').AsyncLocalStorage)().run(7, () => 7), require.resolve('fs'), process.execArgv,
];"""
        self.assert_result(self.bound(source, env={"TZ": "Asia/Tokyo"}).invoke(), [
            "9dd4e461268c8034f5c8564e155c67a6", "TypeError", "1.234,5", 2, "function", "function", "zip", 9, "Asia/Tokyo", "\n", 7, "fs", []])

    def test_two_agents_have_different_random_numbers(self):
        source = "exports.handler = () => [Math.random(), require('crypto').randomUUID()];"
        first, second = self.bound(source).invoke().json, self.bound(source).invoke().json
        self.assertNotEqual(first[0], second[0])
        self.assertNotEqual(first[1], second[1])


class PythonProcess(Python, unittest.TestCase):
    pass


class NodejsProcess(Nodejs, unittest.TestCase):
    pass


@unittest.skipUnless(docker_has("serverledge-python:latest"), "there is no Docker, or no image serverledge-python")
class PythonImage(Python, unittest.TestCase):
    kind = AgentInImage


@unittest.skipUnless(docker_has("serverledge-nodejs:latest"), "there is no Docker, or no image serverledge-nodejs")
class NodejsImage(Nodejs, unittest.TestCase):
    kind = AgentInImage

    def test_the_container_alone_limits_memory(self):
        source = """
const kept = [];
exports.handler = () => {
  // Garbage that is not young, twenty times as much as there is room for.
  for (let number = 0; number < 8_000_000; number++) kept[number % 200_000] = { number, text: `${number}`, list: [number] };
  return require('v8').getHeapStatistics().heap_size_limit > 2 ** 34;
};"""
        connection = self.bound(source, memory_mb=256)
        self.assert_result(connection.invoke(), True)


if __name__ == "__main__":
    unittest.main()
