// Measures how many packages of npm give, bundled as the client bundles them, the bytes that Node.js gives. By hand, since it
// installs them:
//
//   node packages.js FOLDER [NAME...]     installs what is missing into FOLDER, and prints a line for each package
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { Guest } = require('./guest.js');

const ESBUILD = 'esbuild@0.28.2';
const COMMON = ['--bundle', '--target=es2023', '--external:serverledge', '--legal-comments=none', '--charset=utf8'];
const ENGINE_MODULES = [
  'assert',
  'assert/strict',
  'bcrypt',
  'bcryptjs',
  'buffer',
  'crypto',
  'events',
  'path',
  'path/posix',
  'querystring',
  'string_decoder',
  'url',
  'util',
  'util/types',
];
// As crates/serverledge-cli/src/source/esbuild.rs has it, and as it was before.
const WAYS = {
  worker: [
    ...COMMON,
    '--platform=browser',
    '--conditions=worker,browser',
    '--keep-names',
    '--define:process.env.NODE_ENV=process.env.NODE_ENV',
    ...ENGINE_MODULES.flatMap((name) => [`--external:${name}`, `--external:node:${name}`]),
  ],
  neutral: [...COMMON, '--platform=neutral', '--main-fields=module,main'],
};

// Packages to install, and what a handler returns: `$` is the package as CommonJS or as an ES module's namespace.
const PACKAGES = {
  acorn: '$.parse("let a = b ?? 1", { ecmaVersion: 2022 })',
  ajv: '(() => { const v = new ($.default ?? $)().compile({ type: "object", required: ["a"] }); return [v({}), v.errors, v({ a: 1 })]; })()',
  axios: '[$.isAxiosError({}), ($.default ?? $).getUri({ url: "/a", params: { q: [1, 2] } })]',
  bcryptjs: '($.default ?? $).compareSync("x", ($.default ?? $).hashSync("x", 4))',
  'cbor-x': 'Array.from($.encode({ a: [1, 2.5, "é"], b: new Uint8Array([1]) }))',
  cheerio: '$.load("<p>a<b>c</b></p>")("b").text()',
  'chroma-js': '[($.default ?? $)("teal").luminance(), ($.default ?? $)("red").brighten().hex()]',
  'csv-parse': '$.parse("a,b\\n1,é", { columns: true, bom: true })',
  'csv-stringify': '$.stringify([["a", "b"], [1, "x,y"]])',
  'd3-scale': '[0, 5, 10].map($.scaleLinear([0, 10], [0, 1]))',
  'd3-shape': '$.line()([[0, 1], [2, 3], [4, 0]])',
  'date-fns': '$.formatISO($.addDays(new Date(0), 3))',
  dayjs: '($.default ?? $)(0).add(1, "month").toISOString()',
  'decimal.js': '[new ($.Decimal ?? $)("0.1").plus("0.2"), new ($.Decimal ?? $)(2).sqrt().toString()]',
  ejs: '($.default ?? $).render("<% for (const a of l) { %><%= a %>,<% } %>", { l: [1, "<"] })',
  exceljs: '(() => { const w = new ($.default ?? $).Workbook(); w.addWorksheet("a").addRow([1, "b"]); return w.getWorksheet("a").getRow(1).values; })()',
  'fast-xml-parser': 'new $.XMLParser({ ignoreAttributes: false }).parse(\'<a b="1"><c>x</c></a>\')',
  fflate: '$.strFromU8($.gunzipSync($.gzipSync($.strToU8("text ".repeat(50)), { mtime: 0 })))',
  graphql: '$.print($.parse("{ a(b: 1) { c } }"))',
  handlebars: '($.default ?? $).compile("{{#each l}}{{this}};{{/each}}")({ l: [1, "<"] })',
  'highlight.js': '($.default ?? $).highlight("const a = 1;", { language: "javascript" }).value',
  i18next: '(async () => { const i = ($.default ?? $).createInstance(); await i.init({ lng: "pl", resources: { pl: { translation: { f_one: "{{count}} plik", f_few: "{{count}} pliki", f_many: "{{count}} plików" } } } }); return [1, 3, 5].map((count) => i.t("f", { count })); })()',
  'iconv-lite': '($.default ?? $).decode(($.default ?? $).encode("aé☃", "utf-16be"), "utf-16be")',
  immer: '[($.produce)({ a: [1] }, (d) => { d.a.push(2); })]',
  'intl-messageformat': 'new ($.IntlMessageFormat ?? $.default)("{n, number}", "en").format({ n: 1234.5 })',
  jmespath: '$.search({ a: [{ b: 1 }, { b: 2 }] }, "a[*].b")',
  jose: `(async () => {
    const bytes = new TextEncoder().encode('k'.repeat(64));
    const all = [];
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const token = await new $.SignJWT({ a: 1 }).setProtectedHeader({ alg }).setSubject('s').sign(bytes);
      all.push(token, (await $.jwtVerify(token, bytes, { subject: 's' })).payload);
    }
    for (const alg of ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256']) {
      const { publicKey, privateKey } = await $.generateKeyPair(alg, { extractable: true });
      const token = await new $.SignJWT({ alg }).setProtectedHeader({ alg }).sign(privateKey);
      const open = await $.importSPKI(await $.exportSPKI(publicKey), alg);
      const secret = await $.importPKCS8(await $.exportPKCS8(privateKey), alg);
      const other = await new $.SignJWT({ alg }).setProtectedHeader({ alg }).sign(secret);
      all.push((await $.jwtVerify(token, open)).payload, (await $.jwtVerify(other, publicKey)).protectedHeader);
      all.push(await $.jwtVerify(token.slice(0, -8) + 'AAAAAAAA', open).catch((error) => [error.name, error.code, error.message]));
    }
    const sealed = await new $.EncryptJWT({ a: 1 }).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(bytes.slice(0, 32));
    all.push((await $.jwtDecrypt(sealed, bytes.slice(0, 32))).payload);
    return all;
  })()`,
  'js-yaml': '[($.load)("a: [1, x]\\nb: {c: 2}"), ($.dump)({ a: [1, "x"] })]',
  'jsonpath-plus': '$.JSONPath({ path: "$..b", json: { a: { b: 1 }, b: 2 } })',
  jszip: '(async () => { const z = new ($.default ?? $)(); z.file("a.txt", "text"); const b = await z.generateAsync({ type: "uint8array" }); return (await ($.default ?? $).loadAsync(b)).file("a.txt").async("string"); })()',
  liquidjs: 'new $.Liquid().parseAndRenderSync("{% for a in l %}{{ a | plus: 1 }},{% endfor %}", { l: [1, 2] })',
  lodash: '[($.default ?? $).chunk([1, 2, 3], 2), ($.default ?? $).template("a<%= b %>")({ b: 1 }), ($.default ?? $).kebabCase("someText")]',
  luxon: '$.DateTime.fromMillis(0, { zone: "utc" }).plus({ days: 1 }).toISO()',
  'markdown-it': 'new ($.default ?? $)().render("# a\\n* b\\n* `c`")',
  marked: '$.marked("# a\\n* b\\n* `c`")',
  mathjs: '[$.evaluate("sqrt(16) + 3 * 2"), $.det([[1, 2], [3, 4]])]',
  'ml-matrix': 'String(new $.Matrix([[1, 2], [3, 4]]).mmul($.Matrix.eye(2)).toString())',
  msgpackr: '$.unpack($.pack({ a: [1, "x", null] }))',
  mustache: '($.default ?? $).render("{{#l}}{{.}};{{/l}}", { l: [1, 2] })',
  nanoid: '$.nanoid().length',
  '@noble/hashes': 'Array.from($.sha256(new Uint8Array([1, 2])))',
  'onnxruntime-web': '$.InferenceSession.create(new Uint8Array(8))',
  pako: '(() => { const p = $.deflate ? $ : $.default; return p.inflate(p.deflate("text ".repeat(50)), { to: "string" }); })()',
  papaparse: '($.default ?? $).parse("a,b\\n1,2", { header: true, dynamicTyping: true }).data',
  'pdf-lib': '(async () => { const d = await $.PDFDocument.create({ updateMetadata: false }); d.addPage([100, 100]); return (await d.save()).length; })()',
  prettier: '(async () => $.format("const  a=1", { parser: "babel", plugins: [require("prettier/plugins/babel"), require("prettier/plugins/estree")] }))()',
  protobufjs: '(() => { const p = $.default ?? $; const t = p.parse("syntax=\\"proto3\\"; message A { int32 a = 1; string b = 2; }").root.lookupType("A"); return t.toObject(t.decode(t.encode({ a: 5, b: "x" }).finish())); })()',
  pug: '($.default ?? $).render("ul\\n  each a in [1, 2]\\n    li= a")',
  qrcode: '$.create("text").modules.size',
  ramda: '[$.map($.add(1), [1, 2]), $.groupBy((a) => a % 2 ? "o" : "e", [1, 2, 3])]',
  rxjs: '$.lastValueFrom($.from([1, 2, 3]).pipe($.map((a) => a * 2), $.toArray()))',
  semver: '[($.default ?? $).satisfies("1.2.3", "^1.0"), ($.default ?? $).inc("1.2.3", "minor")]',
  sharp: 'typeof ($.default ?? $)',
  'simple-statistics': '[$.median([3, 1, 2]), $.standardDeviation([1, 2, 4])]',
  'sql.js': '($.default ?? $)().then((S) => new S.Database().exec("select 1"))',
  superjson: '($.default ?? $).serialize({ a: new Date(0), b: new Set([1]), c: new Error("x").message })',
  terser: '$.minify("function add(first, second) { return first + second; }")',
  'topojson-client': '$.feature({ type: "Topology", objects: { a: { type: "LineString", arcs: [0] } }, arcs: [[[0, 0], [1, 1]]] }, "a")',
  '@turf/turf': '$.convex($.points([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]]))',
  tweetnacl: 'Array.from(($.default ?? $).hash(new Uint8Array([1])))',
  uuid: '[$.v5("a", $.v5.URL), $.validate($.v4())]',
  validator: '[($.default ?? $).isEmail("a@b.cd"), ($.default ?? $).escape("<a>")]',
  zod: '(() => { const r = $.z.object({ a: $.z.number() }).safeParse({ a: "x" }); return [r.success, r.error.issues]; })()',
};

