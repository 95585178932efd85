"""Sockets through which only HTTP goes. The bytes of a request are collected and read. The node sends it, with TLS where that is
asked for, and the response is there as a whole. So `http.client`, and all that is made of it, is as it was."""

import errno
import json
import re
import socket as library
import sys

import _serverledge
from _serverledge import invoked, send
from _serverledge_errors import OTHER_RUNTIME

LENGTH_BYTES = 4
HEAD_BYTES_MAX = 64 * 1024
# The longest request that the node takes, with its head.
REQUEST_BYTES_MAX = 6 << 20
HTTP_PORT, HTTPS_PORT = 80, 443
ONLY_HTTP = f"only HTTP goes out of the runtime python-wasm, by urllib.request, http.client, requests and the like: {OTHER_RUNTIME}"
NO_PROXY = "the runtime python-wasm sends no requests through a proxy: the node sends them itself"

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]")
METHOD_BEGUN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: |$)")
# Of the connection, which is the node's.
HEADERS_LEFT_OUT = frozenset(("host", "connection", "keep-alive", "proxy-connection", "transfer-encoding"))
# What is told of a response's body is told anew.
ANSWERED_LEFT_OUT = frozenset(("connection", "keep-alive", "transfer-encoding"))
WITHOUT_BODY = frozenset((204, 304))

# The kinds of errors by their codes; those of no other are EIO.
ERRNO = {
    "outbound_not_granted": errno.EACCES,
    "outbound_host_not_allowed": errno.EACCES,
    "outbound_secret_refused": errno.EACCES,
    "outbound_address_refused": errno.EACCES,
    "not_running": errno.EPERM,
    "outbound_unreachable": errno.ECONNREFUSED,
    "outbound_broken": errno.ECONNRESET,
    "outbound_timeout": errno.ETIMEDOUT,
    "outbound_url_invalid": errno.EINVAL,
    "outbound_request_invalid": errno.EINVAL,
    "outbound_request_too_large": errno.EMSGSIZE,
    "outbound_response_too_large": errno.EMSGSIZE,
}


def fault(code, message):
    """An OSError of the fitting kind, such as PermissionError or TimeoutError. Its `code` is stable; the message is for people."""
    error = OSError(ERRNO.get(code, errno.EIO), message)
    error.code = code
    return error


def refuse(*arguments, **keywords):
    raise OSError(errno.ENOTSUP, ONLY_HTTP)


class socket(library.socket):
    """A connection for one request and its response."""

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        if fileno is not None or type not in (-1, library.SOCK_STREAM) or family not in (-1, library.AF_INET, library.AF_INET6):
            refuse()
        self._io_refs, self._closed = 0, False
        self._address = None
        self._is_https = False
        self._timeout = library.getdefaulttimeout()
        # What was written; None once it was sent.
        self._request = bytearray()
        # What can still be read, or the error that there is in its place.
        self._response, self._error = [], None

    family, type, proto = library.AF_INET, library.SOCK_STREAM, library.IPPROTO_TCP

    def __repr__(self):
        return f"<socket.socket{' [closed]' if self._closed else ''}, {self._address}>"

    def connect(self, address):
        if not isinstance(address, tuple):
            refuse()
        if not invoked():
            raise fault("not_running", "no request can be sent while the file is loaded: send it in the handler")
        self._address = address

    def connect_ex(self, address):
        try:
            self.connect(address)
        except OSError as error:
            return error.errno
        return 0

    def bind(self, address):
        refuse()

    listen = accept = recvfrom = recvfrom_into = sendto = dup = bind

    # === what is written ===

    def sendall(self, data, flags=0):
        self.send(data)

    def send(self, data, flags=0):
        if self._closed or self._address is None:
            raise OSError(errno.ENOTCONN, "the socket is not connected")
        if self._request is None:
            raise BrokenPipeError(errno.EPIPE, "the request was sent, and its response ends the connection")
        with memoryview(data) as view, view.cast("B") as view:
            self._request += view
            length = len(view)
        if len(self._request) > REQUEST_BYTES_MAX + HEAD_BYTES_MAX:
            raise self._fail(fault("outbound_request_too_large", f"a request may have {REQUEST_BYTES_MAX} bytes"))
        try:
            whole = whole_request(self._request)
        except OSError as error:
            raise self._fail(error)
        if whole is not None:
            self._request = None
            self._deliver(*whole)
        return length

    def _fail(self, error):
        self._request, self._error = None, error
        return error

    def _deliver(self, method, target, headers, body):
        head = {"method": method, "url": self._origin() + target, "headers": headers}
        if self._timeout:
            head["timeout_ms"] = max(1, int(self._timeout * 1000))
        head = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
        answer, is_error = send(b"%s%s%s" % (len(head).to_bytes(LENGTH_BYTES, "little"), head, body))
        if is_error:
            told = json.loads(answer)
            self._error = fault(told.get("error", "internal"), told.get("message", ""))
            # That nobody answered in time is noticed by whoever waits for the answer.
            if not isinstance(self._error, TimeoutError):
                raise self._error
            return
        end = LENGTH_BYTES + int.from_bytes(answer[:LENGTH_BYTES], "little")
        body = memoryview(answer)[end:]
        head = response_head(json.loads(answer[LENGTH_BYTES:end]), method, len(body))
        self._response = [memoryview(head), body]

    def _origin(self):
        host, port = self._address[:2]
        if isinstance(host, bytes):
            host = host.decode()
        if not host.isascii():
            host = host.encode("idna").decode()
        shown = f"[{host}]" if ":" in host else host
        scheme, usual = ("https", HTTPS_PORT) if self._is_https else ("http", HTTP_PORT)
        return f"{scheme}://{shown}" if port == usual else f"{scheme}://{shown}:{port}"

    # === what is read ===

    def recv(self, size, flags=0):
        parts = self._response
        while parts and not parts[0]:
            del parts[0]
        if not parts:
            self._check_ended()
            return b""
        found = bytes(parts[0][:size])
        if not flags & library.MSG_PEEK:
            parts[0] = parts[0][size:]
        return found

    def recv_into(self, buffer, size=0, flags=0):
        with memoryview(buffer) as view, view.cast("B") as view:
            found = self.recv(size or len(view), flags)
            view[:len(found)] = found
        return len(found)

    def _check_ended(self):
        if self._error is not None:
            raise self._error
        if self._request is not None:
            # Whoever waits before there is a request speaks something else.
            raise OSError(errno.ENOTSUP, "the request is not complete" if self._request else ONLY_HTTP)

    # === what an ordinary one has as well ===

    def settimeout(self, timeout):
        self._timeout = None if timeout is None else float(timeout)
        if timeout is not None and self._timeout < 0:
            raise ValueError("Timeout value out of range")

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
        if self._address is None:
            raise OSError(errno.ENOTCONN, "the socket is not connected")
        return self._address

    def getsockname(self):
        return ("0.0.0.0", 0)

    def fileno(self):
        return -1

    detach = fileno

    def shutdown(self, how):
        pass

    def _real_close(self, *arguments):
        self._closed = True
        self._response = []


