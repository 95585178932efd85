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

// What a webhook says; without an id it says nothing.
function delivery(json) {
  try {
    const { id, text } = JSON.parse(json);
    return typeof id === 'string' && id !== '' ? { id, text } : {};
  } catch {
    return {};
  }
}

// The variable TICKETS_KEY holds a placeholder: the node puts the key in its place, for this host only.
async function openTicket(env, ticket) {
  const answer = await fetch(env.TICKETS_URL, {
    method: 'POST',
    headers: { authorization: `Bearer ${env.TICKETS_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(ticket),
  });
  if (!answer.ok) throw new Error(`the ticket service answered ${answer.status}`);
}

export default {
  async fetch(request, env) {
    if (request.method !== 'POST') return new Response('send a webhook with POST\n', { status: 405, headers: { allow: 'POST' } });
    const body = await request.arrayBuffer();
    if (!(await isSigned(body, request.headers.get('x-signature'), env.WEBHOOK_KEY))) {
      return Response.json({ error: 'the signature is missing or wrong' }, { status: 401 });
    }
    const { id, text } = delivery(new TextDecoder().decode(body));
    if (id === undefined) return Response.json({ error: 'a webhook is JSON with an id' }, { status: 400 });

    // Senders send again until they are answered. Only one of them finds no entry. It ends after a minute, so that a call that is
    // stopped half-way leaves room for another.
    const entry = `delivery/${id}`;
    if ((await kv.compareAndSet(entry, null, 'under way', { ttl: 60 })) === null) {
      if ((await kv.get(entry)) === 'opened') return Response.json({ id, ticket: 'opened before' });
      const later = { status: 503, headers: { 'retry-after': '60' } };
      return Response.json({ error: 'the same webhook is under way: send it again' }, later);
    }
    try {
      await openTicket(env, { id, text });
    } catch (error) {
      await kv.delete(entry);
      return Response.json({ error: error.cause?.message ?? error.message }, { status: 502 });
    }
    await kv.set(entry, 'opened', { ttl: 24 * 3600 });
    return Response.json({ id, ticket: 'opened', deliveries: await kv.increment('deliveries') }, { status: 201 });
  },
};
