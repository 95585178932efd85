// Receives webhooks: checks who sent one, notes that it came, and opens a ticket for it at another service.
import { kv } from 'serverledge';

const encoder = new TextEncoder();

// Whether the sender knows the key: an HMAC of the body, in hexadecimal digits behind `sha256=`.
async function isSigned(body, signature, key) {
  const usages = ['verify'];
  const imported = await crypto.subtle.importKey('raw', encoder.encode(key), { name: 'HMAC', hash: 'SHA-256' }, false, usages);
  const digits = /^sha256=((?:[0-9a-f]{2}){32})$/.exec(signature ?? '')?.[1];
  if (digits === undefined) return false;
  const bytes = Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
  return crypto.subtle.verify('HMAC', imported, bytes, body);
}

export default {
  async fetch(request, env) {
    if (request.method !== 'POST') return new Response('send a webhook with POST\n', { status: 405, headers: { allow: 'POST' } });
    const body = await request.arrayBuffer();
    if (!(await isSigned(body, request.headers.get('x-signature'), env.WEBHOOK_KEY))) {
      return Response.json({ error: 'the signature is missing or wrong' }, { status: 401 });
    }
    const { id, text } = JSON.parse(new TextDecoder().decode(body));

    // Senders send again until they are answered. Only the first of them finds no entry; it is kept for a day.
    const entry = `delivery/${id}`;
    const isNew = (await kv.compareAndSet(entry, null, 'under way', { ttl: 24 * 3600 })) !== null;
    if (!isNew) return Response.json({ id, ticket: 'opened before', deliveries: await kv.increment('deliveries', 0) });

    // The variable TICKETS_KEY holds a placeholder: the node puts the key in its place, for this host only.
    const answer = await fetch(env.TICKETS_URL, {
      method: 'POST',
      headers: { authorization: `Bearer ${env.TICKETS_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ id, text }),
    });
    if (!answer.ok) {
      await kv.delete(entry);
      return Response.json({ error: `the ticket service answered ${answer.status}` }, { status: 502 });
    }
    return Response.json({ id, ticket: 'opened', deliveries: await kv.increment('deliveries') }, { status: 201 });
  },
};