# === HTTP ===


def whole_request(written):
    """(method, target, headers, body) once all of a request was written; None before that."""
    end = written.find(b"\r\n\r\n")
    line = bytes(written[:HEAD_BYTES_MAX].partition(b"\r\n")[0])
    if end < 0:
        if not METHOD_BEGUN.match(line) or (len(line) < len(written) and not REQUEST_LINE.fullmatch(line)):
            refuse()
        if len(written) > HEAD_BYTES_MAX:
            raise fault("outbound_request_too_large", f"the head of a request may have {HEAD_BYTES_MAX} bytes")
        return None
    found = REQUEST_LINE.fullmatch(line)
    if found is None:
        refuse()
    method, target = (part.decode("latin-1") for part in found.groups())
    if method == "CONNECT" or not target.startswith("/"):
        raise fault("outbound_request_invalid", NO_PROXY)
    headers = headers_of(written[len(line) + 2:end].decode("latin-1"))
    values = {name.lower(): value.strip() for name, value in headers}
    body = memoryview(written)[end + 4:]
    if values.get("transfer-encoding", "").lower() == "chunked":
        whole = unchunked(body)
    else:
        whole = of_length(body, values.get("content-length", "0"))
    body.release()
    if whole is None:
        return None
    return method, target, [pair for pair in headers if pair[0].lower() not in HEADERS_LEFT_OUT], whole


def headers_of(text):
    headers = []
    for line in text.split("\r\n") if text else ():
        if line[:1] in (" ", "\t") and headers:
            headers[-1][1] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise fault("outbound_request_invalid", f"{line[:100]!r} is no header")
        headers.append([name, value.strip(" \t")])
    return headers


def of_length(body, said):
    if not said.isdecimal():
        raise fault("outbound_request_invalid", f"{said[:100]!r} is no length of a body")
    return bytes(body[:int(said)]) if len(body) >= int(said) else None


def unchunked(body):
    """A body that was written in chunks (RFC 9112, 7.1), without its trailers; None if its end is not there."""
    if body[-4:] != b"\r\n\r\n":
        return None
    written, whole, at = bytes(body), [], 0
    while True:
        end = written.find(b"\r\n", at)
        if end < 0:
            return None
        size = written[at:end].partition(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError:
            raise fault("outbound_request_invalid", f"{size[:100]!r} is no length of a chunk") from None
        at = end + 2
        if length == 0:
            is_ended = written.startswith(b"\r\n", at) or written.find(b"\r\n\r\n", at) >= 0
            return b"".join(whole) if is_ended else None
        if len(written) < at + length + 2:
            return None
        whole.append(written[at:at + length])
        at += length + 2


def response_head(head, method, length):
    status = head["status"]
    has_body = method != "HEAD" and status not in WITHOUT_BODY
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
    http = sys.modules.get("http")
    try:
        return http.HTTPStatus(status).phrase
    except (AttributeError, ValueError):
        return ""


# === the module socket ===


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """The name itself: its addresses are the node's matter."""
    if isinstance(port, str):
        port = {"http": HTTP_PORT, "https": HTTPS_PORT}.get(port) or int(port)
    return [(library.AF_INET, library.SOCK_STREAM, library.IPPROTO_TCP, "", (host or "localhost", port))]


library.socket = library.SocketType = socket
library.getaddrinfo = getaddrinfo
library.gethostname = _serverledge.builtin(lambda: "localhost", "_socket", "gethostname")
for each in ("create_server", "fromfd", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "socketpair"):
    setattr(library, each, refuse)


# === deploy ===

# After so many the interpreter has learnt it.
REHEARSALS = 10


def rehearse(ask):
    """Has the interpreter learn what comes with every request: it notes in its code what it has met. Nothing is sent. It is done when
    the module has just been imported, so nobody can have changed anything in it."""
    global send, invoked
    if invoked():
        return
    present = send, invoked
    head = b'{"status": 200, "headers": [["content-type", "application/json"], ["content-length", "2"]]}'
    answer = b"%s%s{}" % (len(head).to_bytes(LENGTH_BYTES, "little"), head), False
    try:
        send, invoked = lambda request: answer, lambda: True
        for _ in range(REHEARSALS):
            ask()
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
