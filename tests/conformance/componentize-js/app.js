// Greets and adds up: a component that answers requests, in JavaScript.
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types@0.2.12';

function bodyOf(request) {
  const body = request.consume();
  const stream = body.stream();
  const parts = [];
  try {
    for (;;) parts.push(...stream.blockingRead(65536n));
  } catch {
    // The end of the stream.
  }
  return new TextDecoder().decode(Uint8Array.from(parts));
}

export const incomingHandler = {
  handle(request, out) {
    const { name, n } = JSON.parse(bodyOf(request));
    let sum = 0;
    for (let each = 1; each <= n; each += 1) sum += each;
    const response = new OutgoingResponse(Fields.fromList([['content-type', new TextEncoder().encode('application/json')]]));
    const body = response.body();
    ResponseOutparam.set(out, { tag: 'ok', val: response });
    const stream = body.write();
    stream.blockingWriteAndFlush(new TextEncoder().encode(JSON.stringify({ message: `Hello, ${name}!`, sum })));
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
