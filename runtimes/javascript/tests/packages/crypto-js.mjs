import CryptoJS from 'crypto-js';

export default ({ text }) => {
  const key = CryptoJS.enc.Hex.parse('000102030405060708090a0b0c0d0e0f');
  const iv = CryptoJS.enc.Hex.parse('101112131415161718191a1b1c1d1e1f');
  const sealed = CryptoJS.AES.encrypt(text, key, { iv });
  const worded = CryptoJS.AES.decrypt(CryptoJS.AES.encrypt(text, 'words'), 'words');
  const stream = CryptoJS.algo.SHA256.create().update('a').update(text);
  return {
    digests: ['MD5', 'SHA1', 'SHA256', 'SHA384', 'SHA512', 'SHA3', 'RIPEMD160'].map((name) => CryptoJS[name](text).toString()),
    keyed: [CryptoJS.HmacSHA256(text, 'key').toString(CryptoJS.enc.Base64), CryptoJS.PBKDF2(text, key, { keySize: 8, iterations: 5 }).toString(), CryptoJS.EvpKDF(text, key, { keySize: 4 }).toString()],
    sealed: [sealed.toString(), CryptoJS.AES.decrypt(sealed, key, { iv }).toString(CryptoJS.enc.Utf8), worded.toString(CryptoJS.enc.Utf8)],
    others: [CryptoJS.TripleDES.encrypt(text, key, { iv, mode: CryptoJS.mode.CBC }).toString(), CryptoJS.Rabbit.encrypt(text, key).toString(), CryptoJS.RC4.encrypt(text, key).toString(), CryptoJS.AES.encrypt(text, key, { mode: CryptoJS.mode.ECB, padding: CryptoJS.pad.AnsiX923 }).ciphertext.toString()],
    stream: stream.finalize().toString(),
    words: [CryptoJS.enc.Utf16.parse('aé').words, CryptoJS.lib.WordArray.random(8).sigBytes],
  };
};
