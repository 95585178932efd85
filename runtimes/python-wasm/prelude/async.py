"""asyncio without sockets: an event loop that runs what is ready, and sleeps until the next timer."""

import asyncio
import time
from asyncio import base_events, events

from _serverledge_errors import OTHER_RUNTIME


class NeverDone(RuntimeError):
    """What is waited for can never happen."""


class Selector:
    """Nothing comes from outside."""

    def select(self, timeout):
        if timeout is None:
            raise NeverDone("the function waits for what can never happen: nothing that is under way could do it")
        if timeout > 0:
            time.sleep(timeout)
        return ()


class Loop(base_events.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self._selector = Selector()

    def _process_events(self, events_of_selector):
        pass

    def _write_to_self(self):
        pass

    def run_in_executor(self, executor, function, *arguments):
        """There are no threads: it is done at once."""
        done = self.create_future()
        try:
            done.set_result(function(*arguments))
        except StopIteration as error:
            done.set_exception(RuntimeError(f"{type(error).__name__} was raised"))
        except Exception as error:
            done.set_exception(error)
        return done

    async def shutdown_default_executor(self, timeout=None):
        pass

    async def getaddrinfo(self, *arguments, **keywords):
        raise OSError(58, f"asyncio of the runtime python-wasm has no sockets: send requests with urllib.request or requests, or {OTHER_RUNTIME}")

    create_connection = create_server = create_datagram_endpoint = create_unix_connection = getaddrinfo
    sock_connect = sock_recv = sock_sendall = getnameinfo = getaddrinfo

    async def subprocess_exec(self, *arguments, **keywords):
        raise OSError(58, f"the runtime python-wasm has no processes: {OTHER_RUNTIME}")

    subprocess_shell = subprocess_exec

    def add_signal_handler(self, *arguments):
        raise RuntimeError("the runtime python-wasm has no signals")

    def remove_signal_handler(self, number):
        return False


class Policy(events.BaseDefaultEventLoopPolicy):
    _loop_factory = Loop


# The loop of async handlers.
loop = None


def prepare():
    global loop
    if loop is None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)


def wait_for(awaitable):
    """Runs an async handler's result to its end, and what it has begun and not waited for no further than that."""
    prepare()
    return loop.run_until_complete(awaitable if hasattr(awaitable, "cr_frame") else as_coroutine(awaitable))


async def as_coroutine(awaitable):
    return await awaitable


asyncio.set_event_loop_policy(Policy())
for module in (asyncio, asyncio.unix_events):
    module.DefaultEventLoopPolicy = Policy
    module.EventLoop = module.SelectorEventLoop = Loop
