"""What functions print: how much of it is kept, when it was printed, whose it is, and how it goes to the node.

An invocation's output is part of its answer. What it prints after its end, or leaves to fail, is said in the container's own log
with the invocation's name, and changes nobody's answer.
"""

import _contextvars
import _thread
import io
import os
import sys
import time

# The longest time that printed output waits for more of it, or for the answer.
PAUSE_SECONDS = 0.01
# The thread that sees to that rests when it has had nothing to do for so many pauses.
PAUSES_UNTIL_REST = 100

# Begins a line of the container's own log that is meant for the node.
MARK = b"\x1e"
# Longest line that is waited for, of what is printed after an invocation's end.
LINE_BYTES_MAX = 8 * 1024

class Tail:
    """The end of what one invocation, or loading, prints. Each byte is moved at most twice, however much comes.

    Where there is a channel, what is kept goes there once a pause, ahead of the answer. The thread that has the lock can
    take it again: a finalizer may print at any time."""

    __slots__ = ("kept", "limit", "times", "cut", "open", "lock", "channel", "begun", "capability", "id", "rest",
                 "turns")

    # Whether the node reads when each piece was written.
    with_times = False

    def __init__(self, limit, channel=None, capability="", name=None):
        self.capability = capability
        # The invocation's id; None while the function is loaded.
        self.id = name
        # The line that it has begun after its end.
        self.rest = b""
        # The queue of its operations on stores, once there is one.
        self.turns = None
        # Positions at which the bytes of each millisecond begin.
        self.times = []
        self.kept = bytearray()
        self.limit = limit
        self.cut = False
        self.open = True
        self.lock = _thread.RLock()
        self.channel = channel
        self.begun = False

    def add(self, data):
        """False if it is too late: what a thread prints after the end is no longer this invocation's."""
        with self.lock:
            if not self.open:
                return False
            if len(data) > self.limit:
                data = data[len(data) - self.limit:]
                self.cut = True
            kept = self.kept
            now = time.time_ns() // 1_000_000
            if not self.times or self.times[-1][1] != now:
                self.times.append((len(kept), now))
            kept += data
            if len(kept) > 2 * self.limit:
                self.forget(len(kept) - self.limit)
            channel = self.channel
            if channel is not None:
                # print() writes a line in several parts: none goes out before its end, unless that does not come.
                if data[-1:] == b"\n" and time.monotonic() - channel.sent_at >= PAUSE_SECONDS:
                    self.send()
                elif self not in channel.waiting.tails:
                    channel.waiting.add(self)
        return True

    def send(self):
        """Sends what is kept, as a chunk of the answer."""
        with self.lock:
            if self.open and self.kept:
                piece = self.frames()
                self.channel.send(b"%s%x\r\n%s\r\n" % (b"" if self.begun else BEGIN_CHUNKED, len(piece), piece))
                self.begun = True

    def forget(self, count):
        """The first bytes."""
        del self.kept[:count]
        self.cut = True
        before = [each for each in self.times if each[0] <= count]
        after = [(position - count, when) for position, when in self.times[len(before):]]
        self.times = [(0, when) for _, when in before[-1:]] + after

    def frames(self):
        """What is kept, as frames: one for each millisecond, where the node reads times. It is kept no longer then."""
        if not self.kept:
            return b""
        if len(self.kept) > self.limit:
            self.forget(len(self.kept) - self.limit)
        times, self.times = self.times, []
        # Less the beginning of a character that was cut.
        before = len(self.kept)
        kept = self.take()
        lost = before - len(kept)
        if not Tail.with_times:
            return frame(b"l", kept)
        if len(times) == 1:
            return frame(b"L", times[0][1].to_bytes(8, "big") + kept)
        starts = [max(0, position - lost) for position, _ in times]
        ends = starts[1:] + [len(kept)]
        return b"".join(frame(b"L", when.to_bytes(8, "big") + kept[start:end])
                        for (_, when), start, end in zip(times, starts, ends) if start < end)

    def take(self):
        kept, self.kept = self.kept, bytearray()
        if len(kept) > self.limit:
            del kept[:len(kept) - self.limit]
            self.cut = True
        if self.cut:
            # At most three bytes of a character can be left of its cut beginning.
            broken = 0
            while broken < min(3, len(kept)) and kept[broken] & 0xC0 == 0x80:
                broken += 1
            del kept[:broken]
            self.cut = False
        return kept

    def close(self):
        with self.lock:
            self.open = False
            return self.take() if self.kept else b""

    def answer(self, kind, output):
        """What ends the answer, or all of it where nothing was sent ahead."""
        with self.lock:
            self.open = False
            frames = self.frames() + frame(kind, output)
        if self.begun:
            return b"%x\r\n%s\r\n0\r\n\r\n" % (len(frames), frames)
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(frames), frames)


