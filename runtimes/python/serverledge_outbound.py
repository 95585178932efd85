"""The way of a function to hosts outside. The container has no network; the node is an HTTP proxy on a socket, and so is this on
a port, for what finds it in the usual variables. Part of the agent."""

import _socket
import _thread
import os
from select import EPOLLIN, EPOLLOUT, epoll

VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
LOCAL = "localhost,127.0.0.1,::1"
PIECE_BYTES = 64 * 1024
# Bytes that wait for a side that takes none: then nothing more is read of the other one.
WAITING_BYTES_MAX = 4 * PIECE_BYTES


class End:
    """One side of a connection, and what is to be sent to it."""

    __slots__ = ("socket", "other", "waiting", "is_read", "is_ended", "events")

    def __init__(self, end):
        end.setblocking(False)
        self.socket = end
        self.other = None
        self.waiting = bytearray()
        # Whether nothing more comes from it, and whether it was told that nothing more comes.
        self.is_read = False
        self.is_ended = False
        self.events = 0


class Outbound:
    """Moves bytes between a port and the node's socket, in a thread of its own. What a function does to the modules `socket` and
    `selectors` changes nothing here."""

    def __init__(self, path):
        self.path = path
        self.epoll = epoll()
        self.listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.epoll.register(self.listener.fileno(), EPOLLIN)
        # By descriptor. Only the thread changes it, with the lock.
        self.ends = {}
        self.lock = _thread.allocate_lock()
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        os.environ.update(dict.fromkeys(VARIABLES, url), no_proxy=LOCAL, NO_PROXY=LOCAL)

    def run(self):
        while True:
            for descriptor, _ in self.epoll.poll():
                if descriptor == self.listener.fileno():
                    self.accept()
                elif descriptor in self.ends:
                    self.move(self.ends[descriptor])

    def accept(self):
        try:
            accepted = _socket.socket(fileno=self.listener._accept()[0])
        except OSError:
            # It has left, or there are no descriptors.
            return
        try:
            accepted.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            with_node = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            with_node.connect(self.path)
        except OSError:
            accepted.close()
            return
        end, other = End(accepted), End(with_node)
        end.other, other.other = other, end
        with self.lock:
            self.ends[accepted.fileno()], self.ends[with_node.fileno()] = end, other
        self.watch(end)
        self.watch(other)

    def move(self, end):
        """Whatever can be read of an end and be written. Both are closed when both directions are over, or one broke."""
        try:
            if not end.is_read and len(end.other.waiting) < WAITING_BYTES_MAX:
                self.read(end)
            self.write(end)
            self.write(end.other)
        except OSError:
            self.close(end)
            return
        if end.is_ended and end.other.is_ended:
            self.close(end)
            return
        self.watch(end)
        self.watch(end.other)

    def read(self, end):
        try:
            piece = end.socket.recv(PIECE_BYTES)
        except BlockingIOError:
            return
        if piece:
            end.other.waiting += piece
        else:
            end.is_read = True

    def write(self, end):
        if end.waiting:
            try:
                del end.waiting[:end.socket.send(end.waiting)]
            except BlockingIOError:
                return
        if not end.waiting and end.other.is_read and not end.is_ended:
            end.is_ended = True
            end.socket.shutdown(_socket.SHUT_WR)

    def watch(self, end):
        events = EPOLLOUT if end.waiting else 0
        if not end.is_read and len(end.other.waiting) < WAITING_BYTES_MAX:
            events |= EPOLLIN
        if events == end.events:
            return
        if events == 0:
            # Registered, it would be told of as long as its other side has left.
            self.epoll.unregister(end.socket.fileno())
        elif end.events == 0:
            self.epoll.register(end.socket.fileno(), events)
        else:
            self.epoll.modify(end.socket.fileno(), events)
        end.events = events

    def close(self, end):
        for each in (end, end.other):
            if each.events:
                self.epoll.unregister(each.socket.fileno())
            with self.lock:
                del self.ends[each.socket.fileno()]
            # A process that the function has forked may still hold it.
            cut(each.socket)
            each.socket.close()

    def close_all(self):
        """No invocation runs any more: what is still open would be closed by the node, at a moment at which the next one may use
        it. The thread sees it, and closes the rest."""
        with self.lock:
            for end in self.ends.values():
                cut(end.socket)


def cut(connection):
    try:
        connection.shutdown(_socket.SHUT_RDWR)
    except OSError:
        pass
