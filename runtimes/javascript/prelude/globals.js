// How globals are set: like the engine's own, they can be replaced, and are not listed.
(function (native, shared) {
  'use strict';

  shared.define = (values) => {
    for (const [name, value] of Object.entries(values)) {
      Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
    }
  };
  // One sandbox has one thread: there is nobody to share with.
  delete globalThis.SharedArrayBuffer;
  delete globalThis.Atomics;
  shared.define({ global: globalThis, self: globalThis });
});
