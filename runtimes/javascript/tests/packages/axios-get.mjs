import axios from 'axios';

const ANSWERS = { '/json': ['application/json', '{"a":[1,"ü"]}', 200], '/text': ['text/plain', 'plain', 200], '/gone': ['application/json', '{"why":"gone"}', 410], '/broken': ['application/json', '{"a":', 200] };

// Answers instead of the network.
const answer = async (input, init) => {
  const request = input instanceof Request ? input : new Request(input, init);
  const url = new URL(request.url);
  if (url.pathname === '/echo') return Response.json({ method: request.method, search: url.search, type: request.headers.get('content-type'), own: request.headers.get('x-own'), body: await request.text() });
  const [type, body, status] = ANSWERS[url.pathname];
  return new Response(body, { status, headers: { 'Content-Type': type, 'X-Answer': 'yes' } });
};

export default async ({ values }) => {
  const client = axios.create({ baseURL: 'https://api.example.org', adapter: 'fetch', env: { fetch: answer, Request, Response }, headers: { 'X-Own': '1' } });
  const seen = ({ status, data, headers }) => ({ status, data, answer: headers['x-answer'], type: headers.get?.('content-type') });
  const failed = ({ name, code, message, response }) => ({ name, code, message, status: response?.status, data: response?.data });
  return {
    json: seen(await client.get('/json')),
    text: seen(await client.get('/text', { responseType: 'text' })),
    bytes: (await client.get('/text', { responseType: 'arraybuffer' })).data.byteLength,
    gone: await client.get('/gone').catch(failed),
    allowed: seen(await client.get('/gone', { validateStatus: () => true })),
    broken: seen(await client.get('/broken')),
    post: (await client.post('/echo', { values }, { params: { q: 'a b', l: [1, 2] } })).data,
    form: (await client.post('/echo', new URLSearchParams({ a: 'ü' }))).data,
    put: (await client.request({ url: '/echo', method: 'PUT', data: 'text', headers: { 'Content-Type': 'text/plain' } })).data,
  };
};
