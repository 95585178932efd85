// Python's library, and modules, packages and data that come with the function.
'use strict';

const assert = require('node:assert/strict');
const { createHash, createHmac } = require('node:crypto');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

test('modules are imported in a call, and from each other', () => {
  const source = `
    def handler(p):
        module = __import__(p["name"])
        return getattr(module, p["what"])(*p["with"])
  `;
  const guest = new Python(source);
  assert.equal(guest.call({ name: 'colorsys', what: 'rgb_to_yiq', with: [0, 0, 0] }).result[0], 0);
  assert.equal(guest.call({ name: 'textwrap', what: 'shorten', with: ['one two three', 9] }).result, 'one [...]');
  assert.deepEqual(guest.call({ name: 'statistics', what: 'mean', with: [[1, 2, 3]] }).result, 2);
  assert.equal(guest.call({ name: 'html', what: 'escape', with: ['<'] }).result, '&lt;');
});

// Whatever is part of the library here can be imported.
test('every module of the library can be imported', () => {
  const guest = new Python(`
    import _serverledge
    # It needs processes.
    NOT = {"concurrent.futures.process"}
    def handler(p):
        failed = {}
        for name in _serverledge.names():
            if "/" in name or name.startswith("_serverledge") or name.endswith("__main__") or name in NOT:
                continue
            try:
                __import__(name)
            except BaseException as error:
                failed[name] = str(error)
        return failed
  `);
  const failed = guest.call().result;
  assert.deepEqual(Object.keys(failed), []);
});

test('what is used most works', () => {
  const source = `
    import base64, collections, csv, dataclasses, datetime, decimal, enum, fractions, hashlib, heapq, hmac, io, itertools, json, math
    import pathlib, re, string, struct, textwrap, typing, unicodedata, urllib.parse, uuid, xml.etree.ElementTree as tree, zlib, copy, pickle

    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: typing.Optional[int] = None

    class Colour(enum.StrEnum):
        RED = enum.auto()

    def handler(p):
        return {
            "json": json.loads('{"a": [1.5, null]}'),
            "dataclass": dataclasses.asdict(Point(1)),
            "enum": Colour.RED,
            "date": datetime.datetime.strptime("2026-03-04", "%Y-%m-%d").strftime("%d.%m.%y %A"),
            "zone": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc).isoformat(),
            "hash": [hashlib.new(name, b"x").hexdigest()[:8] for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")],
            "hmac": hmac.new(b"k", b"m", "sha256").hexdigest()[:8],
            "zlib": zlib.decompress(zlib.compress(b"x" * 1000)) == b"x" * 1000,
            "csv": list(csv.reader(io.StringIO("a,b"))),
            "xml": tree.fromstring("<a><b>t</b></a>").find("b").text,
            "url": urllib.parse.urlencode({"a": "b c"}),
            "decimal": str(decimal.Decimal("0.1") + decimal.Decimal("0.2")),
            "fraction": str(fractions.Fraction(1, 3) + 1),
            "counter": collections.Counter("abca").most_common(1),
            "path": str(pathlib.PurePosixPath("/a") / "b"),
            "regex": re.sub(r"(?P<a>\\d+)", r"<\\g<a>>", "a1b22"),
            "unicode": unicodedata.normalize("NFD", "ä").encode("ascii", "ignore").decode(),
            "pickle": pickle.loads(pickle.dumps(Point(1, 2))) == copy.deepcopy(Point(1, 2)),
            "struct": struct.unpack("<I", b"\\1\\0\\0\\0"),
            "base64": base64.urlsafe_b64encode(b"??>").decode(),
            "encodings": "ä".encode("cp1252").hex() + "ä".encode("iso8859-15").hex() + "ä".encode("utf-16-le").hex(),
            "math": math.comb(5, 2),
        }
  `;
  assert.deepEqual(result(source), {
    json: { a: [1.5, null] },
    dataclass: { x: 1, y: null },
    enum: 'red',
    date: '04.03.26 Wednesday',
    zone: '2026-01-01T00:00:00+00:00',
    hash: ['md5', 'sha1', 'sha256', 'sha512', 'sha3-256', 'blake2b512'].map((name) => createHash(name).update('x').digest('hex').slice(0, 8)),
    hmac: createHmac('sha256', 'k').update('m').digest('hex').slice(0, 8),
    zlib: true,
    csv: [['a', 'b']],
    xml: 't',
    url: 'a=b+c',
    decimal: '0.3',
    fraction: '4/3',
    counter: [['a', 2]],
    path: '/a/b',
    regex: 'a<1>b<22>',
    unicode: 'a',
    pickle: true,
    struct: [1],
    base64: 'Pz8-',
    encodings: 'e4e4e400',
    math: 10,
  });
});

test('time zones', () => {
  const source = `
    import datetime, zoneinfo
    def handler(p):
        when = datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Rome"))
        try:
            zoneinfo.ZoneInfo("Nowhere/Land")
        except zoneinfo.ZoneInfoNotFoundError:
            return [when.isoformat(), when.astimezone(zoneinfo.ZoneInfo("America/New_York")).tzname(), len(zoneinfo.available_timezones()) > 400]
  `;
  assert.deepEqual(result(source), ['2026-07-01T12:00:00+02:00', 'EDT', true]);
});

