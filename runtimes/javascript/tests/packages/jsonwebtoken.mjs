import jwt from 'jsonwebtoken';

export default ({ name }) => {
  const token = jwt.sign({ name, iat: 1e9 }, 'secret', { algorithm: 'HS256', subject: 's', audience: 'a', keyid: 'k' });
  const attempt = (make) => {
    try {
      return make();
    } catch (error) {
      return [error.name, error.message, error.expiredAt];
    }
  };
  return {
    token,
    others: ['HS384', 'HS512', 'none'].map((algorithm) => jwt.sign({ a: 1 }, algorithm === 'none' ? '' : 'secret', { algorithm, noTimestamp: true })),
    verified: jwt.verify(token, 'secret', { audience: 'a', complete: true }),
    decoded: jwt.decode(token, { complete: true }),
    wrong: [attempt(() => jwt.verify(token, 'other')), attempt(() => jwt.verify(token, 'secret', { audience: 'b' })), attempt(() => jwt.verify('a.b', 'secret')), attempt(() => jwt.verify(jwt.sign({ exp: 5 }, 's'), 's')), attempt(() => jwt.sign({}, ''))],
  };
};
