// Python's library where the runtime stands in for something: functions in C, signatures, streams, folders of modules, and
// what comes from other libraries elsewhere.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

test('functions in the place of those in C are no methods', () => {
  const source = `
    import _thread, builtins, copy, functools, hashlib, inspect, io, os, pickle, posix, socket, types
    NAMES = ("stat", "lstat", "listdir", "scandir", "getcwd", "getcwdb", "access")
    REPLACED = [open, _thread.start_new_thread, socket.gethostname, socket.gethostbyname, hashlib.pbkdf2_hmac, hashlib.scrypt, *(getattr(os, name) for name in NAMES)]

    class Here:
        opened, stat, names, folder = open, os.stat, os.listdir, os.getcwd

    def handler(p):
        here = Here()
        return {
            "class": [here.opened("data.txt").read(), here.stat("data.txt").st_size, here.names("."), here.folder()],
            "bound": [each.__name__ for each in REPLACED if hasattr(each, "__get__") or not isinstance(each, types.BuiltinFunctionType)],
            "same": [open is io.open is builtins.open, os.stat is posix.stat, pickle.loads(pickle.dumps(os.stat)) is os.stat, copy.deepcopy(open) is open],
            "told": [repr(open), open.__name__, open.__qualname__, open.__module__, os.stat.__module__, inspect.isbuiltin(os.listdir)],
            "signature": [str(inspect.signature(open)), str(inspect.signature(os.stat)), str(inspect.signature(hashlib.scrypt))],
            "keywords": open(file="data.txt", mode="rb").read().decode(),
        }
  `;
  assert.deepEqual(result(source, {}, { files: { 'data.txt': 'data' } }), {
    class: ['data', 4, ['data.txt', 'main.py'], '/app/code'],
    bound: [],
    same: [true, true, true, true],
    told: ['<built-in function open>', 'open', 'open', '_io', 'posix', true],
    signature: [
      "(file, mode='r', buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None)",
      '(path, *, dir_fd=None, follow_symlinks=True)',
      '(password, *, salt=None, n=None, r=None, p=None, maxmem=0, dklen=64)',
    ],
    keywords: 'data',
  });
});

test('signatures of functions and types in C', () => {
  const source = `
    import datetime, decimal, inspect, itertools, re, zlib

    def of(value):
        try:
            return str(inspect.signature(value))
        except ValueError:
            return None

    def handler(p):
        return [of(each) for each in (
            len, sorted, print, str.join, "".split, dict.fromkeys, int.__add__, (1).__add__, object.__init__, object.__new__, zlib.compress, float, enumerate,
            [].append, itertools.count, itertools.chain.from_iterable, decimal.Decimal, Exception.with_traceback, re.compile("a").match,
            datetime.datetime.now, bytes.fromhex, dict.items, object, int, dict, type, getattr, max)] + [len.__text_signature__, len.__doc__]
  `;
  assert.deepEqual(result(source), [
    '(obj, /)', '(iterable, /, *, key=None, reverse=False)', "(*args, sep=' ', end='\\n', file=None, flush=False)", '(self, iterable, /)',
    '(sep=None, maxsplit=-1)', '(iterable, value=None, /)', '(self, value, /)', '(value, /)', '(self, /, *args, **kwargs)', '(*args, **kwargs)',
    '(data, /, level=-1, wbits=15)', '(x=0, /)', '(iterable, start=0)', '(object, /)', '(start=0, step=1)', '(iterable, /)', "(value='0', context=None)",
    '(self, object, /)', '(string, pos=0, endpos=2147483647)', '(tz=None)', '(string, /)', '(self, /)', '()',
    // CPython has none of these either.
    null, null, null, null, null, '($module, obj, /)', null,
  ]);
});

test('the standard streams', () => {
  const source = `
    import io, sys
    def told(stream):
        return [stream.name, stream.mode, stream.fileno(), stream.isatty(), stream.readable(), stream.writable(), stream.encoding]
    def handler(p):
        read = sys.stdin.read(), sys.stdin.readline(), list(sys.stdin), sys.stdin.buffer.read()
        return [told(sys.stdin), told(sys.stdout), told(sys.stderr), repr(sys.stdout), str(read), sys.stdout.buffer.raw.name, sys.stdin.buffer.mode]
  `;
  assert.deepEqual(result(source), [
    ['<stdin>', 'r', 0, false, true, false, 'utf-8'],
    ['<stdout>', 'w', 1, false, false, true, 'utf-8'],
    ['<stderr>', 'w', 2, false, false, true, 'utf-8'],
    "<_io.TextIOWrapper name='<stdout>' mode='w' encoding='utf-8'>",
    "('', '', [], b'')",
    '<stdout>',
    'rb',
  ]);
});

