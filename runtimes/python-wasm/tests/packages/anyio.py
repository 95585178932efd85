# requires: anyio==4.16.0
import anyio


async def handler(params):
    found = []
    send, receive = anyio.create_memory_object_stream(3)

    async def produce():
        async with send:
            for value in params["values"]:
                await send.send(value)

    async def consume():
        async with receive:
            async for value in receive:
                found.append(value * 2)

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        group.start_soon(consume)
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep(5)
    lock = anyio.Lock()
    async with lock:
        found.append(lock.locked())
    return [found, scope.cancelled_caught]
