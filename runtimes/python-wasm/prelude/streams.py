"""The standard streams: the log, which is all that there is to write to, and nothing to read."""

import io
import sys

import _serverledge

# Those that are written to.
STREAMS = ("stdout", "stderr")


class Standard(io.RawIOBase):
    def __init__(self, number, name):
        self.number, self.name = number, name

    def fileno(self):
        return self.number


class Log(Standard):
    mode = "wb"

    def writable(self):
        return True

    def write(self, data):
        return _serverledge.log(data)


class Nothing(Standard):
    mode = "rb"

    def readable(self):
        return True

    def readinto(self, buffer):
        return 0


def open_streams():
    sys.stdout = sys.__stdout__ = output(1, "<stdout>")
    sys.stderr = sys.__stderr__ = output(2, "<stderr>")
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(Nothing(0, "<stdin>")), "utf-8")
    sys.stdin.mode = "r"


def output(number, name):
    stream = io.TextIOWrapper(io.BufferedWriter(Log(number, name)), "utf-8", "backslashreplace", "\n", line_buffering=True)
    stream.mode = "w"
    return stream


def flush():
    """What was printed without a line's end. Whoever has put another stream in the place of one knows what it does."""
    for name in STREAMS:
        try:
            getattr(sys, name).flush()
        except BaseException:
            pass