// Packages that are not used by their own names.
const ENTRIES = {
  '@noble/hashes': '@noble/hashes/sha2.js',
  'csv-parse': 'csv-parse/sync',
  'csv-stringify': 'csv-stringify/sync',
  'highlight.js': 'highlight.js/lib/common',
  prettier: 'prettier/standalone',
};

const folder = path.resolve(process.argv[2] ?? fail('name a folder to install the packages into'));
const chosen = process.argv.length > 3 ? process.argv.slice(3) : Object.keys(PACKAGES);

function fail(message) {
  console.error(message);
  process.exit(2);
}

function install() {
  fs.mkdirSync(folder, { recursive: true });
  if (!fs.existsSync(path.join(folder, 'package.json'))) fs.writeFileSync(path.join(folder, 'package.json'), '{}');
  const missing = chosen.filter((name) => !fs.existsSync(path.join(folder, 'node_modules', name)));
  if (!fs.existsSync(path.join(folder, 'node_modules', 'esbuild'))) missing.push(ESBUILD);
  if (missing.length === 0) return;
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...missing], { cwd: folder, stdio: 'inherit' });
}

function handlerOf(name) {
  const file = path.join(folder, `${name.replace(/[@/]/g, '_')}.js`);
  fs.writeFileSync(file, `const $ = require(${JSON.stringify(ENTRIES[name] ?? name)});\nmodule.exports = async () => ${PACKAGES[name]};\n`);
  return file;
}

