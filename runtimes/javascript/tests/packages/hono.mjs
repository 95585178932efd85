import { Hono } from 'hono';
import { basicAuth } from 'hono/basic-auth';
import { getCookie, setCookie } from 'hono/cookie';
import { cors } from 'hono/cors';
import { html } from 'hono/html';
import { HTTPException } from 'hono/http-exception';
import { sign, verify } from 'hono/jwt';
import { validator } from 'hono/validator';

const app = new Hono().basePath('/api');
app.use('*', cors({ origin: 'https://example.org' }), async (context, next) => {
  await next();
  context.header('X-Way', `${context.req.method} ${context.req.routePath}`);
});
app.get('/hello/:name{[a-zä]+}', (context) => context.json({ name: context.req.param('name'), q: context.req.queries('q'), cookie: getCookie(context, 'c') }));
app.post('/items', validator('json', (value, context) => (typeof value.n === 'number' ? value : context.text('wrong', 400))), async (context) => {
  setCookie(context, 'n', String(context.req.valid('json').n), { httpOnly: true, maxAge: 60, sameSite: 'Lax' });
  return context.json(context.req.valid('json'), 201);
});
app.post('/form', async (context) => context.json(await context.req.parseBody({ all: true })));
app.get('/page', (context) => context.html(html`<p>${'<b>'}</p>`));
app.get('/old', (context) => context.redirect('/api/page', 301));
app.get('/fail', () => {
  throw new HTTPException(418, { message: 'teapot' });
});
app.get('/secret', basicAuth({ username: 'u', password: 'p' }), (context) => context.text('open'));
app.notFound((context) => context.text(`no ${context.req.path}`, 404));
app.onError((error, context) => (error instanceof HTTPException ? error.getResponse() : context.text(error.message, 500)));

export default async ({ name, values }) => {
  const form = new FormData();
  for (const each of values) form.append('v', String(each));
  const ask = async (path, init) => {
    const response = await app.request(`/api${path}`, init);
    return [response.status, [...response.headers], await response.text()];
  };
  const json = { method: 'POST', headers: { 'Content-Type': 'application/json' } };
  const token = await sign({ name, exp: 4e9 }, 'secret', 'HS256');
  return {
    answers: [await ask('/hello/ada?q=1&q=b', { headers: { Cookie: 'c=x%20y', Origin: 'https://example.org' } }), await ask('/hello/7'), await ask('/items', { ...json, body: '{"n":5}' }), await ask('/items', { ...json, body: '{"n":"x"}' }), await ask('/items', { ...json, body: '{' }), await ask('/form', { method: 'POST', body: form }), await ask('/page'), await ask('/old'), await ask('/fail'), await ask('/secret'), await ask('/secret', { headers: { Authorization: `Basic ${btoa('u:p')}` } }), await ask('/x', { method: 'OPTIONS', headers: { Origin: 'https://example.org' } })],
    token: [token, await verify(token, 'secret', 'HS256'), await verify(token, 'other', 'HS256').catch((error) => error.name)],
    routes: app.routes.map(({ method, path }) => `${method} ${path}`),
  };
};