test('modules and packages beside the file', () => {
  const files = {
    'beside.py': 'VALUE = 1',
    'package/__init__.py': 'from .inner import value\nfrom . import deeper\n',
    'package/inner.py': 'def value():\n    return 2',
    'package/deeper/__init__.py': 'from ..inner import value as twice\nNAME = __name__\n',
    'plain/module.py': 'import beside\nVALUE = beside.VALUE + 2',
  };
  const source = `
    import beside, package
    import plain.module
    def handler(p):
        import package.deeper as deeper
        return [beside.VALUE, package.value(), deeper.NAME, plain.module.VALUE, package.__file__, package.__path__, deeper.__package__]
  `;
  assert.deepEqual(result(source, {}, { files }), [1, 2, 'package.deeper', 3, '/app/code/package/__init__.py', ['/app/code/package'], 'package.deeper']);
});

test('modules that the file imports only in a call', () => {
  const guest = new Python('def handler(p):\n    import late\n    return late.VALUE', { files: { 'late.py': 'VALUE = 5' } });
  assert.equal(guest.call().result, 5);
});

test('an error in a bundled package has its frames', () => {
  const { error } = new Python('import package\ndef handler(p):\n    package.fail()', { files: { 'package/__init__.py': 'def fail():\n    raise ValueError("inside")' } }).call();
  assert.match(error.stack, /File "\/app\/code\/main.py", line 3, in handler[^]*File "\/app\/code\/package\/__init__.py", line 2, in fail\n    raise ValueError\("inside"\)/);
});

test('data of packages, and what is known of them', () => {
  const files = {
    'package/__init__.py': '',
    'package/data/words.txt': 'one\ntwo\n',
    'package/data/bytes.bin': { base64: Buffer.from([0, 255]).toString('base64') },
    'package-1.5.dist-info/METADATA': 'Metadata-Version: 2.1\nName: package\nVersion: 1.5\n',
  };
  const source = `
    import importlib.metadata, importlib.resources, pkgutil
    def handler(p):
        data = importlib.resources.files("package") / "data"
        return [data.joinpath("words.txt").read_text(), list(data.joinpath("bytes.bin").read_bytes()), sorted(each.name for each in data.iterdir()),
                pkgutil.get_data("package", "data/words.txt").decode(), importlib.metadata.version("package"), importlib.resources.read_text("package.data", "words.txt")]
  `;
  assert.deepEqual(result(source, {}, { files }), ['one\ntwo\n', [0, 255], ['bytes.bin', 'words.txt'], 'one\ntwo\n', '1.5', 'one\ntwo\n']);
  assert.match(new Python('import importlib.metadata as m\ndef handler(p):\n    m.version("nothing")').call().error.error, /PackageNotFoundError/);
});

test('sources can be read, and modules found', () => {
  const source = `
    import importlib.util, inspect, sys
    def handler(p):
        return [inspect.getsource(handler).splitlines()[0], importlib.util.find_spec("numpy"), importlib.util.find_spec("json").name, sys.version_info[:2], sys.platform, __file__]
  `;
  assert.deepEqual(result(source), ['def handler(p):', null, 'json', [3, 13], 'wasi', '/app/code/main.py']);
});

test('no memory is asked for, and few pages are written', () => {
  const guest = new Python('def handler(params, context):\n    return {"hello": params.get("name", "world")}');
  const before = guest.snapshot.length;
  guest.call({ name: 'Ada' });
  assert.equal(guest.memory().length, before);
  assert.ok(guest.pagesChanged() <= 20, `${guest.pagesChanged()} pages`);
  let last = guest.snapshot.length;
  while (guest.snapshot[last - 1] === 0) last--;
  assert.ok(last < 16 << 20, 'a dense image has less than 16 MiB');
});

test('files that came with the function can be opened', () => {
  const files = { 'data/words.txt': 'one\ntwo\n', 'data/bytes.bin': { base64: Buffer.from([0, 255]).toString('base64') } };
  const source = `
    import os, pathlib
    here = pathlib.Path(__file__).parent
    def handler(p):
        found = [open("data/words.txt").read(), (here / "data" / "bytes.bin").read_bytes().hex(), os.path.exists("data/none"), os.listdir("data")]
        found += [(here / "data/words.txt").stat().st_size, os.path.isdir("data"), [list(each) for each in os.walk(".")][0], sorted(map(str, here.glob("**/*.txt")))]
        for name, mode in (("data/words.txt", "w"), ("/tmp/new", "a"), ("none", "r"), ("data", "r")):
            try:
                open(name, mode)
            except OSError as error:
                found.append(type(error).__name__)
        return found
  `;
  assert.deepEqual(result(source, {}, { files }), [
    'one\ntwo\n', '00ff', false, ['bytes.bin', 'words.txt'], 8, true, ['.', ['data'], ['main.py']], ['/app/code/data/words.txt'],
    'OSError', 'OSError', 'FileNotFoundError', 'IsADirectoryError',
  ]);
});