BEGIN_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def frame(kind, data):
    return b"%s%s%s" % (kind, len(data).to_bytes(4, "big"), data)


class Waiting:
    """The invocations whose output waits for the pause to end, and the thread that sends it then. Waking it for each of them
    would cost more than the invocation does: once awake it looks around each pause, until nothing has come for a while."""

    def __init__(self):
        self.tails = set()
        self.awake = False
        # Nothing that prints may wait here, and a pipe has no lock.
        self.asleep, self.wake = os.pipe()

    def add(self, tail):
        self.tails.add(tail)
        if not self.awake:
            self.awake = True
            os.write(self.wake, b"1")

    def watch(self):
        while True:
            os.read(self.asleep, 64)
            pauses = 0
            while pauses < PAUSES_UNTIL_REST:
                time.sleep(PAUSE_SECONDS)
                pauses = 0 if self.tails else pauses + 1
                self.send()
            self.awake = False
            # One may have come in this moment, and have seen that nobody has to be woken.
            for tail in tuple(self.tails):
                self.add(tail)

    def send(self):
        for tail in tuple(self.tails):
            self.tails.discard(tail)
            tail.send()


# The invocation whose output this thread or task produces.
current = _contextvars.ContextVar("serverledge_output", default=None)


class Output(io.RawIOBase):
    """Stands where stdout or stderr was: hands what is printed to the invocation it belongs to, else to the container's log."""

    # The only invocation, where there is never more than one: its threads and callbacks carry no context variable.
    only = None

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def writable(self):
        return True

    def fileno(self):
        return self.descriptor

    def write(self, data):
        if type(data) is not bytes:
            data = bytes(data)
        tail = current.get()
        if tail is None:
            tail = Output.only
        if tail is None:
            write_all(self.descriptor, data)
        elif tail.id is None:
            # No answer brings to the node what loading printed.
            tail.add(data)
            write_all(self.descriptor, data)
        elif not tail.add(data):
            late(tail, data)
        return len(data)

    def close(self):
        """Does nothing: a function that closes its stdout must not silence the invocations after it."""


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


def capture_output():
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        text = io.TextIOWrapper(Output(descriptor), "utf-8", "backslashreplace", write_through=True)
        text.mode = "w"
        setattr(sys, name, text)


def forget_invocations():
    """In a process that a function forks: the answer is its parent's to give."""
    current.set(None)
    Output.only = None


# === after the answer ===


def late(tail, data):
    """What an invocation prints after its end: line by line, each in one write."""
    if not tail.id:
        write_all(2, data)
        return
    with tail.lock:
        text = tail.rest + data
        end = len(text) if len(text) > LINE_BYTES_MAX else text.rfind(b"\n") + 1
        tail.rest = text[end:]
    if end:
        tell(tail, text[:end])


def tell(tail, text):
    """Says in the container's own log what belongs to an invocation that has ended."""
    begin = b"%sl%s " % (MARK, tail.id.encode("latin-1")) if tail.id else b""
    lines = text[:-1].split(b"\n") if text.endswith(b"\n") else text.split(b"\n")
    write_all(2, b"".join(b"%s%s\n" % (begin, line) for line in lines))


