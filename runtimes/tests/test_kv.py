"""Key-value state, as the agents offer it: each agent against a socket on which a test plays the node with its stores."""

import json
import resource
import threading
import unittest

import test_calls
from support import ANSWER_SECONDS, Agent, AgentInImage, docker_has, request_bytes, wait_for
from test_calls import CAPABILITY, EXTENSIONS, OTHER, error, result

# The function of each test, in both languages, doing the same.
PYTHON = {
    "all": """
from serverledge import kv
def handler(params):
    other = kv.store('other')
    return [
        kv.get('missing'), kv.entry('missing'),
        kv.set('text', 'fünf'), kv.get('text'), kv.get('text', 'bytes') == 'fünf'.encode(),
        kv.set('bytes', b'\\x00\\xff'), list(kv.get('bytes', 'bytes')),
        kv.set('json', {'a': [1, None]}, ttl=1.5), kv.get('json', 'json'), kv.entry('json', 'json'),
        kv.set('empty', ''), kv.get('empty'),
        other.set('text', 7), other.get('text', 'json'), kv.get('text'),
        kv.compare_and_set('swapped', None, 'one'), kv.compare_and_set('swapped', None, 'two'),
        kv.compare_and_set('swapped', kv.entry('swapped')['version'], 'three', ttl=60), kv.get('swapped'),
        kv.increment('n'), kv.increment('n', 41), kv.increment('n', -2),
        kv.delete('text'), kv.delete('text'),
        kv.list(), kv.list(prefix='s'), kv.list(limit=2), kv.list(limit=2, cursor='empty'),
    ]
""",
    "errors": """
from serverledge import kv, KvError
def code_of(act):
    try:
        return act()
    except KvError as error:
        return [error.code, str(error)]
def handler(params):
    circle = []
    circle.append(circle)
    return [code_of(act) for act in (
        lambda: kv.get('full'), lambda: kv.get('dead'), lambda: kv.get('closed'), lambda: kv.get('half'),
        lambda: kv.get(7), lambda: kv.store(7).get('k'), lambda: kv.get('k', 'number'), lambda: kv.set('k', circle),
        lambda: kv.set('k', 'v', ttl=0), lambda: kv.set('k', 'v', ttl='1'), lambda: kv.increment('k', 1.5),
        lambda: kv.set('k', 'x' * (6 << 20)), lambda: kv.increment('k'))]
""",
    "unreadable": """
from serverledge import kv, KvError
def code_of(act):
    try:
        return act()
    except KvError as error:
        return error.code
def handler(params):
    kv.set('bytes', b'f\\xff\\xc3')
    kv.set('text', 'no {json')
    kv.set('deep', '[' * 1000000)
    codes = [code_of(lambda: read(key, type)) for key, type in (('bytes', 'text'), ('bytes', 'json'), ('text', 'json'))
             for read in (kv.get, kv.entry)]
    return [*codes, code_of(lambda: kv.get('deep', 'json')), list(kv.get('bytes', 'bytes')), kv.get('text')]
""",
    "loading": """
from serverledge import kv, KvError
try:
    outcome = kv.get('k')
except KvError as error:
    outcome = error.code
def handler(params): return outcome
""",
    "uncaught": "from serverledge import kv\ndef handler(params): return kv.get('full')",
    "many": """
import asyncio
from serverledge import akv
async def handler(params):
    return await asyncio.gather(*(akv.increment('n') for _ in range(params)))
""",
    "late": """
import asyncio
from serverledge import akv, KvError
late = None
async def handler(params):
    global late
    if params == 'begin':
        late = asyncio.gather(*(akv.get('held') for _ in range(17)), return_exceptions=True)
        await asyncio.sleep(0)
        return 'begun'
    return [getattr(outcome, 'code', outcome) for outcome in await late]
""",
    "large": "from serverledge import kv\ndef handler(params):\n    kv.set('k', 'x' * params)\n    return len(kv.get('k'))",
}

