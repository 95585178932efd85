"""The functions that the conformance tests run, each in both languages and doing the same."""

FUNCTIONS = {
    "echo": ("""
def handler(params):
    return params
""", """
exports.handler = (params) => params;
"""),
    "no_parameters": ("def handler(): return 'none'", "exports.handler = () => 'none';"),
    "params_context": ("def handler(params, context): return [params, context]",
                       "exports.handler = (params, context) => [params, context];"),
    "context_params": ("def handler(context, params): return [params, context]",
                       "exports.handler = (context, params) => [params, context];"),
    "ctx_event": ("def handler(ctx, event): return [event, ctx]", "exports.handler = (ctx, event) => [event, ctx];"),
    "unused_context": ("def handler(_context, event): return [event, _context]",
                       "exports.handler = function (_context, event) { return [event, _context]; };"),
    "unnamed": ("def handler(a, b): return [a, b]", "exports.handler = (a, b) => [a, b];"),
    "only_context": ("def handler(ctx): return [None, ctx]", "exports.handler = ctx => [null, ctx];"),
    "async_context": ("""
import asyncio
async def handler(context, params):
    await asyncio.sleep(0.001)
    return [params, context]
""", """
exports.handler = async (context, params) => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return [params, context];
};
"""),
    "nothing": ("def handler(params): pass", "exports.handler = (params) => {};"),
    "print": ("""
import sys
print('loading')
def handler(params):
    print('to stdout', params['text'])
    print('to stderr', file=sys.stderr)
    sys.stdout.write('no end of line')
    return len(params['text'])
""", """
console.log('loading');
exports.handler = (params) => {
  console.log('to stdout', params.text);
  console.error('to stderr');
  process.stdout.write('no end of line');
  return [...params.text].length;
};
"""),
    "print_many": ("""
def handler(params):
    for number in range(params['lines']):
        print('line', number, params['text'])
""", """
exports.handler = (params) => {
  for (let number = 0; number < params.lines; number++) console.log('line', number, params.text);
};
"""),
    "print_once": ("def handler(params): print(params['text'] * params['times'], end='')",
                   "exports.handler = (params) => { process.stdout.write(params.text.repeat(params.times)); };"),
    "print_and_stay": ("""
import asyncio, sys
async def handler(params):
    print('first')
    sys.stdout.write('no end of line')
    await asyncio.sleep(params)
    print('last')
""", """
exports.handler = async (seconds) => {
  console.log('first');
  process.stdout.write('no end of line');
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  console.log('last');
};
"""),
    "print_and_spin": ("""
def handler(params):
    print('still here')
    while True: pass
""", """
exports.handler = () => {
  console.log('still here');
  for (;;);
};
"""),
    "print_slowly": ("""
import asyncio
async def handler(params):
    for number in range(20):
        print(params['name'], number)
        await asyncio.sleep(0.001)
    return params['name']
""", """
exports.handler = async (params) => {
  for (let number = 0; number < 20; number++) {
    console.log(params.name, number);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return params.name;
};
"""),
    "raise": ("""
def inner(text):
    raise ValueError(text)

def handler(params):
    print('before')
    inner(params['text'])
""", """
function inner(text) {
  throw new RangeError(text);
}

exports.handler = (params) => {
  console.log('before');
  inner(params.text);
};
"""),
    "raise_later": ("""
import asyncio
async def inner(text):
    await asyncio.sleep(0.001)
    raise ValueError(text)

async def handler(params):
    await inner(params['text'])
""", """
async function inner(text) {
  await new Promise((resolve) => setTimeout(resolve, 1));
  throw new RangeError(text);
}

exports.handler = async (params) => {
  await inner(params.text);
};
"""),
    "recursion": ("def handler(params): return handler(params)", "exports.handler = function f(params) { return f(params) + 1; };"),
    "circular": ("""
def handler(params):
    value = {}
    value['self'] = value
    return value
""", """
exports.handler = () => {
  const value = {};
  value.self = value;
  return value;
};
"""),
    "not_json": ("def handler(params): return {'value': object()}", "exports.handler = () => ({ value: 10n });"),
    "half_a_character": ("def handler(params): return '\\ud83d'", "exports.handler = () => '\\ud83d';"),
    "long_result": ("def handler(params): return 'é' * params", "exports.handler = (params) => 'é'.repeat(params);"),
    "exit": ("""
import sys
def handler(params):
    print('last words')
    sys.exit(params)
""", """
exports.handler = (params) => {
  console.log('last words');
  process.exit(params);
};
"""),
    "environment": ("""
import os
at_load = os.environ.get('GREETING')
def handler(params):
    return [at_load, os.environ.get('KEY'), os.getcwd().endswith('/app/code')]
""", """
const atLoad = process.env.GREETING;
exports.handler = () => [atLoad, process.env.KEY, process.cwd().endsWith('/app/code')];
"""),
    "counter": ("""
count = 0
def handler(params):
    global count
    count += 1
    return count
""", """
let count = 0;
exports.handler = () => ++count;
"""),
    "file": ("""
import os
def handler(params):
    return [open('data/one/two.txt', encoding='utf-8').read(), os.access('run.sh', os.X_OK), os.access('data/one/two.txt', os.X_OK)]
""", """
const fs = require('fs');
const executable = (name) => { try { fs.accessSync(name, fs.constants.X_OK); return true; } catch { return false; } };
exports.handler = () => [fs.readFileSync('data/one/two.txt', 'utf8'), executable('run.sh'), executable('data/one/two.txt')];
"""),
    "syntax_error": ("def handler(:\n", "exports.handler = (=> 1;\n"),
    "load_error": ("print('until here')\nraise KeyError('at load')\n", "console.log('until here');\nthrow new TypeError('at load');\n"),
    "missing_import": ("import nowhere_to_be_found\n", "require('nowhere_to_be_found');\n"),
    "not_callable": ("handler = 5", "exports.handler = 5;"),
    "no_handler": ("def other(params): return 1", "exports.other = () => 1;"),
    "uses_package": ("import package_in_layer\ndef handler(params): return package_in_layer.value",
                     "const value = require('package_in_layer');\nexports.handler = () => value;"),
}


def function(name, runtime):
    return FUNCTIONS[name][runtime == "nodejs"]


# A package as an installer would have left it in the layer of dependencies.
PACKAGE = {
    "python": {"python/package_in_layer/__init__.py": "value = 'from the layer'\n"},
    "nodejs": {"node_modules/package_in_layer/index.js": "module.exports = 'from the layer';\n"},
}
