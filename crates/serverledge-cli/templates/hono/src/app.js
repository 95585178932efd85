import { Hono } from 'hono';

// Requests to /fn/{{name}}/… come here as they are. A call with parameters is `POST /` with them as its body.
const app = new Hono();

app.get('/', (c) => c.json({ message: 'GET /hello/NAME greets' }));
app.get('/hello/:name', (c) => c.json({ message: `Hello, ${c.req.param('name')}!` }));
app.post('/', async (c) => {
  const { name = 'world' } = await c.req.json();
  return c.json({ message: `Hello, ${name}!` });
});

export default app;