def retire():
    """Says that this process is to serve no further invocation."""
    write_all(2, MARK + b"x\n")


def has_ended(tail):
    return tail is not None and not tail.open and tail.id is not None


def exit_only_in_time():
    """A function may end its process while it is called; afterwards that would end the calls of others."""
    leave = os._exit

    def exit_in_time(status):
        tail = current.get()
        if has_ended(tail):
            tell(tail, b"os._exit was called after the answer")
            retire()
            raise SystemExit(status)
        leave(status)

    os._exit = exit_in_time


def run_to_its_end(loop, awaitable):
    """The result of an async handler. What an invocation before it has left on the loop may stop the loop, or ask the process to
    exit: that is no end of this one."""
    task = loop.create_task(awaitable)
    while True:
        try:
            return loop.run_until_complete(task)
        except (RuntimeError, SystemExit) as error:
            if task.done() or loop.is_closed():
                raise
            if isinstance(error, SystemExit):
                tail = origin_of(error)
                if not has_ended(tail):
                    raise
                tell(tail, b"sys.exit was called after the answer")
                retire()


def origin_of(error):
    """The invocation in whose callback of an event loop this was raised."""
    trace, tail = error.__traceback__, None
    while trace is not None:
        handle = trace.tb_frame.f_locals.get("self")
        context = getattr(handle, "_context", None)
        if trace.tb_frame.f_code.co_name == "_run" and context is not None:
            tail = context.get(current)
        trace = trace.tb_next
    return tail


# === whose doing it is ===


def let_threads_inherit_output(threading):
    """What a thread prints belongs to the invocation that started it. Python does this by itself from 3.14 on, if asked."""
    start = threading.Thread.start

    def start_with_output(thread):
        tail = current.get()
        if tail is not None:
            run = thread.run

            def run_with_output():
                current.set(tail)
                run()

            thread.run = run_with_output
        start(thread)

    threading.Thread.start = start_with_output


class Followed:
    """Parts of the library that carry work from one invocation's thread or task to another's: what they do is the doing of
    whoever gave them the work. Importing them takes time, and few functions need them."""

    pools = loops = False


def follow_work():
    """To be called now and then: sees to those that have been imported meanwhile."""
    if not Followed.pools and "concurrent.futures.thread" in sys.modules:
        Followed.pools = True
        follow_pools(sys.modules["concurrent.futures.thread"].ThreadPoolExecutor)
    if not Followed.loops and "asyncio.base_events" in sys.modules:
        Followed.loops = True
        follow_failures(sys.modules["asyncio.base_events"].BaseEventLoop)


def follow_pools(pool):
    """A pool's thread lives longer than the invocation that it was started for."""
    submit = pool.submit

    def submit_with_output(self, function, /, *arguments, **named):
        tail = current.get()
        if tail is None:
            return submit(self, function, *arguments, **named)
        return submit(self, run_as, tail, function, *arguments, **named)

    pool.submit = submit_with_output


# The tail of output that belongs to no invocation; it goes to the container's own log.
nobody = Tail(0)
nobody.open = False


def run_as(tail, function, /, *arguments, **named):
    token = current.set(tail)
    try:
        return function(*arguments, **named)
    finally:
        current.reset(token)


def follow_failures(loop):
    """A task that failed while nobody waited for it is found when it is thrown away, whoever is called then."""
    handle = loop.call_exception_handler

    def handle_as_its_task(self, context):
        # From Python 3.12 on tasks know it. Before, it goes to the container's own log.
        of_task = getattr(context.get("task") or context.get("future"), "get_context", None)
        tail = of_task().get(current) if of_task is not None else None
        run_as(tail or nobody, handle, self, context)

    loop.call_exception_handler = handle_as_its_task
