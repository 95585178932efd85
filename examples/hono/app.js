// An app on Hono as an HTTP function: requests to /fn/NAME/… come to its routes as they are.
import { Hono } from 'hono';

const app = new Hono();

app.get('/hello/:name', (c) => c.json({ message: `Hello, ${c.req.param('name')}!` }));

app.post('/words', async (c) => {
  const words = (await c.req.text()).match(/\p{L}+/gu) ?? [];
  c.header('cache-control', 'no-store');
  return c.json({ words: words.length, longest: words.reduce((a, b) => (b.length > a.length ? b : a), '') }, 201);
});

export default app;