test('names with a NUL are no files and no modules', () => {
  const source = `
    import importlib, os
    def handler(p):
        found = []
        name = "data.txt\\0x"
        for action in (lambda: open(name), lambda: open(name, "w"), lambda: open(name.encode()), lambda: os.stat(name), lambda: os.lstat(name),
                       lambda: os.listdir(name), lambda: os.scandir(name), lambda: os.access(name, os.R_OK),
                       lambda: importlib.import_module("json\\0x"), lambda: importlib.import_module("beside\\0x")):
            try:
                found.append(repr(action()))
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
        return [*found, os.path.exists(name), os.path.isfile(name)]
  `;
  assert.deepEqual(result(source, {}, { files: { 'data.txt': 'data', 'beside.py': '' } }), [
    'ValueError: embedded null byte', 'ValueError: embedded null byte', 'ValueError: embedded null byte',
    'ValueError: stat: embedded null character in path', 'ValueError: lstat: embedded null character in path',
    'ValueError: listdir: embedded null character in path', 'ValueError: scandir: embedded null character in path',
    'ValueError: access: embedded null character in path',
    "ModuleNotFoundError: No module named 'json\\x00x'", "ModuleNotFoundError: No module named 'beside\\x00x'", false, false,
  ]);
});

test('an import of a name that is not there tells the file', () => {
  const source = `
    def handler(p):
        found = []
        for line in ("from json import nothing", "from beside import nothing", "from package import nothing"):
            try:
                exec(line)
            except ImportError as error:
                found.append([str(error), error.name, error.path])
        return found
  `;
  assert.deepEqual(result(source, {}, { files: { 'beside.py': '', 'package/__init__.py': '' } }), [
    ["cannot import name 'nothing' from 'json' (/usr/lib/python3.13/json/__init__.py)", 'json', '/usr/lib/python3.13/json/__init__.py'],
    ["cannot import name 'nothing' from 'beside' (/app/code/beside.py)", 'beside', '/app/code/beside.py'],
    ["cannot import name 'nothing' from 'package' (/app/code/package/__init__.py)", 'package', '/app/code/package/__init__.py'],
  ]);
});

test('modules in folders are listed', () => {
  const files = {
    'package/__init__.py': '',
    'package/one.py': '',
    'package/two/__init__.py': '',
    'package/two/deep.py': 'VALUE = 1',
    'package/data/words.txt': '',
  };
  const source = `
    import importlib.machinery, json, pkgutil, sys
    def handler(p):
        import package
        told = lambda infos: [[info.name, info.ispkg] for info in infos]
        return {
            "all": told(pkgutil.iter_modules()),
            "package": told(pkgutil.iter_modules(package.__path__)),
            "walk": told(pkgutil.walk_packages(package.__path__, "package.")),
            "library": told(pkgutil.iter_modules(json.__path__)),
            "none": told(pkgutil.iter_modules(["/app/code/none", "/elsewhere"])),
            "spec": importlib.machinery.PathFinder.find_spec("package.two.deep", ["/app/code/package/two"]).origin,
            "resolved": pkgutil.resolve_name("package.two.deep:VALUE"),
            "walked": "package.two.deep" in sys.modules,
        }
  `;
  assert.deepEqual(result(source, {}, { files }), {
    all: [['main', false], ['package', true]],
    package: [['one', false], ['two', true]],
    walk: [['package.one', false], ['package.two', true], ['package.two.deep', false]],
    library: [['decoder', false], ['encoder', false], ['scanner', false], ['tool', false]],
    none: [],
    spec: '/app/code/package/two/deep.py',
    resolved: 1,
    walked: true,
  });
});

test('keys from passwords', () => {
  // RFC 6070, RFC 7914 (11 and 12).
  const source = `
    import hashlib
    from hashlib import pbkdf2_hmac, scrypt
    def handler(p):
        return {
            "rfc6070": [pbkdf2_hmac("sha1", *given).hex() for given in (
                (b"password", b"salt", 1, 20), (b"password", b"salt", 4096, 20), (b"pass\\0word", b"sa\\0lt", 4096, 16),
                (b"passwordPASSWORDpassword", b"saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096, 25))],
            "rfc7914": [pbkdf2_hmac("sha256", b"passwd", b"salt", 1, 64).hex(), scrypt(b"", salt=b"", n=16, r=1, p=1).hex(),
                        scrypt(b"password", salt=b"NaCl", n=1024, r=8, p=16).hex()],
            "others": {name: pbkdf2_hmac(name, b"p" * 200, b"s" * 300, 3, 150).hex() for name in p["digests"]},
            "length": len(pbkdf2_hmac("SHA512", b"", b"", 1)),
            "large": scrypt(b"pleaseletmein", salt=b"SodiumChloride", n=16384, r=8, p=1).hex(),
        }
  `;
  const digests = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'sha3_256', 'blake2b'];
  const nameOf = (name) => ({ sha3_256: 'sha3-256', blake2b: 'blake2b512' })[name] ?? name;
  const expected = {
    rfc6070: [
      '0c60c80f961f0e71f3a9b524af6012062fe037a6', '4b007901b765489abead49d926f721d065a429c1', '56fa6aa75548099dcc37d7f03425e0c3',
      '3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038',
    ],
    rfc7914: [
      '55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbcca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783',
      '77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906',
      'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640',
    ],
    others: Object.fromEntries(digests.map((name) => [name, crypto.pbkdf2Sync('p'.repeat(200), 's'.repeat(300), 3, 150, nameOf(name)).toString('hex')])),
    length: 64,
    large: '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
  };
  const found = result(source, { digests });
  assert.deepEqual(found, { ...expected, rfc7914: [found.rfc7914[0], ...expected.rfc7914.slice(1)] });
  assert.equal(found.rfc7914[0], crypto.pbkdf2Sync('passwd', 'salt', 1, 64, 'sha256').toString('hex'));
});

