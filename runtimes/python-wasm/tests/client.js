// How the client fetches packages, as its own source has it.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const SOURCE = path.join(__dirname, '..', '..', '..', 'crates', 'serverledge-cli', 'src', 'source', 'pip.rs');

// The texts of a constant: `const NAME: [&str; 2] = ["a", "b"];` or `const NAME: &str = "a";`, with names of others among them.
function constant(name) {
  const found = new RegExp(`const ${name}: (?:&str|\\[&str; (\\d+)\\]) =([^;]*);`).exec(
    fs.readFileSync(SOURCE, 'utf8'),
  );
  const texts = [...(found?.[2] ?? '').matchAll(/"([^"\\]*)"|\b([A-Z_]+)\b/g)].flatMap(([, text, other]) =>
    text !== undefined ? [text] : constant(other),
  );
  if (texts.length === 0 || texts.length !== Number(found[1] ?? 1))
    throw new Error(
      `${SOURCE} has no constant ${name} of texts: the client has changed, and ${path.basename(__filename)} has to follow`,
    );
  return texts;
}

// Arguments for wheels of a kind: PURE or ANY_MACHINE.
const pipArguments = (kind) => [...constant('COMMON'), ...constant(kind)];

const rules = {
  optionalParts: constant('OPTIONAL_PARTS'),
  pureWheel: constant('PURE_WHEEL')[0],
  useless: constant('USELESS'),
  about: constant('ABOUT'),
};

module.exports = { pipArguments, rules };
