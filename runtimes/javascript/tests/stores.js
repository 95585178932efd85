// What the node has behind `serverledge::kv`, in memory: stores by name, entries by key.
'use strict';

class Stores {
  // The clock, in milliseconds.
  now = 1_000_000;
  #version = 0;
  #stores = new Map();

  #entries(name = 'default') {
    if (!this.#stores.has(name)) this.#stores.set(name, new Map());
    const entries = this.#stores.get(name);
    for (const [key, { end }] of entries) if (end <= this.now) entries.delete(key);
    return entries;
  }

  #write(entries, key, value, ttl) {
    const version = String(++this.#version);
    entries.set(key, { value: Buffer.from(value), version, end: ttl && this.now + ttl });
    return version;
  }

  // { head, body } or { error, message }.
  answer(head, body) {
    const { op, store, key, ttl_ms: ttl } = head;
    if (key === 'unavailable') return { error: 'kv_unavailable', message: 'the store cannot be reached' };
    const entries = this.#entries(store);
    const found = entries.get(key);
    switch (op) {
      case 'get':
        return found ? { head: { found: true, version: found.version }, body: found.value } : { head: { found: false } };
      case 'set':
        return { head: { version: this.#write(entries, key, body, ttl) } };
      case 'delete':
        return { head: { deleted: entries.delete(key) } };
      case 'list': {
        const { prefix = '', cursor = '', limit = 100 } = head;
        const keys = [...entries.keys()].sort().filter((each) => each.startsWith(prefix) && each > cursor);
        const some = keys.slice(0, limit);
        return { head: some.length < keys.length ? { keys: some, cursor: some.at(-1) } : { keys: some } };
      }
      case 'compare_and_set':
        if ((head.expected ?? undefined) !== found?.version) return { head: { swapped: false } };
        return { head: { swapped: true, version: this.#write(entries, key, body, ttl) } };
      case 'increment': {
        const text = found ? String(found.value) : '0';
        if (!/^-?[0-9]+$/.test(text)) return { error: 'kv_not_a_number', message: 'the value is no whole number' };
        const value = String(BigInt(text) + BigInt(head.by ?? 1));
        this.#write(entries, key, value);
        return { head: { value } };
      }
      default:
        return { error: 'kv_request_invalid', message: `there is no operation ${op}` };
    }
  }
}

module.exports = { Stores };
