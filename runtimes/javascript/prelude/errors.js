// Errors in words: what was thrown as the JSON that the node gets, with the user's own frames.
(function (native, shared) {
  'use strict';

  // Together below what the node reads, also where each character takes six bytes of JSON.
  const NAME_CHARS_MAX = 256;
  const MESSAGE_CHARS_MAX = 8 * 1024;
  const STACK_CHARS_MAX = 24 * 1024;
  // Causes of causes that are shown.
  const CAUSES_DEPTH_MAX = 5;
  const { stringify } = JSON;
  const { InternalError } = globalThis;

  // An error of the engine, such as its being out of memory. What was thrown can refuse to say what it is.
  function isInternal(thrown) {
    try {
      return thrown instanceof InternalError;
    } catch {
      return false;
    }
  }

  // What is cut out of a text can leave half a character, which is no JSON for most that read it.
  function shorten(text, limit) {
    const short = text.length <= limit ? text : `${text.slice(0, limit / 2)}\n…\n${text.slice(-limit / 2)}`;
    return short.toWellFormed();
  }

  // A stack as the words it begins with and the frames behind them: without the prelude's, and without those of engine
  // functions that the prelude called. Whoever sets a stack need not give it any.
  function stackParts(stack) {
    const at = stack.search(/^\s+at /m);
    if (at < 0) return { head: stack, frames: '' };
    const lines = stack.slice(at).split('\n');
    const ours = (line) => line !== undefined && line.includes('serverledge:');
    const frames = lines.filter((line, n) => !ours(line) && !(line.endsWith('(native)') && ours(lines[n + 1])));
    return { head: stack.slice(0, at).trimEnd(), frames: frames.join('\n').trimEnd() };
  }

  function headOf(name, message) {
    return message === '' ? name : `${name}: ${message}`;
  }

  // The stack is as old as the error: a name given to it afterwards is put in, as Node.js does.
  function stackOf(error, name, message) {
    const stack = error.stack;
    if (typeof stack !== 'string' || stack === '') return '';
    const { head, frames } = stackParts(stack);
    const named = head.includes(name) ? head : headOf(name, message);
    return frames === '' ? named : `${named}\n${frames}`;
  }

  // What an error is a consequence of is told with it.
  function hasMore(error) {
    return Object.hasOwn(error, 'cause') || Array.isArray(error.errors);
  }

  // What the engine lacks is said to be lacking here, not anywhere.
  function explained(thrown, message) {
    const missing = /^([A-Za-z]+) is not defined$/.exec(message)?.[1];
    if (!shared.isLacking(missing) || !(thrown instanceof ReferenceError)) return message;
    return `${message}: the runtime javascript does not have it, the runtime nodejs has`;
  }

  // Errors of the module `serverledge` have a code: it is shown as Node.js shows its own.
  function nameOf(thrown) {
    const name = String(thrown.name ?? thrown.constructor?.name ?? 'object');
    return (name === 'KvError' || name === 'CallError') && typeof thrown.code === 'string' ? `${name} [${thrown.code}]` : name;
  }

  // An exception as its type, its message and its stack. Anything can be thrown, and what is thrown can refuse to be
  // looked at.
  function explain(thrown) {
    try {
      if (thrown === null || (typeof thrown !== 'object' && typeof thrown !== 'function')) {
        return {
          error: thrown === null ? 'object' : typeof thrown,
          message: shorten(String(thrown), MESSAGE_CHARS_MAX),
          stack: '',
        };
      }
      const name = shorten(nameOf(thrown), NAME_CHARS_MAX);
      const message = String(thrown.message ?? stringify(thrown));
      const stack = hasMore(thrown) ? shared.inspect(thrown, CAUSES_DEPTH_MAX) : stackOf(thrown, name, message);
      return {
        error: name,
        message: shorten(explained(thrown, message), MESSAGE_CHARS_MAX),
        stack: shorten(stack, STACK_CHARS_MAX),
      };
    } catch (failure) {
      // Without memory nothing can be said; C then tries again with more of it.
      if (isInternal(failure)) throw failure;
      return { error: 'Error', message: '(the error cannot say what it is)', stack: '' };
    }
  }

  // Where in the user's file it happened: what the error itself knows, or the first of its frames there.
  function placeOf(thrown, file) {
    if (Number.isInteger(thrown?.line)) return { line: thrown.line, column: thrown.column };
    for (const line of String(thrown?.stack ?? '').split('\n')) {
      const found = /^\s+at (?:.*\()?(.*):(\d+):(\d+)\)?$/.exec(line);
      if (found !== null && found[1] === file) return { line: Number(found[2]), column: Number(found[3]) };
    }
    return {};
  }

  shared.isInternal = isInternal;
  shared.explain = explain;
  shared.placeOf = placeOf;
  shared.stackOf = stackOf;
  shared.headOf = headOf;
  shared.describe = (thrown) => stringify(explain(thrown));
  shared.describeResult = (thrown) => {
    const { error, message } = explain(thrown);
    return stringify({ error, message: `the result cannot be written as JSON: ${message}`, stack: '' });
  };
  shared.describeLoad = (thrown) => {
    const file = shared.file ?? 'index.js';
    return stringify({ ...explain(thrown), file, ...placeOf(thrown, file) });
  };
  shared.logUncaught = (thrown) => {
    const { error, message, stack } = explain(thrown);
    native.log(`not caught: ${stack || headOf(error, message)}`);
  };
});