NODEJS = {
    "all": """
const { kv } = require('serverledge');
exports.handler = async () => {
  const other = kv.store('other');
  const nothing = async (promise) => (await promise) ?? null;
  return [
    await kv.get('missing'), await kv.entry('missing'),
    await nothing(kv.set('text', 'fünf')), await kv.get('text'), Buffer.from('fünf').equals(await kv.get('text', 'bytes')),
    await nothing(kv.set('bytes', new Uint8Array([0, 255]))), [...await kv.get('bytes', 'bytes')],
    await nothing(kv.set('json', { a: [1, null] }, { ttl: 1.5 })), await kv.get('json', 'json'), await kv.entry('json', 'json'),
    await nothing(kv.set('empty', '')), await kv.get('empty'),
    await nothing(other.set('text', 7)), await other.get('text', 'json'), await kv.get('text'),
    await kv.compareAndSet('swapped', null, 'one'), await kv.compareAndSet('swapped', null, 'two'),
    await kv.compareAndSet('swapped', (await kv.entry('swapped')).version, 'three', { ttl: 60 }), await kv.get('swapped'),
    await kv.increment('n'), await kv.increment('n', 41), await kv.increment('n', -2),
    await kv.delete('text'), await kv.delete('text'),
    await kv.list(), await kv.list({ prefix: 's' }), await kv.list({ limit: 2 }), await kv.list({ limit: 2, cursor: 'empty' }),
  ];
};""",
    "errors": """
const { kv, KvError } = require('serverledge');
const codeOf = (promise) => promise.catch((error) => {
  if (!(error instanceof KvError)) throw error;
  return [error.code, error.message];
});
exports.handler = async () => {
  const circle = [];
  circle.push(circle);
  const all = [];
  for (const act of [
    () => kv.get('full'), () => kv.get('dead'), () => kv.get('closed'), () => kv.get('half'),
    () => kv.get(7), () => kv.store(7).get('k'), () => kv.get('k', 'number'), () => kv.set('k', circle),
    () => kv.set('k', 'v', { ttl: 0 }), () => kv.set('k', 'v', { ttl: '1' }), () => kv.increment('k', 1.5),
    () => kv.set('k', 'x'.repeat(6 << 20)), () => kv.increment('k')]) all.push(await codeOf(act()));
  return all;
};""",
    "unreadable": """
const { kv, KvError } = require('serverledge');
const codeOf = (promise) => promise.catch((error) => (error instanceof KvError ? error.code : error.message));
exports.handler = async () => {
  await kv.set('bytes', new Uint8Array([0x66, 0xff, 0xc3]));
  await kv.set('text', 'no {json');
  await kv.set('deep', '['.repeat(1000000));
  const codes = [];
  for (const [key, type] of [['bytes', 'text'], ['bytes', 'json'], ['text', 'json']]) {
    for (const read of ['get', 'entry']) codes.push(await codeOf(kv[read](key, type)));
  }
  return [...codes, await codeOf(kv.get('deep', 'json')), [...await kv.get('bytes', 'bytes')], await kv.get('text')];
};""",
    "late": """
const { kv } = require('serverledge');
let late;
exports.handler = async (params) => {
  if (params === 'begin') {
    late = Promise.allSettled(Array.from({ length: 17 }, () => kv.get('held')));
    return 'begun';
  }
  return (await late).map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.code));
};""",
    "loading": """
const outcome = require('serverledge').kv.get('k').catch((error) => error.code);
exports.handler = () => outcome;""",
    "uncaught": "const { kv } = require('serverledge');\nexports.handler = () => kv.get('full');",
    "many": """
const { kv } = require('serverledge');
exports.handler = (params) => Promise.all(Array.from({ length: params }, () => kv.increment('n')));""",
    "large": """
const { kv } = require('serverledge');
exports.handler = async (params) => {
  await kv.set('k', 'x'.repeat(params));
  return (await kv.get('k')).length;
};""",
}
FUNCTIONS = {"python": PYTHON, "nodejs": NODEJS}


