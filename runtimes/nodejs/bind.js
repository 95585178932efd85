// The function that a bind brings: its description, its files.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');

const { Malformed } = require('./errors.js');

function expect(value, name, kind) {
  const found = value?.[name];
  const fits = kind === 'object' ? found !== null && typeof found === 'object' && !Array.isArray(found)
    : kind === 'array' ? Array.isArray(found)
      : kind === 'size' ? Number.isSafeInteger(found) && found >= 0 : typeof found === kind;
  if (!fits) throw new Malformed(400, `the body is malformed: '${name}' is missing or of the wrong type`);
  return found;
}

// Checks all of the body, so that nothing has been written when it is refused.
function readBind(body) {
  const broken = (why) => new Malformed(400, `the body is malformed: ${why}`);
  let end = body.length < 4 ? Infinity : 4 + body.readUInt32BE(0);
  if (end > body.length) throw broken('it ends before its description does');
  let head;
  try {
    head = JSON.parse(body.toString('utf8', 4, end));
  } catch (error) {
    throw broken(error.message);
  }
  const variables = { ...expect(head, 'env', 'object'), ...expect(head, 'secrets', 'object') };
  for (const [name, value] of Object.entries(variables)) {
    if (typeof value !== 'string' || !/^[^=\0]+$/.test(name) || value.includes('\0')) throw broken(`the variable '${name}' cannot be set`);
  }
  const files = expect(head, 'files', 'array').map((file) => {
    const name = expect(file, 'path', 'string');
    const start = end;
    end += expect(file, 'bytes', 'size');
    if (name.includes('\0') || name.split('/').some((part) => ['', '.', '..'].includes(part))) {
      throw broken(`the file '${name}' has no valid path`);
    }
    return { path: name, content: body.subarray(start, end), mode: file.executable ? 0o755 : 0o644 };
  });
  if (end !== body.length) throw broken(`the files end at byte ${end} of ${body.length}`);
  return {
    handler: expect(head, 'handler', 'string'),
    logBytesMax: expect(head, 'log_bytes_max', 'size'),
    outputBytesMax: expect(head, 'output_bytes_max', 'size'),
    concurrency: expect(head, 'concurrency', 'size'),
    memoryMb: expect(head, 'memory_mb', 'size'),
    // Nodes of before have no such members.
    logTimes: head.log_times === true,
    outbound: head.outbound === true,
    variables,
    files,
  };
}

// V8 fixes the size of its heap when it starts, before anybody knows the function: images give it one that is never reached, so
// that the container's memory is the limit. What can be set later is how much the heap may grow from one collection to the
// next; by default it may become four times as large, which a small container has no room for.
function collectFor(memoryMb) {
  const percent = memoryMb <= 256 ? 20 : memoryMb <= 1024 ? 50 : 100;
  v8.setFlagsFromString(`--heap-growing-percent=${percent}`);
}

function writeFiles(files, codeDir) {
  const made = new Set(['.']);
  for (const file of files) {
    const folder = path.dirname(file.path);
    if (!made.has(folder)) {
      fs.mkdirSync(path.join(codeDir, folder), { recursive: true });
      made.add(folder);
    }
    fs.writeFileSync(path.join(codeDir, file.path), file.content, { mode: file.mode });
  }
}

module.exports = { collectFor, readBind, writeFiles };
