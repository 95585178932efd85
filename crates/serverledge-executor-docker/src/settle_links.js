// Runs when npm has installed packages that lie in the upload's own folders, to which it has made links. When the function runs,
// the links would lead nowhere: each becomes a copy of what it leads to.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const ROOT = process.cwd();
const MODULES = path.join(ROOT, 'node_modules');
// Where the folder is when the function runs.
const LATER = '/app/node_modules';

const isWithin = (folder, file) => file === folder || file.startsWith(folder + path.sep);
// By the folder that was copied: where its copy is.
const copies = new Map();

function settle(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const at = path.join(folder, entry.name);
    if (entry.isDirectory() && entry.name.startsWith('@')) settle(at);
    if (!entry.isSymbolicLink()) continue;
    const real = realpath(at);
    if (real === undefined || isWithin(MODULES, real) || !isWithin(ROOT, real) || !fs.statSync(real).isDirectory()) continue;
    fs.unlinkSync(at);
    copy(real, at);
  }
}

function realpath(link) {
  try {
    return fs.realpathSync(link);
  } catch {
    return undefined;
  }
}

function copy(folder, to) {
  copies.set(folder, to);
  fs.mkdirSync(to);
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const [from, at] = [path.join(folder, entry.name), path.join(to, entry.name)];
    // A package in the upload's root would hold itself.
    if (from === MODULES) continue;
    if (entry.isDirectory()) copy(from, at);
    else if (entry.isFile()) fs.copyFileSync(from, at);
    else if (entry.isSymbolicLink()) copyLink(from, at);
  }
}

function copyLink(from, at) {
  const real = realpath(from);
  if (real === undefined || !isWithin(ROOT, real)) return;
  if (isWithin(MODULES, real)) fs.symlinkSync(LATER + real.slice(MODULES.length), at);
  else if (copies.has(real)) fs.symlinkSync(LATER + copies.get(real).slice(MODULES.length), at);
  else if (fs.statSync(real).isDirectory()) copy(real, at);
  else fs.copyFileSync(real, at);
}

if (fs.existsSync(MODULES)) settle(MODULES);
