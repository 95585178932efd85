import { Hono } from 'hono';

const app = new Hono();

app.get('/', (c) => c.json({ message: 'GET /hello/NAME greets' }));
app.get('/hello/:name', (c) => c.json({ message: `Hello, ${c.req.param('name')}!` }));
app.post('/', async (c) => {
  const { name = 'world' } = await c.req.json();
  return c.json({ message: `Hello, ${name}!` });
});

export default app;