class Stores:
    """The stores of a node, as far as agents see them. `heads` are those of the operations that came; `most` of them were under
    way at once. Operations on the key `held` are answered once `go` is set."""

    def __init__(self):
        self.entries, self.version, self.heads, self.lock = {}, 0, [], threading.Lock()
        self.at_once, self.most, self.go = 0, 0, threading.Event()

    def put(self, place, value):
        self.version += 1
        self.entries[place] = (str(self.version), value)
        return str(self.version)

    def answer(self, message):
        """The node's answer to an operation."""
        length = int.from_bytes(message[:4], "little")
        head, value = json.loads(message[4:4 + length]), message[4 + length:]
        with self.lock:
            self.heads.append(head)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        if head.get("key") == "held":
            self.go.wait(ANSWER_SECONDS)
        with self.lock:
            self.at_once -= 1
            given = self.apply(head, value)
        if given is None or isinstance(given, bytes):
            return given
        head, value = given
        head = json.dumps(head).encode()
        content = len(head).to_bytes(4, "little") + head + value
        return b"r" + len(content).to_bytes(4, "big") + content

    def apply(self, head, value):
        place = (head["store"], head.get("key"))
        there = self.entries.get(place)
        refusals = {"full": error("kv_full", "no room"), "dead": error("call_refused", kind=b"x"), "closed": None,
                    "half": result({})[:-1]}
        if head.get("key") in refusals:
            return refusals[head["key"]]
        if head["op"] == "get":
            return ({"found": True, "version": there[0]}, there[1]) if there else ({"found": False}, b"")
        if head["op"] == "set":
            return {"version": self.put(place, value)}, b""
        if head["op"] == "delete":
            return {"deleted": self.entries.pop(place, None) is not None}, b""
        if head["op"] == "compare_and_set":
            if head["expected"] != (there[0] if there else None):
                return {"swapped": False}, b""
            return {"swapped": True, "version": self.put(place, value)}, b""
        if head["op"] == "increment":
            number = int(there[1] if there else 0) + head["by"]
            self.put(place, str(number).encode())
            return {"value": str(number)}, b""
        keys = sorted(key for store, key in self.entries if store == head["store"])
        keys = [key for key in keys if key.startswith(head.get("prefix", "")) and key > head.get("cursor", "")]
        limit = head.get("limit", 1000)
        more = {"cursor": keys[limit - 1]} if len(keys) > limit else {}
        return {"keys": keys[:limit], **more}, b""


class StoreNode(test_calls.Node):
    """The node's end of the socket. A request without a name goes to the stores."""

    def __init__(self, agent, stores):
        self.stores = stores
        super().__init__(agent, None)

    def serve(self, connection):
        connection.settimeout(ANSWER_SECONDS)
        with connection, connection.makefile("rb") as reader:
            capability = reader.read(64).decode()
            name_length, length = int.from_bytes(reader.read(2), "big"), int.from_bytes(reader.read(4), "big")
            name, message = reader.read(name_length).decode(), reader.read(length)
            if not message:
                # It was given up before it was sent.
                return
            self.calls.append((capability, name))
            answer = self.stores.answer(message)
            if answer is not None:
                connection.sendall(answer)


