// Runs functions of an application where its client is. Evaluated, this is, and leaves behind under its name,
//   async runEdgeFunction(name, functions, args)
// where `functions` is the member of that name of the answer to POST /edge. It returns edge results, which go as they are into
// `edgeResults` of a request to an endpoint: { "<function>": { "<base64 of the canonical JSON of its args>": <result> } },
// for the function and for all that it calls.
(globalThis.runEdgeFunction = async function runEdgeFunction(name, functions, args) {
  const results = Object.create(null);

  // RFC 8785: members sorted by UTF-16 code units, numbers and strings as JSON.stringify writes them.
  const canonical = (value) => {
    if (value === null || typeof value !== 'object') return JSON.stringify(value);
    if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
    return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
  };
  const bytes = (text) => new TextEncoder().encode(text);
  const base64 = (text) => btoa(Array.from(bytes(text), (byte) => String.fromCharCode(byte)).join(''));
  // A copy of a value as JSON keeps it; it shares nothing with the value.
  const plain = (value) => JSON.parse(JSON.stringify(value === undefined ? null : value));

  // A file is an expression such as `async (args) => …`, a CommonJS module or an ES module.
  const loadScript = async (source, handler) => {
    let loaded;
    if (/^\s*(?:import\b(?!\s*\()|export\b)/m.test(source)) {
      const id = `serverledge_${Math.random().toString(36).slice(2)}`;
      globalThis[id] = call;
      loaded = await import(`data:text/javascript;base64,${base64(`const call = globalThis.${id};${source}`)}`);
    } else {
      const module = { exports: {} };
      const empty = module.exports;
      const require = (wanted) => { throw new Error(`'${wanted}' cannot be required at the edge`); };
      const run = (body) => new Function('module', 'exports', 'require', 'call', body);
      let script;
      try {
        script = run(`return (${source.trim().replace(/;$/, '')}\n);`);
      } catch {
        script = run(source);
      }
      const value = script(module, empty, require, call);
      loaded = module.exports === empty && Object.keys(empty).length === 0 ? value : module.exports;
    }
    const all = handler ? [loaded?.[handler], loaded?.default?.[handler]]
      : [loaded, loaded?.default, loaded?.handler, loaded?.default?.handler];
    const found = all.find((each) => typeof each === 'function');
    if (!found) throw new Error('the file exports no function');
    return (value) => found(value, {});
  };

  // A reactor: parameters and result are JSON in its memory. It has no world beside it, and no calls.
  const loadWasm = async (code) => {
    const module = await WebAssembly.compile(Uint8Array.from(atob(code), (each) => each.charCodeAt(0)));
    const imports = Object.create(null);
    for (const { module: from, name: item, kind } of WebAssembly.Module.imports(module)) {
      if (from !== 'wasi_snapshot_preview1' || kind !== 'function') throw new Error(`'${from}.${item}' is not there at the edge`);
      imports[from] ??= Object.create(null);
      // 52: not supported.
      imports[from][item] = item === 'proc_exit' ? (status) => { throw new Error(`it exited with ${status}`); } : () => 52;
    }
    return async (value) => {
      const { exports } = await WebAssembly.instantiate(module, imports);
      if (!exports.serverledge_handle) throw new Error('it is no reactor');
      exports._initialize?.();
      const given = bytes(JSON.stringify(value));
      const at = exports.serverledge_alloc(given.length);
      new Uint8Array(exports.memory.buffer).set(given, at >>> 0);
      const packed = BigInt.asUintN(64, exports.serverledge_handle(at, given.length));
      const length = Number(packed & 0x7fffffffn);
      const text = new TextDecoder().decode(new Uint8Array(exports.memory.buffer, Number(packed >> 32n), length));
      const result = JSON.parse(text);
      if (packed & 0x80000000n) throw new Error(result.message);
      return result;
    };
  };

  const loaded = new Map();
  async function call(wanted, value) {
    if (!Object.hasOwn(functions, wanted)) throw new Error(`function '${wanted}' was not downloaded`);
    const { code, kind, handler, idempotent } = functions[wanted];
    const params = plain(value === undefined ? {} : value);
    const key = base64(canonical(params));
    const known = results[wanted] ??= Object.create(null);
    if (idempotent && key in known) return plain(known[key]);
    if (!loaded.has(wanted)) loaded.set(wanted, await (kind === 'wasm' ? loadWasm(code) : loadScript(code, handler)));
    known[key] = plain(await loaded.get(wanted)(params));
    return plain(known[key]);
  }

  await call(name, args);
  return results;
});