// In a process of its own: packages change what is global.
function inNode(file) {
  const code = `require(${JSON.stringify(file)})().then((r) => process.stdout.write(JSON.stringify(r) ?? 'null'), (e) => process.stdout.write('throws ' + e.message))`;
  try {
    return execFileSync(process.execPath, ['-e', code], { env: { ...process.env, TZ: 'UTC' }, encoding: 'utf8', stdio: 'pipe' });
  } catch (failure) {
    return `Node.js fails: ${failure.stderr.slice(-200)}`;
  }
}

function inGuest(file, way) {
  let bundle;
  try {
    const esbuild = path.join(folder, 'node_modules', '.bin', 'esbuild');
    const options = [...WAYS[way], '--format=cjs', '--log-level=error'];
    bundle = execFileSync(esbuild, [file, ...options], { encoding: 'utf8', maxBuffer: 1 << 28, stdio: 'pipe' });
  } catch (failure) {
    return `does not bundle: ${/Could not resolve "([^"]*)"/.exec(failure.stderr)?.[1] ?? failure.message}`;
  }
  const guest = new Guest(bundle, { file: path.basename(file) });
  if (guest.error) return `does not load: ${guest.error.message}`;
  const reply = guest.call({});
  return reply.error ? `fails: ${reply.error.error}: ${reply.error.message}` : reply.text;
}

install();
const same = Object.fromEntries(Object.keys(WAYS).map((way) => [way, 0]));
for (const name of chosen) {
  const file = handlerOf(name);
  const expected = inNode(file);
  const verdicts = Object.keys(WAYS).map((way) => {
    let got;
    try {
      got = inGuest(file, way);
    } catch (failure) {
      got = `traps: ${failure.message}`;
    }
    if (got === expected) same[way] += 1;
    return `${way} ${got === expected ? 'same' : got.slice(0, 110).replaceAll('\n', ' ')}`;
  });
  console.log(`${name.padEnd(20)} ${verdicts.join(' | ')}`);
}
for (const [way, count] of Object.entries(same)) console.log(`${way}: ${count} of ${chosen.length} are the same`);
