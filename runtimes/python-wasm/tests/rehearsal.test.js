// The library is rehearsed at deploy, and nobody sees it.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

const TYPICAL = `
  import collections, datetime, decimal, json, re
  WORD = re.compile(r"[a-z']+")
  def handler(params):
      words = collections.Counter(WORD.findall(params["text"].lower()))
      day = datetime.date.fromisoformat(params["day"]) + datetime.timedelta(days=30)
      total = sum(decimal.Decimal(price) for price in params["prices"])
      return json.loads(json.dumps({"words": words.most_common(3), "due": day.isoformat(), "total": str(total)}))
`;
const PARAMS = { text: 'the cat and the dog and the bird', day: '2026-01-31', prices: ['1.10', '2.25', '19.99'] };

test('an invocation learns little of the library: it writes few pages', () => {
  const guest = new Python(TYPICAL);
  assert.deepEqual(guest.call(PARAMS).result, { words: [['the', 3], ['and', 2], ['cat', 1]], due: '2026-03-02', total: '23.34' });
  // Without rehearsals 50.
  assert.ok(guest.pagesChanged() <= 42, `${guest.pagesChanged()} pages`);
});

test('rehearsals leave nothing behind', () => {
  const found = result(`
    import base64, calendar, contextlib, copy, csv, dataclasses, datetime, decimal, difflib, enum, fractions, hashlib, heapq, hmac, html
    import ipaddress, json, logging, pathlib, random, re, secrets, statistics, string, textwrap, uuid, xml.etree.ElementTree
    import urllib.parse
    decimal.DefaultContext.prec = 5
    random.seed(7)
    drawn = random.random()
    def handler(params):
        return {
            "loggers": sorted(logging.Logger.manager.loggerDict),
            "handlers": len(logging._handlerList) + len(logging.root.handlers),
            "precision": str(decimal.Decimal(1) / decimal.Decimal(3)),
            "flags": [flag.__name__ for flag, is_set in decimal.getcontext().flags.items() if is_set],
            "patterns": [pattern for kind, pattern, flags in re._cache if pattern in ("[a-z]+", r"\\d+", "d")],
            "urls": urllib.parse.urlsplit.cache_info().currsize,
            "drawn": drawn,
        }
  `);
  const { drawn, ...rest } = found;
  // The result in CPython for this machine.
  assert.equal(drawn, 0.32383276483316237);
  assert.deepEqual(rest, { loggers: [], handlers: 1, precision: '0.33333', flags: ['Inexact', 'Rounded'], patterns: [], urls: 0 });
});

test('what a call imports first is not rehearsed', () => {
  const found = result(`
    def handler(params):
        name = "difflib"
        module = __import__(name)
        return module.get_close_matches("word", ["lord", "cat"])
  `);
  assert.deepEqual(found, ['lord']);
});

test('a module of the function that is called like one of the library is not rehearsed', () => {
  const files = { 'statistics.py': 'asked = []\ndef __getattr__(name):\n    if not name.startswith("__"):\n        asked.append(name)\n    raise AttributeError(name)\n' };
  assert.deepEqual(result('import statistics\ndef handler(params):\n    return statistics.asked\n', {}, { files }), []);
});

test('what a function changes in the library breaks no rehearsal, and no import', () => {
  const files = { 'heapq.py': 'def nlargest(*arguments):\n    raise AssertionError("called")\n' };
  assert.equal(result('import statistics, logging\ndef handler(params):\n    return statistics.mean([1, 3])\n', {}, { files }), 2);
  const patched = 'import io, os\nio.StringIO = None\nimport csv, logging, random\ndef handler(params):\n    return len(random.sample([1, 2], 1))\n';
  assert.equal(result(patched), 1);
});
