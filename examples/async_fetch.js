// Fetches a URL and says what came. It waits without computing, so one container can serve many calls: deploy it with
// `--max-concurrency`, and with `--network bridge`, as functions have no network by themselves.
'use strict';

const BODY_CHARS_MAX = 1000;

exports.handler = async (params, context) => {
  if (!/^https?:\/\//.test(params.url ?? '')) throw new TypeError('url must begin with http:// or https://');
  // Ends before the node's own deadline, so that the caller is told which address was slow.
  const left = context.deadline_ms > 0 ? Math.max(1, context.deadline_ms - Date.now() - 200) : 10_000;
  const started = performance.now();
  const response = await fetch(params.url, { signal: AbortSignal.timeout(left) });
  const body = await response.text();
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    characters: body.length,
    begins: body.slice(0, BODY_CHARS_MAX),
    milliseconds: Math.round(performance.now() - started),
  };
};