class State:
    """The tests; the classes at the end say of which agent."""

    runtime = None
    kind = Agent

    def bound(self, source, **more):
        """A connection to a new agent with this function."""
        self.agent = self.kind(self.runtime)
        self.addCleanup(self.agent.close)
        self.stores = Stores()
        self.node = StoreNode(self.agent, self.stores)
        self.addCleanup(self.node.close)
        source = FUNCTIONS[self.runtime].get(source, source)
        connection = self.agent.connect()
        bound = connection.bind({f"main.{EXTENSIONS[self.runtime]}": source}, **more)
        self.assertEqual(bound.status, 200, bound)
        return connection

    def came_to(self, connection, params, capability=CAPABILITY):
        answer = connection.invoke(params, {"serverledge-call": capability} if capability else {})
        self.assertEqual((answer.status, answer.outcome), (200, "result"), answer)
        return answer.json

    def test_all_operations(self):
        connection = self.bound("all")
        self.assertEqual(self.came_to(connection, {}), [
            None, None,
            None, "fünf", True,
            None, [0, 255],
            None, {"a": [1, None]}, {"value": {"a": [1, None]}, "version": "3"},
            None, "",
            None, 7, "fünf",
            "6", None,
            "7", "three",
            1, 42, 40,
            True, False,
            {"keys": ["bytes", "empty", "json", "n", "swapped"], "cursor": None}, {"keys": ["swapped"], "cursor": None},
            {"keys": ["bytes", "empty"], "cursor": "empty"}, {"keys": ["json", "n"], "cursor": "n"},
        ])
        self.assertEqual(set(self.node.calls), {(CAPABILITY, "")})
        lifetimes = [head["ttl_ms"] for head in self.stores.heads if "ttl_ms" in head]
        self.assertEqual(lifetimes, [1500, 60000])
        self.assertEqual({head["store"] for head in self.stores.heads}, {"default", "other"})

    def test_errors_have_their_code(self):
        connection = self.bound("errors")
        came = self.came_to(connection, {})
        self.assertEqual(came[0], ["kv_full", "no room"])
        self.assertEqual([each[0] for each in came[1:-1]], [
            "call_refused", "kv_unavailable", "kv_unavailable", "kv_key_invalid", "kv_store_invalid",
            "kv_request_invalid", "kv_request_invalid", "kv_ttl_invalid", "kv_ttl_invalid", "kv_request_invalid",
            "kv_value_too_large"])
        self.assertEqual(came[-1], 1, "the next operation works")
        self.assertEqual(len(self.stores.heads), 5, "what cannot be done is not sent")

    def test_an_error_that_nobody_catches_fails_the_invocation(self):
        connection = self.bound("uncaught")
        answer = connection.invoke({}, {"serverledge-call": CAPABILITY})
        self.assertEqual((answer.outcome, answer.json["error"], answer.json["message"]), ("error", "KvError", "no room"))

    def test_what_belongs_to_no_invocation_has_no_stores(self):
        connection = self.bound("loading")
        self.assertEqual(self.came_to(connection, {}), "call_refused")
        self.assertEqual(self.stores.heads, [])

    def test_operations_at_once(self):
        connection = self.bound("many")
        self.assertEqual(sorted(self.came_to(connection, 40)), list(range(1, 41)))

    def test_values_that_cannot_be_read_as_asked(self):
        connection = self.bound("unreadable")
        self.assertEqual(self.came_to(connection, {}), [*["kv_value_invalid"] * 7, [0x66, 0xff, 0xc3], "no {json"])

    def test_more_operations_than_a_process_may_have_connections(self):
        connection = self.bound("many")
        if self.kind is Agent:
            # The process of a container belongs to another user.
            resource.prlimit(self.agent.pid(), resource.RLIMIT_NOFILE, (128, 128))
        self.assertEqual(sorted(self.came_to(connection, 1100)), list(range(1, 1101)))
        self.assertLessEqual(self.stores.most, 16)

    def begin(self, connection, params, capability=CAPABILITY):
        """An invocation whose answer is not waited for."""
        connection.send(request_bytes("POST", "/invoke", json.dumps(params).encode(), {"serverledge-call": capability}))

    def test_operations_of_one_invocation_wait_for_each_other_alone(self):
        connection = self.bound(self.held, concurrency=2)
        self.begin(connection, ["held", 40])
        wait_for("sixteen operations", lambda: self.stores.at_once == 16)
        other = self.agent.connect()
        self.assertEqual(self.came_to(other, ["free", 40], OTHER), [None] * 40)
        self.assertEqual((self.stores.at_once, len(self.stores.heads)), (16, 56))
        self.stores.go.set()
        self.assertEqual(connection.read().json, [None] * 40)
        self.assertEqual(len(self.stores.heads), 80)

    def test_many_invocations_have_less_each(self):
        connection = self.bound(self.held, concurrency=100)
        self.begin(connection, ["held", 5])
        wait_for("two operations", lambda: self.stores.at_once == 2)
        self.stores.go.set()
        self.assertEqual(connection.read().json, [None] * 5)
        self.assertEqual(self.stores.most, 2)

    def test_operations_that_wait_end_with_their_invocation(self):
        connection = self.bound("late")
        self.assertEqual(self.came_to(connection, "begin"), "begun")
        self.stores.go.set()
        self.assertEqual(self.came_to(connection, "end"), [*[None] * 16, "call_refused"])
        self.assertEqual(len(self.stores.heads), 16)

    def test_large_values(self):
        connection = self.bound("large")
        self.assertEqual(self.came_to(connection, 1 << 20), 1 << 20)


