// The arguments with which the client bundles a script for the engine, as its own source has them.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const crates = path.join(__dirname, '..', '..', '..', 'crates');
const BUNDLER = path.join(crates, 'serverledge-cli', 'src', 'source', 'esbuild.rs');
const WIRE = path.join(crates, 'serverledge-wire', 'src', 'javascript.rs');

// The texts of a constant: `const NAME: [&str; 2] = ["a", "b"];` or `const NAME: &str = "a";`.
function constant(file, name) {
  const found = new RegExp(`const ${name}: (?:&str|\\[&str; (\\d+)\\]) =([^;]*);`).exec(fs.readFileSync(file, 'utf8'));
  const texts = [...(found?.[2] ?? '').matchAll(/"([^"\\]*)"/g)].map(([, text]) => text);
  if (texts.length === 0 || texts.length !== Number(found[1] ?? 1)) {
    throw new Error(
      `${file} has no constant ${name} of texts: the client has changed, and ${path.basename(__filename)} has to follow`,
    );
  }
  return texts;
}

// What `run` in esbuild.rs gives esbuild after the name of the file, for the form `Engine` of an ES module.
function engineArguments() {
  const modules = constant(WIRE, 'ENGINE_MODULES');
  return [
    ...['COMMON', 'BUNDLED', 'WORKER'].flatMap((name) => constant(BUNDLER, name)),
    ...modules.flatMap((name) => [`--external:${name}`, `--external:node:${name}`]),
    '--format=esm',
  ];
}

// The esbuild that the client fetches: `esbuild@VERSION`.
const pinned = () => constant(BUNDLER, 'PINNED')[0];

module.exports = { engineArguments, pinned };
