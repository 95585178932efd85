"""Greets and adds up: a component that answers requests, in Python."""

import json

from wit_world.exports import IncomingHandler as Handler
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam
from componentize_py_types import Ok


class IncomingHandler(Handler):
    def handle(self, request, response_out):
        body = request.consume()
        stream = body.stream()
        text = b""
        try:
            while True:
                text += stream.blocking_read(65536)
        except Exception:
            pass
        params = json.loads(text)
        reply = {"message": f"Hello, {params['name']}!", "sum": sum(range(params["n"] + 1))}
        response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
        out = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with out.write() as writer:
            writer.blocking_write_and_flush(json.dumps(reply).encode())
        OutgoingBody.finish(out, None)
