"""The request that a program writes to a socket, read strictly as RFC 9112 has it. What two readers could understand in
two ways is an error, and nothing of it is sent."""

import errno
import re

from _serverledge_errors import OTHER_RUNTIME

# The longest request that the node takes, and the longest head.
REQUEST_BYTES_MAX = 6 << 20
HEAD_BYTES_MAX = 64 << 10
# A line between chunks, or of the trailers behind them.
LINE_BYTES_MAX = 4096
SHOWN_CHARS = 100
CLIENTS = "urllib.request, http.client, requests and the like"
ONLY_HTTP = f"only HTTP goes out of the runtime python-wasm, by {CLIENTS}: {OTHER_RUNTIME}"
NO_PROXY = "the runtime python-wasm sends no requests through a proxy: the node sends them itself"

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
METHOD_BEGUN = re.compile(rb"%s{1,32}(?: |\Z)" % TOKEN)
REQUEST_LINE = re.compile(rb"(%s+) ([!-~]+) HTTP/1\.([01])" % TOKEN)
HEADER_NAME = re.compile(rb"%s+" % TOKEN)
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# A CR or an LF without the other one. A CR at the end may still get its LF.
BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r[^\n]")
LENGTH = re.compile(rb"[0-9]{1,18}")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
# Of the connection, which is the node's.
HEADERS_LEFT_OUT = frozenset(("host", "connection", "keep-alive", "proxy-connection", "transfer-encoding"))

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
    """An OSError of the fitting kind, such as PermissionError or TimeoutError. Its `code` is stable."""
    error = OSError(ERRNO.get(code, errno.EIO), message)
    error.code = code
    return error


def invalid(what):
    return fault("outbound_request_invalid", f"the request is malformed, and was not sent: {what}")


def too_large(what="a request", bytes_max=REQUEST_BYTES_MAX):
    return fault("outbound_request_too_large", f"{what} may have {bytes_max} bytes")


def shown(text):
    return repr(text[:SHOWN_CHARS].decode("latin-1"))


