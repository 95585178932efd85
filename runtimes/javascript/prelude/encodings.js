// names: TextDecoder TextDecoderStream
// Encodings of TextDecoder beside UTF-8 (https://encoding.spec.whatwg.org/#names-and-labels): UTF-16, and
// windows-1252, of which ASCII and Latin 1 are labels.
(function (native, shared) {
  'use strict';

  const UNITS_AT_ONCE = 4096;
  const LABELS = {
    'utf-16le': 'csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le',
    'utf-16be': 'unicodefffe utf-16be',
    'windows-1252':
      'ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 ' +
      'iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252',
  };
  // Of the bytes from 0x80 to 0x9F; the rest is as in Unicode.
  const WINDOWS_1252 =
    '\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f' +
    '\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178';

  function textOf(units) {
    let text = '';
    for (let at = 0; at < units.length; at += UNITS_AT_ONCE)
      text += String.fromCharCode(...units.subarray(at, at + UNITS_AT_ONCE));
    return text;
  }

  const isLead = (unit) => unit >= 0xd800 && unit <= 0xdbff;

  // What is read of bytes, as decoders of the prelude tell it: [text, bytes read]; undefined if `fatal` and wrong.
  function utf16(high, low) {
    return (bytes, fatal, last) => {
      let units = new Uint16Array(bytes.length >> 1);
      for (let n = 0; n < units.length; n++) units[n] = (bytes[2 * n + high] << 8) | bytes[2 * n + low];
      const isCut = bytes.length % 2 === 1;
      // Its other half may come.
      if (!last && isLead(units.at(-1))) units = units.subarray(0, -1);
      const text = textOf(units);
      const isRight = text.isWellFormed() && !(last && isCut);
      if (fatal && !isRight) return undefined;
      if (last) {
        // A lead surrogate before half a unit is one mistake with it.
        const ends = isCut && !isLead(units.at(-1)) ? '\ufffd' : '';
        return [text.toWellFormed() + ends, bytes.length];
      }
      return [text.toWellFormed(), units.length * 2];
    };
  }

  function windows1252(bytes) {
    const text = textOf(bytes);
    return [text.replace(/[\x80-\x9f]/g, (control) => WINDOWS_1252[control.charCodeAt(0) - 0x80]), bytes.length];
  }

  const decoders = { 'utf-16le': utf16(1, 0), 'utf-16be': utf16(0, 1), 'windows-1252': windows1252 };
  const encodings = new Map();
  for (const [name, labels] of Object.entries(LABELS)) {
    const encoding = { name, decode: decoders[name] };
    for (const label of labels.split(' ')) encodings.set(label, encoding);
  }
  shared.otherEncoding = (label) => encodings.get(label);
});
