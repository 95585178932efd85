import superjson from 'superjson';

export default () => {
  superjson.allowErrorProps('code');
  const error = Object.assign(new RangeError('too much', { cause: new Error('inner') }), { code: 'E_MUCH', secret: 1 });
  const { json, meta } = superjson.serialize({ error, list: [new TypeError('x')] });
  const back = superjson.deserialize({ json, meta });
  return { json, meta, back: [back.error instanceof Error, back.error.name, back.error.message, back.error.code, back.error.cause?.message ?? null, back.list[0].name] };
};
