// names: node:path 'path' 'path/posix'
// needs: interfaces
// node:path (https://nodejs.org/docs/latest-v20.x/api/path.html) of POSIX. There are no files: the working directory is the root.
(function (native, shared) {
  'use strict';

  function check(name, value) {
    if (typeof value !== 'string') throw shared.invalidArgument(name, 'of type string', value);
    return value;
  }

  // The parts of a path without `.`, and with `..` only where nothing is before it.
  function reduced(path, isAbsolute) {
    const parts = [];
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      if (part !== '..') parts.push(part);
      else if (parts.length > 0 && parts.at(-1) !== '..') parts.pop();
      else if (!isAbsolute) parts.push(part);
    }
    return parts.join('/');
  }

  function normalize(path) {
    if (check('path', path) === '') return '.';
    const isAbsolute = path.startsWith('/');
    const inner = reduced(path, isAbsolute);
    const end = path.endsWith('/') ? '/' : '';
    if (inner === '') return isAbsolute ? '/' : end === '' ? '.' : './';
    return (isAbsolute ? '/' : '') + inner + end;
  }

  function resolve(...paths) {
    let whole = '';
    for (let at = paths.length - 1; at >= 0 && !whole.startsWith('/'); at--) {
      const path = check(`paths[${at}]`, paths[at]);
      if (path !== '') whole = whole === '' ? path : `${path}/${whole}`;
    }
    return `/${reduced(whole, true)}`;
  }

  function join(...paths) {
    const parts = paths.map((path) => check('path', path)).filter((path) => path !== '');
    return parts.length === 0 ? '.' : normalize(parts.join('/'));
  }

  function relative(from, to) {
    const parts = (path) =>
      resolve(path)
        .split('/')
        .filter((part) => part !== '');
    const [one, other] = [parts(check('from', from)), parts(check('to', to))];
    let same = 0;
    while (same < one.length && one[same] === other[same]) same++;
    return [...one.slice(same).map(() => '..'), ...other.slice(same)].join('/');
  }

  function dirname(path) {
    if (check('path', path) === '') return '.';
    const found = /^(.*?[^/])\/+[^/]+\/*$/s.exec(path);
    if (found) return found[1];
    if (!path.startsWith('/')) return '.';
    return /^\/\/[^/]/.test(path) ? '//' : '/';
  }

  function basename(path, suffix) {
    if (suffix !== undefined) check('suffix', suffix);
    if (suffix === path) return '';
    const base = /([^/]*)\/*$/.exec(check('path', path).replace(/\/+$/, ''))[1];
    return suffix !== undefined && suffix !== base && base.endsWith(suffix)
      ? base.slice(0, base.length - suffix.length)
      : base;
  }

  function extname(path) {
    const base = basename(path);
    const at = base.lastIndexOf('.');
    return at <= 0 || base === '..' ? '' : base.slice(at);
  }

  function parse(path) {
    const root = check('path', path).startsWith('/') ? '/' : '';
    const base = basename(path);
    const ext = extname(path);
    const isAbsolute = root !== '';
    const at = path.replace(/(?<=.)\/+$/, '').lastIndexOf('/');
    return {
      root,
      dir: at >= (isAbsolute ? 1 : 0) ? path.slice(0, at) : root,
      base,
      ext,
      name: base.slice(0, base.length - ext.length),
    };
  }

  function format(parts) {
    if (parts === null || typeof parts !== 'object')
      throw shared.invalidArgument('pathObject', 'of type object', parts);
    const dir = parts.dir || parts.root;
    const ext = parts.ext ? `${parts.ext.startsWith('.') ? '' : '.'}${parts.ext}` : '';
    const base = parts.base || `${parts.name || ''}${ext}`;
    if (!dir) return base;
    return dir === parts.root ? `${dir}${base}` : `${dir}/${base}`;
  }

  const path = {
    resolve,
    normalize,
    isAbsolute: (each) => check('path', each).startsWith('/'),
    join,
    relative,
    toNamespacedPath: (each) => each,
    dirname,
    basename,
    extname,
    format,
    parse,
    sep: '/',
    delimiter: ':',
  };
  path.posix = path;
  shared.nodeModules.path = path;
  shared.nodeModules['path/posix'] = path;
});
