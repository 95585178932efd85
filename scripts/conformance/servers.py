"""The servers that a test of outgoing HTTP asks for: plain HTTP on loopback with the answers that the test describes."""

import contextlib
import http.server
import socket
import threading


class Endpoints(http.server.ThreadingHTTPServer):
    """A server with the endpoints of one `servers` entry of a test."""

    daemon_threads = True

    def __init__(self, endpoints):
        super().__init__(("127.0.0.1", 0), Answer)
        self.endpoints = {(each["method"], each["path"]): each for each in endpoints}


class Answer(http.server.BaseHTTPRequestHandler):
    """One request: the configured response, or an echo of the body or of the headers."""

    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body, trailers = self.body()
        endpoint = self.server.endpoints.get((self.command, self.path))
        mode = endpoint.get("mode", "static") if endpoint else None
        if endpoint is None:
            self.reply(404, [], body=b"")
        elif mode == "echo-body":
            self.reply(200, [], body=body)
        elif mode == "echo-headers":
            self.reply(200, self.echoed(trailers), body=b"")
        else:
            response = endpoint.get("response", {})
            headers = list(response.get("headers", {}).items())
            if "chunks" in response:
                self.reply(response.get("status", 200), headers, chunks=response["chunks"], trailers=response.get("trailers", {}))
            else:
                self.reply(response.get("status", 200), headers, body=response.get("body", "").encode())

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_any

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0)), {}
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        trailers = {}
        while (line := self.rfile.readline().decode().strip()):
            name, _, value = line.partition(":")
            trailers[name.lower()] = value.strip()
        return whole, trailers

    def echoed(self, trailers):
        echoed = [("x-request-method", self.command), ("x-request-path", self.path)]
        echoed += [(f"x-echo-{name.lower()}", value) for name, value in self.headers.items()]
        return echoed + [(f"x-trailer-{name}", value) for name, value in trailers.items()]

    def reply(self, status, headers, body=None, chunks=(), trailers=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.close_connection = True
        self.send_header("Connection", "close")
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
            if trailers:
                self.send_header("Trailer", ", ".join(trailers))
        self.end_headers()
        if self.command == "HEAD":
            return
        if body is not None:
            self.wfile.write(body)
            return
        for chunk in chunks:
            self.wfile.write(f"{len(chunk.encode()):x}\r\n{chunk}\r\n".encode())
        ending = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
        self.wfile.write(f"0\r\n{ending}\r\n".encode())

    def log_message(self, *_):
        """Nothing: the run has its own lines."""


@contextlib.contextmanager
def running(servers):
    """Starts the servers of a test; gives the variables that tell the guest their addresses."""
    variables, started = {}, []
    try:
        for server in servers:
            name = f"HTTP_SERVER_{server['name'].upper()}"
            if server.get("kind") == "closed":
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    variables[name] = f"127.0.0.1:{free.getsockname()[1]}"
                continue
            endpoints = Endpoints(server.get("endpoints", []))
            started.append(endpoints)
            variables[name] = f"127.0.0.1:{endpoints.server_address[1]}"
            threading.Thread(target=endpoints.serve_forever, daemon=True).start()
        yield variables
    finally:
        for endpoints in started:
            endpoints.shutdown()
            endpoints.server_close()
