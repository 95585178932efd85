// Work that goes on after an invocation has been answered: its output and its late failures go to the container's own
// log, with the invocation's name. They change nobody's answer.
'use strict';

const { describe } = require('./errors.js');

// Begins a line that is meant for the node.
const MARK = '\x1e';
// Longest line that is waited for.
const LINE_CHARS_MAX = 8 * 1024;

// Thrown by an invocation that asks the process to exit when its answer has long been given: what would have come after is not run.
class LateExit extends Error {}

// The container's own log, as the agent writes to it.
class OwnLog {
  constructor() {
    this.write = process.stderr.write.bind(process.stderr);
    this.unfit = false;
  }

  // Writes the output of an invocation after its end; line by line, each in one write.
  add(invocation, chunk, encoding) {
    if (!invocation.id) {
      this.write(chunk, encoding);
      return;
    }
    const text = typeof chunk === 'string' && (encoding === undefined || encoding === 'utf8') ? chunk : Buffer.from(chunk, encoding).toString();
    const whole = (invocation.rest ?? '') + text;
    const end = whole.length > LINE_CHARS_MAX ? whole.length : whole.lastIndexOf('\n') + 1;
    invocation.rest = whole.slice(end);
    if (end > 0) this.lines(invocation, whole.slice(0, end));
  }

  lines(invocation, text) {
    for (const line of text.replace(/\n$/, '').split('\n')) this.write(`${MARK}l${invocation.id} ${line}\n`);
  }

  // Nobody caught it, and there is no answer that it could be. An invocation is known, or it is not.
  failed(invocation, error) {
    const { error: name, message, stack } = describe(error);
    this.tell(invocation, `not caught: ${stack || `${name}: ${message}`}`);
  }

  tell(invocation, text) {
    if (invocation?.id) this.lines(invocation, text);
    else this.write(`${text}\n`);
  }

  // Says once that this process is to serve no further invocation: what it does after an exception that nobody caught is not known.
  retire() {
    if (!this.unfit) this.write(`${MARK}x\n`);
    this.unfit = true;
  }
}

module.exports = { LateExit, OwnLog };
