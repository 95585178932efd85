"""A function as an image of its own: a server on port 8080 that speaks Serverledge's executor protocol, which is described at
the end of docs/container-protocol.md. Any language and any program will do; this one needs only Python's library.

It counts the words of a text.
"""

import collections
import http.server
import json

PORT = 8080
BODY_BYTES_MAX = 16 * 1024 * 1024


def count_words(params):
    words = collections.Counter(params["text"].lower().split())
    return {"words": sum(words.values()), "most_common": words.most_common(3)}


def invoke(request):
    """The answer to one invocation. Whatever goes wrong is the function's failure, not the server's."""
    try:
        params = request.get("Params") or {}
        return {"Success": True, "Result": json.dumps(count_words(params)), "Output": "counted\n"}
    except Exception as error:
        return {"Success": False, "Result": "", "Output": f"{type(error).__name__}: {error}\n"}


class Handler(http.server.BaseHTTPRequestHandler):
    # Connections are kept, and so have to be answered with a length.
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if self.path != "/invoke" or length > BODY_BYTES_MAX:
            self.send_error(404 if self.path != "/invoke" else 413)
            return
        body = json.dumps(invoke(json.loads(self.rfile.read(length)))).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """No line for each request."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()
