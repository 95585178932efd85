"""Sockets through which only HTTP goes. The bytes of a request are collected and read. The node sends it, with TLS
where that is asked for, and the response is there as a whole. So `http.client`, and all that is made of it, is as it was.

A request is sent when its response is read, with the timeout that the socket has then: clients set one for connections
first, and that for responses after they have written the request. One whose response nobody reads is sent when the
socket is closed, or at the end of the call."""

import errno
import json
import operator
import re
import socket as library
import sys

import _serverledge
import _serverledge_changes as changes
from _serverledge import invoked, send
from _serverledge_rehearsal import repeat
from _serverledge_request import ONLY_HTTP, Request, fault

LENGTH_BYTES = 4
HTTP_PORT, HTTPS_PORT = 80, 443
PORT_MAX = 65535
# Longer ones are no time to CPython either: its times are nanoseconds in 63 bits.
TIMEOUT_SECONDS_MAX = 9e9
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NAME_OR_ADDRESS = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")

# What is told of a response's body is told anew.
ANSWERED_LEFT_OUT = frozenset(("connection", "keep-alive", "transfer-encoding"))
WITHOUT_BODY = frozenset((204, 304))

# Sockets with a whole request that was not sent yet, in the order in which the requests were written.
unsent = []


def refuse(*arguments, **keywords):
    raise OSError(errno.ENOTSUP, ONLY_HTTP)


def send_unsent():
    for each in list(unsent):
        try:
            each._send_unread()
        except Exception:
            # Nobody waits for it: the call has its result.
            pass


changes.endings.append(send_unsent)