test('keys from passwords that cannot be made', () => {
  const source = `
    import hashlib
    def handler(p):
        found = []
        for action in (lambda: hashlib.pbkdf2_hmac("none", b"", b"", 1), lambda: hashlib.pbkdf2_hmac("sha1", b"", b"", 0), lambda: hashlib.pbkdf2_hmac("sha1", "", b"", 1),
                       lambda: hashlib.pbkdf2_hmac("sha1", b"", b"", 1, 0), lambda: hashlib.scrypt(b"", salt=b"", n=3, r=1, p=1), lambda: hashlib.scrypt(b"", n=2, r=1, p=1),
                       lambda: hashlib.scrypt(b"", salt=b"", n=2 ** 20, r=8, p=1), lambda: hashlib.scrypt(b"", salt=b"", n=2, r=0, p=1)):
            try:
                found.append(action().hex())
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
        return found
  `;
  assert.deepEqual(result(source), [
    'ValueError: unsupported hash type none',
    'ValueError: iteration value must be greater than 0.',
    "TypeError: a bytes-like object is required, not 'str'",
    'ValueError: key length must be greater than 0.',
    'ValueError: n must be a power of 2.',
    'TypeError: salt is required',
    'ValueError: memory limit exceeded',
    'ValueError: Invalid parameter combination for n, r, p, maxmem.',
  ]);
});

test('compression', () => {
  const source = `
    import bz2, io, lzma, tarfile, zipfile, zlib
    DATA = b"one two three " * 5000
    def archive(mode):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:" + mode) as file:
            info = tarfile.TarInfo("name")
            info.size = len(DATA)
            file.addfile(info, io.BytesIO(DATA))
        stream.seek(0)
        return tarfile.open(fileobj=stream).extractfile("name").read() == DATA
    def zipped(kind):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", kind) as file:
            file.writestr("name", DATA)
        return zipfile.ZipFile(stream).read("name") == DATA
    def handler(p):
        filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_DELTA, "dist": 2}, {"id": lzma.FILTER_LZMA2, "preset": 9}]
        checks = [lzma.decompress(lzma.compress(DATA, check=check)) == DATA for check in (lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256)]
        return [bz2.decompress(bz2.compress(DATA)) == DATA, len(bz2.compress(DATA)) < 400, [archive(mode) for mode in ("", "gz", "bz2", "xz")],
                [zipped(kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)], checks,
                lzma.decompress(lzma.compress(DATA, filters=filters)) == DATA, lzma.decompress(lzma.compress(DATA, format=lzma.FORMAT_ALONE)) == DATA,
                bz2.open("words.bz2", "rt").read()]
  `;
  const words = { base64: 'QlpoOTFBWSZTWYaGNfEAAAFBrAAQAoAQAAAAgQAIACAAIhpjUIYBTmYHi7kinChIQ0Ma+IA=' };
  const all = [true, true, true, true];
  assert.deepEqual(result(source, {}, { files: { 'words.bz2': words } }), [true, true, all, all, all, true, true, 'größe\n']);
});

test('encodings of one byte', () => {
  const source = `
    def handler(p):
        return {name: bytes(range(128, 256)).decode(name, "replace").encode(name, "replace").hex() != "" for name in p["names"]} and \\
            ["é".encode("mac_roman").hex(), "ж".encode("mac_cyrillic").hex(), "é".encode("hp_roman8").hex(), "ж".encode("ptcp154").hex(), "ж".encode("kz1048").hex(), "é".encode("palmos").hex()]
  `;
  const names = ['mac_roman', 'mac_greek', 'mac_iceland', 'mac_latin2', 'mac_turkish', 'mac_croatian', 'mac_romanian', 'mac_arabic', 'mac_farsi'];
  assert.deepEqual(result(source, { names }), ['8e', 'e6', 'c5', 'e6', 'e6', 'e9']);
});

