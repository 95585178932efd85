// asyncio without sockets.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

test('an async handler, with sleeping, gathering and time limits', () => {
  const guest = new Python(`
    import asyncio, time

    async def one(seconds):
        await asyncio.sleep(seconds)
        return seconds

    async def handler(params):
        begun = time.monotonic()
        found = await asyncio.gather(one(0.5), one(0.25))
        try:
            await asyncio.wait_for(one(9), 1)
        except TimeoutError:
            found.append("late")
        async with asyncio.timeout(5):
            found.append(await one(0))
        return [found, round(time.monotonic() - begun, 3)]
  `);
  assert.deepEqual(guest.call().result, [[0.5, 0.25, 'late', 0], 1.5]);
  assert.equal(guest.slept, 1500);
});

test('an async handler that does not know asyncio', () => {
  assert.equal(result('async def handler(p):\n    return p["x"]', { x: 1 }), 1);
  assert.equal(result('class A:\n    async def __call__(self, p):\n        return 2\nhandler = A()'), 2);
  assert.equal(result('import functools\ndef w(f):\n    @functools.wraps(f)\n    def g(*a):\n        return f(*a)\n    return g\n@w\nasync def handler(p):\n    return 3'), 3);
});

test('asyncio.run in a plain handler', () => {
  const source = `
    import asyncio
    async def main():
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time()
    def handler(p):
        return asyncio.run(main())
  `;
  assert.equal(result(source), 2);
});

test('tasks, queues, locks, events and task groups', () => {
  const source = `
    import asyncio
    async def handler(p):
        queue, event, lock = asyncio.Queue(2), asyncio.Event(), asyncio.Lock()
        async def produce():
            for number in range(5):
                await queue.put(number)
            event.set()
        async def consume(found):
            for _ in range(5):
                async with lock:
                    found.append(await queue.get())
        found = []
        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            group.create_task(consume(found))
        await event.wait()
        done, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(1)), asyncio.create_task(asyncio.sleep(50))], timeout=2)
        for each in pending:
            each.cancel()
        return [found, len(done), len(pending)]
  `;
  assert.deepEqual(result(source), [[0, 1, 2, 3, 4], 1, 1]);
});

test('what would run in a thread runs at once', () => {
  const source = `
    import asyncio
    def work(x):
        if x < 0:
            raise ValueError(x)
        return x * 2
    async def handler(p):
        try:
            await asyncio.to_thread(work, -1)
        except ValueError as error:
            return [await asyncio.to_thread(work, 4), await asyncio.get_running_loop().run_in_executor(None, work, 5), str(error)]
  `;
  assert.deepEqual(result(source), [8, 10, '-1']);
});

test('waiting for what can never happen is an error', () => {
  const { error } = new Python('import asyncio\nasync def handler(p):\n    await asyncio.Event().wait()').call();
  assert.equal(error.error, 'NeverDone');
  assert.match(error.message, /^the function waits for what can never happen/);
});

test('what is not caught in a task is told, and connections are refused', () => {
  const guest = new Python(`
    import asyncio
    async def failing():
        raise ValueError("lost")
    async def handler(p):
        if p.get("connect"):
            await asyncio.open_connection("localhost", 80)
        task = asyncio.create_task(failing())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        return 1
  `);
  assert.equal(guest.call().result, 1);
  assert.match(guest.log, /Task exception was never retrieved[^]*ValueError: lost/);
  assert.match(guest.call({ connect: true }).error.message, /no sockets/);
});

test('async generators, context managers and context variables', () => {
  const source = `
    import asyncio, contextlib, contextvars
    variable = contextvars.ContextVar("variable", default="outer")
    async def numbers():
        for each in range(3):
            await asyncio.sleep(0)
            yield each
    @contextlib.asynccontextmanager
    async def within():
        yield variable.get()
    async def child():
        variable.set("inner")
        async with within() as value:
            return value
    async def handler(p):
        return [[each async for each in numbers()], await asyncio.create_task(child()), variable.get()]
  `;
  assert.deepEqual(result(source), [[0, 1, 2], 'inner', 'outer']);
});

test('loops by all their names', () => {
  const source = `
    import asyncio, threading

    async def work():
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0.01, number)) for number in range(3)]
        here = await asyncio.to_thread(threading.get_ident)
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(1)
        except TimeoutError:
            return [[task.result() for task in tasks], here == threading.get_ident(), await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))]

    def in_loop(loop):
        try:
            return loop.run_until_complete(work())
        finally:
            loop.close()

    def handler(p):
        expected = [[0, 1, 2], True, [1, 2]]
        found = [in_loop(make()) == expected for make in (asyncio.EventLoop, asyncio.SelectorEventLoop, asyncio.new_event_loop)]
        found += [asyncio.run(work(), **options) == expected for options in ({}, {"debug": True}, {"loop_factory": asyncio.EventLoop})]
        with asyncio.Runner(loop_factory=asyncio.EventLoop) as runner:
            found.append(runner.run(work()) == expected)
        asyncio.set_event_loop_policy(None)
        kind = type(asyncio.new_event_loop())
        return [*found, kind is asyncio.EventLoop, asyncio.EventLoop is asyncio.SelectorEventLoop, asyncio.unix_events.EventLoop is kind]
  `;
  assert.deepEqual(result(source), Array(10).fill(true));
});