class socket(library.socket):
    """A connection for one request and its response."""

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        is_internet = family in (-1, library.AF_INET, library.AF_INET6)
        if fileno is not None or type not in (-1, library.SOCK_STREAM) or not is_internet:
            refuse()
        self._io_refs, self._closed = 0, False
        # `_closed` is also set while files of the socket are open, which go on.
        self._is_open = True
        self._is_shut = False
        self._address = self._host = None
        self._is_https = False
        self._timeout = library.getdefaulttimeout()
        # What was written; None once it was sent.
        self._request = Request()
        # What can still be read, or the error that there is in its place.
        self._response, self._error = [], None

    family, type, proto = library.AF_INET, library.SOCK_STREAM, library.IPPROTO_TCP

    def __repr__(self):
        return f"<socket.socket{' [closed]' if self._closed else ''}, {self._address}>"

    def connect(self, address):
        if not isinstance(address, tuple) or len(address) < 2:
            refuse()
        self._check_open()
        if self._address is not None:
            raise OSError(errno.EISCONN, "the socket is connected already")
        host = host_of(*address[:2])
        if not invoked():
            raise fault("not_running", "no request can be sent while the file is loaded: send it in the handler")
        self._address, self._host = address, host

    def connect_ex(self, address):
        try:
            self.connect(address)
        except library.gaierror:
            raise
        except OSError as error:
            return error.errno
        return 0

    def bind(self, address):
        refuse()

    listen = accept = recvfrom = recvfrom_into = recvmsg = recvmsg_into = sendto = dup = bind

    def _check_open(self):
        if not self._is_open:
            raise OSError(errno.EBADF, "the socket is closed")

    def _check_connected(self):
        self._check_open()
        if self._address is None:
            raise OSError(errno.ENOTCONN, "the socket is not connected")

    # === what is written ===

    def sendall(self, data, flags=0):
        self.send(data)

    def send(self, data, flags=0):
        self._check_connected()
        if self._is_shut or self._request is None:
            raise BrokenPipeError(errno.EPIPE, "the request was sent or refused, or the socket was shut down")
        if type(data) is not bytes:
            data = memoryview(data).tobytes()
        try:
            self._request.write(data)
        except OSError as error:
            self._forget_request()
            self._error = error
            raise
        if self._request.is_complete and self not in unsent:
            unsent.append(self)
        return len(data)

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None):
        if ancdata or address is not None:
            refuse()
        return self.send(b"".join(buffers))

    def _forget_request(self):
        request, self._request = self._request, None
        if self in unsent:
            unsent.remove(self)
        return request

    def _deliver(self):
        request = self._forget_request()
        head = {"method": request.method, "url": self._origin() + request.target, "headers": request.headers}
        if self._timeout:
            head["timeout_ms"] = max(1, round(self._timeout * 1000))
        head = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
        answer, is_error = send(b"%s%s%s" % (len(head).to_bytes(LENGTH_BYTES, "little"), head, request.body))
        if is_error:
            told = json.loads(answer)
            self._error = fault(told.get("error", "internal"), told.get("message", ""))
            return
        end = LENGTH_BYTES + int.from_bytes(answer[:LENGTH_BYTES], "little")
        head = json.loads(answer[LENGTH_BYTES:end])
        has_body = request.method != "HEAD" and head["status"] not in WITHOUT_BODY
        body = memoryview(answer)[end:] if has_body else memoryview(b"")
        self._response = [memoryview(response_head(head, has_body, len(body))), body]

    def _send_unread(self):
        """Sends a request whose response nobody reads."""
        if self in unsent:
            self._deliver()
            self._response = []

    def _origin(self):
        port = self._address[1]
        shown = f"[{self._host}]" if ":" in self._host else self._host
        scheme, usual = ("https", HTTPS_PORT) if self._is_https else ("http", HTTP_PORT)
        return f"{scheme}://{shown}" if port == usual else f"{scheme}://{shown}:{port}"

    # === what is read ===

    def recv(self, size, flags=0):
        if size < 0:
            raise ValueError("negative buffersize in recv")
        return b"".join(self._take(size, flags))

    def recv_into(self, buffer, size=0, flags=0):
        if size < 0:
            raise ValueError("negative buffersize in recv_into")
        with memoryview(buffer) as view, view.cast("B") as view:
            if size > len(view):
                raise ValueError("buffer too small for requested bytes")
            at = 0
            for part in self._take(size or len(view), flags):
                view[at:at + len(part)] = part
                at += len(part)
        return at

    def _take(self, size, flags):
        """As much of the response as there is, up to this size, in parts."""
        self._check_connected()
        if size > 0 and not self._response:
            self._await()
        parts, left, rest = [], size, []
        for part in self._response:
            parts.append(part[:left])
            if len(part) > left:
                rest.append(part[left:])
            left -= len(parts[-1])
        if not flags & library.MSG_PEEK:
            self._response = rest
        return parts

    def _await(self):
        """Sends the request, now that its response is asked for."""
        request = self._request
        if request is not None and request.is_complete:
            self._deliver()
        if self._error is not None:
            raise self._error
        if request is None or request.is_complete:
            return
        if request.awaits_continue:
            request.awaits_continue = False
            self._response = [memoryview(CONTINUE)]
        elif self._timeout == 0.0 and not request.is_begun:
            raise BlockingIOError(errno.EAGAIN, "there is nothing to read")
        else:
            # Whoever waits before there is a request speaks something else.
            raise OSError(errno.ENOTSUP, request.missing())

    # === what an ordinary one has as well ===

    def settimeout(self, timeout):
        if timeout is None:
            self._timeout = None
            return
        seconds = timeout if isinstance(timeout, float) else float(operator.index(timeout))
        if seconds != seconds:
            raise ValueError("Invalid value NaN (not a number)")
        if seconds < 0:
            raise ValueError("Timeout value out of range")
        if seconds > TIMEOUT_SECONDS_MAX:
            raise OverflowError("timeout doesn't fit into C timeval")
        self._timeout = seconds

    def gettimeout(self):
        return self._timeout

    timeout = property(gettimeout)

    def setblocking(self, is_blocking):
        self._timeout = None if is_blocking else 0.0

    def getblocking(self):
        return self._timeout != 0.0

    def setsockopt(self, *arguments):
        pass

    def getsockopt(self, *arguments):
        return 0

    def getpeername(self):
        self._check_connected()
        return self._address

    def getsockname(self):
        return ("0.0.0.0", 0)

    def fileno(self):
        return -1

    def detach(self):
        """There is no number by which it could go on."""
        self._closed = True
        self._real_close()
        return -1

    def shutdown(self, how):
        self._check_connected()
        if how != library.SHUT_RD:
            self._is_shut = True
        if how != library.SHUT_WR:
            self._send_unread()
            self._forget_request()
            self._response = []

    def _real_close(self, *arguments):
        self._send_unread()
        self._is_open = False
        self._response, self._request = [], None


