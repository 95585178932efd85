/**
 * The one policy for Trusted Types: `edge.js` starts Workers from `blob:` addresses that it makes itself. Everything
 * else that could become script is refused by the browser.
 */

interface Factory {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string | null }): unknown;
}

const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const own = `blob:${location.origin}/`;
factory?.createPolicy('default', { createScriptURL: (url) => (url.startsWith(own) ? url : null) });

export {};
