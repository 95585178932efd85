// The tables in docs/ that scripts write.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const DOCS = path.join(__dirname, '..', '..', '..', 'docs');

// What is told without a trace.
class Fault extends Error {}

// Puts a text, with the lines that it begins and ends with, in the place of the old one, or compares it.
function keep(file, isCheck, first, last, text) {
  const document = fs.readFileSync(path.join(DOCS, file), 'utf8');
  const [begin, end] = [document.indexOf(first), document.indexOf(last)];
  if (begin < 0 || end < begin)
    throw new Fault(`docs/${file} lacks the lines ${first} and ${last}, between which the table stands`);
  const written = document.slice(0, begin) + text + document.slice(end + last.length);
  if (!isCheck) fs.writeFileSync(path.join(DOCS, file), written);
  else if (written !== document) {
    const before = document.slice(begin, end).split('\n');
    const changed = text.split('\n').filter((line) => !before.includes(line) && line !== last);
    throw new Fault(
      `the table of docs/${file} is not what was measured; it is written without --check. Lines that are new:\n${changed.join('\n')}`,
    );
  }
}

module.exports = { Fault, keep };