test('modules that are imported without need', () => {
  const source = `
    import bdb, cmd, code, codeop, doctest, ftplib, imaplib, pdb, poplib, profile, pstats, rlcompleter, smtplib, trace
    import ctypes, ctypes.util
    from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_uint8, cdll, sizeof

    class Pair(Structure):
        _fields_ = [("left", c_int), ("right", POINTER(c_int)), ("more", c_int * 4), ("text", c_char_p)]

    def handler(p):
        found = [c_uint8(257).value, c_int(2**31).value, sizeof(c_int), sizeof(c_int * 4), ctypes.util.find_library("c"), repr(c_int(5))]
        for action in (lambda: cdll.libc, lambda: ctypes.CDLL("libc.so.6"), lambda: ctypes.pythonapi.Py_IncRef, lambda: Pair(1), lambda: byref(c_int()),
                       lambda: smtplib.SMTP("localhost"), lambda: ftplib.FTP("localhost"), lambda: imaplib.IMAP4("localhost"), lambda: poplib.POP3("localhost")):
            try:
                found.append(repr(action()))
            except OSError as error:
                found.append(next(each for each in ("no native code", "only HTTP goes out") if each in str(error)))
        class Case:
            "\\n>>> 1 + 1\\n2\\n"
        return [*found, str(doctest.run_docstring_examples(Case, {}))]
  `;
  const [refused, only] = ['no native code', 'only HTTP goes out'];
  assert.deepEqual(result(source), [1, -(2 ** 31), 4, 16, null, 'c_int(5)', refused, refused, refused, refused, refused, only, only, only, only, 'None']);
});

test('modules that are not used cost a call nothing', () => {
  const guest = new Python('import bz2, hashlib, inspect, lzma\ndef handler(params):\n    return len(hashlib.sha256(b"").digest())');
  guest.call();
  assert.ok(guest.pagesChanged() <= 24, `${guest.pagesChanged()} pages`);
});

test('databases in memory', () => {
  const source = `
    import sqlite3
    made_at_deploy = sqlite3.connect(":memory:")
    made_at_deploy.execute("create table words (id integer primary key, text, length real)")
    at_deploy = made_at_deploy.execute("select random()").fetchone()[0]

    def refused(path):
        try:
            sqlite3.connect(path).execute("create table t (a)")
        except sqlite3.OperationalError as error:
            return str(error)

    def handler(p):
        db = made_at_deploy
        with db:
            db.executemany("insert into words (text, length) values (?, ?)", [(word, len(word)) for word in p["words"]])
        db.row_factory = sqlite3.Row
        db.create_function("twice", 1, lambda value: value * 2)
        db.execute("create virtual table found using fts5(text)")
        db.execute("insert into found select text from words")
        copy = sqlite3.connect(":memory:")
        copy.deserialize(db.serialize())
        sent = sqlite3.connect(":memory:")
        sent.deserialize(open("sent.db", "rb").read())
        return {
            "rows": [dict(row) for row in db.execute("select text, twice(length) as twice from words order by id desc")],
            "search": db.execute("select text from found where found match 'two'").fetchone()[0],
            "functions": list(copy.execute("select json_extract('[1, [2]]', '$[1][0]'), sqrt(4), count(*) from words").fetchone()),
            "sent": sent.execute("select a from t").fetchall(),
            "refused": [refused("new.db"), refused("/tmp/new.db")],
            "random": db.execute("select random()").fetchone()[0] != at_deploy,
        }
  `;
  const sent = result(`
    import base64, sqlite3
    def handler(p):
        db = sqlite3.connect(":memory:")
        db.executescript("create table t (a); insert into t values (7)")
        return base64.b64encode(db.serialize()).decode()
  `);
  assert.deepEqual(result(source, { words: ['one two', 'three'] }, { files: { 'sent.db': { base64: sent } } }), {
    rows: [{ text: 'three', twice: 10 }, { text: 'one two', twice: 14 }],
    search: 'one two',
    functions: [2, 2, 2],
    sent: [[7]],
    refused: ['unable to open database file', 'unable to open database file'],
    random: true,
  });
});

test('an invocation with a database writes few pages', () => {
  const guest = new Python(`
    import sqlite3
    db = sqlite3.connect(":memory:")
    db.executescript("create table t (a, b); insert into t values (1, 'one')")
    def handler(params):
        return db.execute("select b from t where a = ?", (1,)).fetchone()[0]
  `);
  assert.equal(guest.call().result, 'one');
  assert.ok(guest.pagesChanged() <= 60, `${guest.pagesChanged()} pages`);
});
