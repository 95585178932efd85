// Expressions over the language and its library, compared with what Node.js gave: probes.txt, and probes.js for its form.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');

const { inGuest, read, written } = require('./probes.js');

const sections = read();
const all = sections.flatMap(({ probes }) => probes);

before(() => {
  const got = inGuest(all.map(({ expression }) => expression));
  all.forEach((probe, at) => {
    probe.got = got[at];
  });
});

for (const { name, probes } of sections) {
  test(name, () => {
    for (const { expression, line, expected, guest, got } of probes) {
      assert.equal(got, guest ?? expected, `probes.txt:${line}: ${expression}`);
    }
  });
}

test('each difference has its reason, and is one', () => {
  for (const { line, expected, guest, because } of all) {
    assert.notEqual(guest, expected, `probes.txt:${line} is no difference`);
    assert.equal(guest === undefined, because === undefined, `probes.txt:${line}: a difference and its reason come together`);
  }
});

test('the file is as it would be written', () => {
  assert.equal(fs.readFileSync(path.join(__dirname, 'probes.txt'), 'utf8'), written(sections));
});
