// Errors in words.
'use strict';

const path = require('node:path');

// Bounds against a peer gone wrong; the node has its own, tighter ones.
const MESSAGE_CHARS_MAX = 16 * 1024;
const STACK_CHARS_MAX = 64 * 1024;

// Frames in these files are the agent's.
const FOLDER = path.dirname(__filename) + path.sep;

// There is no such file or function, or it cannot be called.
class NoHandler extends Error {}

class Malformed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function shorten(text, limit) {
  return text.length <= limit ? text : `${text.slice(0, limit / 2)}\n…\n${text.slice(-limit / 2)}`;
}

// An exception as the node wants it: its type, its message, and a stack of the function's own frames. Anything can be thrown,
// and what is thrown can refuse to be looked at.
function describe(thrown) {
  try {
    if (thrown === null || typeof thrown !== 'object') {
      return { error: typeof thrown, message: shorten(String(thrown), MESSAGE_CHARS_MAX), stack: '' };
    }
    const name = thrown.name ?? thrown.constructor?.name ?? 'object';
    const message = thrown.message ?? JSON.stringify(thrown);
    return {
      error: String(name),
      message: shorten(String(message), MESSAGE_CHARS_MAX),
      stack: shorten(ownFrames(String(thrown.stack ?? '')), STACK_CHARS_MAX),
    };
  } catch {
    return { error: 'Error', message: '(the error cannot say what it is)', stack: '' };
  }
}

function ownFrames(stack) {
  return stack.split('\n')
    .filter((line) => !/^\s+at /.test(line) || !(line.includes('node:internal/') || line.includes(FOLDER)))
    .join('\n');
}

module.exports = { Malformed, NoHandler, describe };
