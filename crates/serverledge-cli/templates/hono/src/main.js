// The function: a call's parameters become a request for the app, and the JSON of its response is the result.
//
// The parameters `_method` and `_path` choose the route; without them it is `POST /` with the parameters as the body.
import app from './app.js';

export default async function handler(params) {
  const { _method: method = 'POST', _path: path = '/', ...rest } = params;
  const init = { method, headers: { 'content-type': 'application/json' } };
  if (method !== 'GET' && method !== 'HEAD') init.body = JSON.stringify(rest);
  const response = await app.fetch(new Request(`http://localhost${path}`, init));
  const text = await response.text();
  console.log(`${method} ${path} ${response.status}`);
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return isJson ? JSON.parse(text) : text;
}