class Python(State):
    runtime = "python"
    held = """
import asyncio
from serverledge import akv
async def handler(params):
    return await asyncio.gather(*(akv.get(params[0]) for _ in range(params[1])))
"""

    def test_threads_wait_for_each_other(self):
        source = """
from concurrent.futures import ThreadPoolExecutor
from serverledge import kv
def handler(params):
    with ThreadPoolExecutor(40) as threads:
        return list(threads.map(lambda _: kv.get('held'), range(40)))
"""
        connection = self.bound(source)
        self.begin(connection, {})
        wait_for("sixteen operations", lambda: self.stores.at_once == 16)
        self.stores.go.set()
        self.assertEqual(connection.read().json, [None] * 40)
        self.assertEqual((self.stores.most, len(self.stores.heads)), (16, 40))

    def test_who_gives_up_leaves_the_place_to_others(self):
        source = """
import asyncio
from serverledge import akv
async def handler(params):
    waiting = [asyncio.ensure_future(akv.get('held')) for _ in range(20)]
    last = asyncio.gather(*(akv.increment('n') for _ in range(40)))
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return [[each.cancelled() for each in waiting], await last]
"""
        connection = self.bound(source)
        self.addCleanup(self.stores.go.set)
        cancelled, sums = self.came_to(connection, {})
        self.assertEqual((cancelled, sorted(sums)), ([True] * 20, list(range(1, 41))))

    def test_sums_are_exact(self):
        connection = self.bound("""
from serverledge import kv
def handler(params):
    kv.set('n', '9007199254740990')
    return [kv.increment('n'), kv.increment('n', 2)]
""")
        self.assertEqual(self.came_to(connection, {}), [9007199254740991, 9007199254740993])

    def test_giving_up_closes_the_connection(self):
        source = """
import asyncio
from serverledge import akv
async def handler(params):
    waiting = asyncio.ensure_future(akv.get('waits'))
    while await akv.get('arrived') is None: pass
    waiting.cancel()
    try:
        await waiting
    except asyncio.CancelledError:
        return 'given up'
"""
        connection = self.bound(source)
        gone, apply = threading.Event(), self.stores.apply
        self.stores.apply = lambda head, value: (self.stores.put(("default", "arrived"), b""), b"wait")[1] \
            if head["key"] == "waits" else apply(head, value)
        serve = self.node.serve

        def waits(node_end):
            serve(Waiting(node_end, gone))

        self.node.serve = waits
        self.assertEqual(self.came_to(connection, {}), "given up")
        wait_for("the end of the connection", gone.is_set)


class Waiting:
    """A connection on which the answer `wait` means to wait until the other end closes."""

    def __init__(self, connection, gone):
        self.connection, self.gone = connection, gone

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def __enter__(self):
        self.connection.__enter__()
        return self

    def __exit__(self, *reason):
        return self.connection.__exit__(*reason)

    def sendall(self, answer):
        if answer == b"wait":
            if self.connection.recv(1) == b"":
                self.gone.set()
        else:
            self.connection.sendall(answer)


class Nodejs(State):
    runtime = "nodejs"
    held = """
const { kv } = require('serverledge');
exports.handler = ([key, count]) => Promise.all(Array.from({ length: count }, () => kv.get(key)));
"""

    def test_a_sum_that_javascript_has_no_number_for(self):
        source = """
const { kv, KvError } = require('serverledge');
exports.handler = async () => {
  await kv.set('n', '9007199254740990');
  const exact = await kv.increment('n');
  const error = await kv.increment('n', 2).catch((e) => e);
  return [exact, error instanceof KvError, error.code, error.message, await kv.get('n')];
};
"""
        exact, is_kv_error, code, message, entry = self.came_to(self.bound(source), {})
        self.assertEqual((exact, is_kv_error, code), (9007199254740991, True, "kv_not_a_number"))
        self.assertRegex(message, "was applied.*: 9007199254740993$")
        self.assertEqual(entry, "9007199254740993")

    def test_what_only_javascript_could_write(self):
        source = """
const { kv } = require('serverledge');
const code = (promise) => promise.then(() => null, (error) => error.code);
exports.handler = async () => [
  await code(kv.set('k', undefined)), await code(kv.set('k', () => 1)), await code(kv.set('k', 1n)), await code(kv.increment('k', 2 ** 53)),
  await code(kv.set('buffer', new Uint8Array([49, 50, 51]).subarray(1).buffer)), await kv.get('buffer'),
  await code(kv.set('view', new Uint8Array([49, 50, 51]).subarray(1))), await kv.get('view'),
  (await kv.get('view', 'bytes')) instanceof Uint8Array, await kv.compareAndSet('new', undefined, null),
];
"""
        connection = self.bound(source)
        refused = "kv_request_invalid"
        self.assertEqual(self.came_to(connection, {}), [refused] * 4 + [None, "123", None, "23", True, "3"])


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


if __name__ == "__main__":
    unittest.main()
