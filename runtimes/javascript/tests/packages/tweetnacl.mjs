import nacl from 'tweetnacl';

const bytes = (length, by) => Uint8Array.from({ length }, (_, at) => (at * by + 3) & 255);
const text = (array) => Buffer.from(array).toString('hex');

export default () => {
  const [nonce, key, message] = [bytes(24, 5), bytes(32, 7), bytes(50, 11)];
  const box = nacl.secretbox(message, nonce, key);
  const pair = nacl.sign.keyPair.fromSeed(key);
  const signed = nacl.sign.detached(message, pair.secretKey);
  const other = nacl.box.keyPair.fromSecretKey(bytes(32, 13));
  const own = nacl.box.keyPair.fromSecretKey(key);
  const sealed = nacl.box(message, nonce, other.publicKey, own.secretKey);
  const broken = Uint8Array.from(box, (each, at) => (at === 20 ? each ^ 1 : each));
  return {
    hash: text(nacl.hash(message)),
    box: [text(box), text(nacl.secretbox.open(box, nonce, key)), nacl.secretbox.open(broken, nonce, key)],
    sign: [text(pair.publicKey), text(signed), nacl.sign.detached.verify(message, signed, pair.publicKey), nacl.sign.detached.verify(key, signed, pair.publicKey)],
    sealed: [text(sealed), text(nacl.box.open(sealed, nonce, own.publicKey, other.secretKey))],
    shared: text(nacl.scalarMult(key, other.publicKey)),
    random: [nacl.randomBytes(16).length, nacl.verify(key, bytes(32, 7))],
  };
};
