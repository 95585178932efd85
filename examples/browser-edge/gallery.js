// Receives a thumbnail that was made in a browser, and answers with an id and its size.
const BYTES_MAX = 100_000;

module.exports = async ({ name, image }) => {
  if (typeof name !== 'string' || typeof image !== 'string') throw new TypeError('name and image must be text');
  const bytes = Uint8Array.from(atob(image), (character) => character.charCodeAt(0));
  // Whoever sends it may have made it up: what a page may send is bounded here, at the node.
  if (bytes.length > BYTES_MAX) throw new RangeError(`a thumbnail has at most ${BYTES_MAX} bytes`);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const id = Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('');
  console.log(`${id} ${bytes.length} ${name}`);
  return { id, bytes: bytes.length };
};
