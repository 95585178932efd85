import { blake2b } from '@noble/hashes/blake2.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { md5, ripemd160, sha1 } from '@noble/hashes/legacy.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { scrypt } from '@noble/hashes/scrypt.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { keccak_256, sha3_256, shake128 } from '@noble/hashes/sha3.js';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';

export default ({ text }) => {
  const bytes = utf8ToBytes(text);
  const stream = sha256.create();
  for (let at = 0; at < 200; at += 1) stream.update(Uint8Array.of(at));
  return {
    digests: [sha256, sha384, sha512, sha3_256, keccak_256, blake2b, blake3, sha1, md5, ripemd160].map((each) => bytesToHex(each(bytes))),
    keyed: [hmac(sha256, bytes, utf8ToBytes('m')), hkdf(sha256, bytes, undefined, utf8ToBytes('info'), 40), pbkdf2(sha256, text, 'salt', { c: 10, dkLen: 20 }), scrypt(text, 'salt', { N: 16, r: 2, p: 1, dkLen: 24 }), shake128(bytes, { dkLen: 50 })].map(bytesToHex),
    stream: bytesToHex(stream.digest()),
    helpers: [concatBytes(bytes, hexToBytes('00ff')).length, bytesToHex(Uint8Array.of(1, 171))],
    fault: (() => {
      try {
        return sha256('text');
      } catch (error) {
        return [error.name, error.message];
      }
    })(),
  };
};
