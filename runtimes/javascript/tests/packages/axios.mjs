import axios, { AxiosError, AxiosHeaders, isAxiosError, toFormData } from 'axios';

export default async ({ values }) => {
  const headers = new AxiosHeaders({ 'content-type': 'text/plain', Accept: 'a' });
  headers.set('X-Count', String(values.length)).normalize();
  const client = axios.create({
    baseURL: 'https://api.example.org/v1',
    adapter: async (config) => {
      const { method, url, baseURL, params, data } = config;
      if (url === '/missing') throw new AxiosError('not there', AxiosError.ERR_BAD_REQUEST, config, null, { status: 404 });
      return { data: JSON.stringify({ method, url, baseURL, params, data }), status: 200, statusText: 'OK', headers: {}, config };
    },
  });
  client.interceptors.request.use((config) => ({ ...config, params: { ...config.params, page: 1 } }));
  const posted = await client.post('/items', { values }, { params: { q: 'a b' } });
  const failed = await client.get('/missing').catch((error) => error);
  return {
    posted: posted.data,
    failed: [isAxiosError(failed), failed.name, failed.message, failed.code, failed.status],
    uri: axios.getUri({ url: '/a', params: { q: values, o: { a: 1 }, t: 'ä b' } }),
    headers: headers.toJSON(),
    merged: axios.mergeConfig({ timeout: 5, headers: { a: '1' } }, { timeout: 9 }),
    form: [...toFormData({ a: [1, 2], b: { c: 'x' } }, new FormData())],
  };
};
