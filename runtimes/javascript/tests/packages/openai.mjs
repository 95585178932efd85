import OpenAI from 'openai';

// Answers instead of the network.
const answer = async (url, { method, headers, body }) => {
  const { pathname, search } = new URL(url);
  const sent = body === undefined ? undefined : JSON.parse(body);
  if (pathname === '/v1/models') return Response.json({ object: 'list', data: [{ id: 'small' }, { id: 'large' }] });
  if (pathname.endsWith('/missing')) return Response.json({ error: { message: 'no such model', code: 'model_not_found' } }, { status: 404, headers: { 'x-request-id': 'r1' } });
  if (sent?.stream) {
    const events = ['Hel', 'lo', '!'].map((content) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
    return new Response(`${events.join('')}data: [DONE]\n\n`, { headers: { 'Content-Type': 'text/event-stream' } });
  }
  return Response.json({ method, pathname, search, sent, auth: new Headers(headers).get('authorization'), choices: [{ message: { role: 'assistant', content: 'hi' } }] });
};

export default async ({ name }) => {
  const client = new OpenAI({ apiKey: 'key', fetch: answer, maxRetries: 0, baseURL: 'https://api.example.org/v1', dangerouslyAllowBrowser: true });
  const messages = [{ role: 'user', content: name }];
  const reply = await client.chat.completions.create({ model: 'small', messages });
  let text = '';
  for await (const { choices } of await client.chat.completions.create({ model: 'small', messages, stream: true })) text += choices[0].delta.content;
  const models = [];
  for await (const { id } of client.models.list()) models.push(id);
  const failed = await client.models.retrieve('missing').catch((error) => error);
  return { reply, text, models, failed: [failed instanceof OpenAI.NotFoundError, failed.name, failed.constructor.name, failed.status, failed.code, failed.message], raw: (await client.models.list().asResponse()).status };
};