class Request:
    """A request, as far as it was written. Of its framing no more is kept than the line that is not complete yet."""

    def __init__(self):
        self.method = self.target = None
        self.headers = []
        self.body = bytearray()
        self.is_begun = self.is_complete = False
        # Whether the client waits to be told that it shall go on.
        self.awaits_continue = False
        self._line = bytearray()
        self._line_is_checked = False
        # What is left of the body, or of the chunk; the bytes of the trailers so far.
        self._left = self._trailer_bytes = 0
        self._read = self._read_head

    def write(self, data):
        """Reads on. Each byte is looked at once, however many parts the request is written in."""
        at = 0
        while at < len(data):
            if self.is_complete:
                raise invalid(f"behind its end there is {shown(data[at:])}")
            self.is_begun = True
            at = self._read(data, at)

    def missing(self):
        """What is to be written yet, in words."""
        if not self.is_begun:
            return ONLY_HTTP
        if self._read == self._read_head:
            return "the request is not complete: its head does not end"
        if self._read == self._read_content:
            return f"the request is not complete: its Content-Length says that {self._left} more bytes come"
        return "the request is not complete: its last chunk is missing"

    # === the head ===

    def _read_head(self, data, at):
        line, before = self._line, len(self._line)
        # With the empty line behind it.
        line += memoryview(data)[at:at + HEAD_BYTES_MAX + 4 - before]
        if not METHOD_BEGUN.match(line):
            raise OSError(errno.ENOTSUP, ONLY_HTTP)
        end = line.find(b"\r\n\r\n", max(0, before - 3))
        bare = BARE_LINE_END.search(line, max(0, before - 1), len(line) if end < 0 else end)
        if bare is not None:
            raise invalid("a line of its head ends with CR or LF alone, or has one within")
        self._check_line(max(0, before - 1))
        if end < 0:
            if len(line) == HEAD_BYTES_MAX + 4:
                raise too_large("the head of a request", HEAD_BYTES_MAX)
            return at + len(line) - before
        first, *others = bytes(line[:end]).split(b"\r\n")
        line.clear()
        self._take_head(first, headers_of(others))
        return at + end + 4 - before

    def _check_line(self, begin):
        """Whoever speaks something else is told so at its first line."""
        if self._line_is_checked:
            return
        end = self._line.find(b"\r\n", begin)
        if end >= 0:
            self._line_is_checked = True
            if not REQUEST_LINE.fullmatch(self._line, 0, end):
                raise OSError(errno.ENOTSUP, ONLY_HTTP)

    def _take_head(self, line, headers):
        method, target, version = REQUEST_LINE.fullmatch(line).groups()
        self.method, self.target = method.decode(), target.decode()
        if self.method == "CONNECT" or (not target.startswith(b"/") and b"://" in target):
            raise fault("outbound_request_invalid", NO_PROXY)
        if not target.startswith(b"/"):
            raise invalid(f"its target is {shown(target)}, and the node sends requests for paths only")
        named = {}
        for name, value in headers:
            named.setdefault(name.lower(), []).append(value)
        if len(named.get("host", ())) > 1:
            raise invalid("it has more than one Host")
        self.headers = [pair for pair in headers if pair[0].lower() not in HEADERS_LEFT_OUT]
        self._begin_body(named.get("content-length", ()), named.get("transfer-encoding", ()), version == b"1")
        if [each.lower() for each in named.get("expect", ())] == ["100-continue"]:
            # That is settled between the program and the socket: the node has the body already.
            self.headers = [pair for pair in self.headers if pair[0].lower() != "expect"]
            self.awaits_continue = not self.is_complete and version == b"1"

    def _begin_body(self, lengths, codings, has_chunks):
        if lengths and codings:
            raise invalid("it has both Content-Length and Transfer-Encoding")
        if len(lengths) > 1:
            raise invalid(f"it has more than one Content-Length: {', '.join(lengths)[:SHOWN_CHARS]}")
        if codings:
            if [each.lower() for each in codings] != ["chunked"]:
                told = ", ".join(codings)[:SHOWN_CHARS]
                raise invalid(f"its Transfer-Encoding is {told!r}, and only chunked can be read")
            if not has_chunks:
                raise invalid("HTTP/1.0 has no Transfer-Encoding")
            self._read = self._read_chunk_size
            return
        length = lengths[0].encode("latin-1") if lengths else b"0"
        if not LENGTH.fullmatch(length):
            raise invalid(f"its Content-Length is {shown(length)}, which is no length")
        self._left = int(length)
        if self._left > REQUEST_BYTES_MAX:
            raise too_large()
        self._read, self.is_complete = self._read_content, self._left == 0

    # === the body ===

    def _take_content(self, data, at):
        count = min(self._left, len(data) - at)
        self.body += memoryview(data)[at:at + count]
        self._left -= count
        return at + count

    def _read_content(self, data, at):
        at = self._take_content(data, at)
        self.is_complete = self._left == 0
        return at

    def _read_chunk_size(self, data, at):
        line, at = self._take_line(data, at)
        if line is None:
            return at
        found = CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise invalid(f"{shown(line)} is no size of a chunk")
        self._left = int(found[1], 16)
        if len(self.body) + self._left > REQUEST_BYTES_MAX:
            raise too_large()
        self._read = self._read_chunk if self._left else self._read_trailer
        return at

    def _read_chunk(self, data, at):
        at = self._take_content(data, at)
        if self._left == 0:
            self._read = self._read_chunk_end
        return at

    def _read_chunk_end(self, data, at):
        count = 2 - len(self._line)
        self._line += data[at:at + count]
        if not b"\r\n".startswith(self._line):
            raise invalid("the data of a chunk are longer than its size says")
        if len(self._line) == 2:
            self._line.clear()
            self._read = self._read_chunk_size
        return min(at + count, len(data))

    def _read_trailer(self, data, at):
        """Trailers are read, and go no further."""
        line, at = self._take_line(data, at)
        if line:
            headers_of([line])
            self._trailer_bytes += len(line)
            if self._trailer_bytes > HEAD_BYTES_MAX:
                raise too_large("the trailers of a request", HEAD_BYTES_MAX)
        self.is_complete = line == b""
        return at

    def _take_line(self, data, at):
        """The next line, None if it is not complete yet; and the place behind it."""
        end = data.find(b"\n", at, at + LINE_BYTES_MAX) + 1
        stop = end or min(at + LINE_BYTES_MAX, len(data))
        self._line += data[at:stop]
        if len(self._line) > LINE_BYTES_MAX or (not end and len(self._line) == LINE_BYTES_MAX):
            raise invalid(f"a line between its chunks has more than {LINE_BYTES_MAX} bytes")
        if not end:
            return None, stop
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise invalid("a line between its chunks ends with LF alone")
        return line[:-2], stop


def headers_of(lines):
    headers = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            raise invalid(f"{shown(line)} continues the header in the line before, and lines cannot be folded")
        name, colon, value = line.partition(b":")
        if not colon:
            raise invalid(f"{shown(line)} is no header")
        if name != name.rstrip(b" \t"):
            raise invalid(f"there is white space between the header {shown(name)} and its colon")
        if not HEADER_NAME.fullmatch(name):
            raise invalid(f"{shown(name)} is no name of a header")
        value = value.strip(b" \t")
        if CONTROL.search(value):
            raise invalid(f"the header {shown(name)} has a control character in its value")
        headers.append([name.decode(), value.decode("latin-1")])
    return headers