# === HTTP ===


def response_head(head, has_body, length):
    status = head["status"]
    lines = [f"HTTP/1.1 {status} {phrase_of(status)}"]
    for name, value in head["headers"]:
        lower = name.lower()
        if lower not in ANSWERED_LEFT_OUT and not (has_body and lower == "content-length"):
            lines.append(f"{name}: {value}")
    if has_body:
        lines.append(f"content-length: {length}")
    lines.append("connection: close\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1", "replace")


def phrase_of(status):
    """HTTP/2 has no such words, so they are those of the status."""
    return getattr(sys.modules.get("http.client"), "responses", {}).get(status, "")


def host_of(host, port):
    """The name or the address in the form that URLs have."""
    if not 0 <= operator.index(port) <= PORT_MAX:
        raise OverflowError(f"connect(): port must be 0-{PORT_MAX}.")
    host = (host.decode("ascii") if isinstance(host, (bytes, bytearray)) else host) or "localhost"
    name = host if host.isascii() else host.encode("idna").decode()
    if not NAME_OR_ADDRESS.fullmatch(name):
        raise library.gaierror(library.EAI_NONAME, f"{host!r} is no name of a host, and no address")
    return name


# === the module socket ===


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """The name itself: its addresses are the node's matter."""
    if isinstance(port, (str, bytes)):
        port = port.decode("ascii") if isinstance(port, bytes) else port
        port = {"http": HTTP_PORT, "https": HTTPS_PORT}.get(port, port)
        if isinstance(port, str) and not (port.isascii() and port.isdecimal()):
            raise library.gaierror(library.EAI_SERVICE, f"{port!r} is no name of a service that there is")
    if type not in (0, library.SOCK_STREAM):
        refuse()
    return [(library.AF_INET, library.SOCK_STREAM, library.IPPROTO_TCP, "", (host or "localhost", int(port or 0)))]


library.socket = library.SocketType = socket
library.getaddrinfo = getaddrinfo
library.gethostname = _serverledge.builtin(lambda: "localhost", "_socket", "gethostname")
for each in "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo":
    setattr(library, each, _serverledge.builtin(refuse, "_socket", each))
for each in "create_server", "fromfd", "socketpair":
    setattr(library, each, refuse)


def change_opener(request):
    """An opener tells by a URLError that there is no connection. Here that comes out when the response is awaited."""
    open_connection = request.AbstractHTTPHandler.do_open

    def do_open(self, http_class, req, **http_conn_args):
        try:
            return open_connection(self, http_class, req, **http_conn_args)
        except OSError as error:
            is_of_node = isinstance(getattr(error, "code", None), str)
            if is_of_node and not isinstance(error, (TimeoutError, request.URLError)):
                raise request.URLError(error) from error
            raise

    request.AbstractHTTPHandler.do_open = do_open


# === deploy ===

# After so many the interpreter has learnt it.
REHEARSALS = 10


def rehearse(ask):
    """Has the interpreter learn what comes with every request: it notes in its code what it has met. Nothing is sent. It
    is done when the module has just been imported, so nobody can have changed anything in it."""
    global send, invoked
    if invoked():
        return
    present = send, invoked
    head = b'{"status": 200, "headers": [["content-type", "application/json"], ["content-length", "2"]]}'
    answer = b"%s%s{}" % (len(head).to_bytes(LENGTH_BYTES, "little"), head), False
    try:
        send, invoked = lambda request: answer, lambda: True
        repeat(ask, REHEARSALS)
    finally:
        send, invoked = present


def rehearse_client(client):
    def ask():
        for kind, method, body in ((client.HTTPConnection, "GET", None), (client.HTTPSConnection, "POST", b"{}")):
            connection = kind("localhost", timeout=1)
            connection.request(method, "/path?a=b", body, {"Accept": "*/*"})
            response = connection.getresponse()
            response.getheader("content-type")
            response.read()
            connection.close()

    rehearse(ask)


def rehearse_opener(request):
    def ask():
        opener = request.build_opener(request.ProxyHandler({}))
        for url, data in ("http://localhost/", None), ("https://localhost/", b"{}"):
            with opener.open(request.Request(url, data, {"Accept": "*/*"}), timeout=1) as response:
                response.read()

    rehearse(ask)
