"""The smallest server of the executor protocol; what it runs is `probes.handler`."""
import os

# Before anything looks a name up: a resolver that does not answer is not waited for longer than that.
os.environ["RES_OPTIONS"] = "timeout:1 attempts:1"

import http.server
import json
import socketserver

import probes


class Executor(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            reply = {"Success": True, "Result": json.dumps(probes.handler(request["Params"])), "Output": "ran\n"}
        except Exception as error:
            reply = {"Success": False, "Error": f"{type(error).__name__}: {error}"}
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("0.0.0.0", 8080), Executor).serve_forever()
