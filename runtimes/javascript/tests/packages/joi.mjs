import Joi from 'joi';

const schema = Joi.object({
  name: Joi.string().alphanum().min(3).required(),
  born: Joi.number().integer().min(1900).max(2026),
  email: Joi.string().email({ tlds: { allow: false } }),
  when: Joi.date().iso().less('2030-01-01'),
  tags: Joi.array().items(Joi.string().valid('a', 'b'), Joi.number()).unique().max(3),
  password: Joi.string().pattern(/^[a-z0-9]{3,9}$/, 'lower'),
  again: Joi.ref('password'),
  token: [Joi.string(), Joi.number()],
  kind: Joi.string().when('born', { is: Joi.number().greater(2000), then: Joi.valid('young'), otherwise: Joi.forbidden() }),
}).with('email', 'born').xor('password', 'token');

export default ({ name, date }) => {
  const attempt = (input, options) => {
    const { value, error, warning } = schema.validate(input, { abortEarly: false, ...options });
    return { value, warning, error: error && [error.name, error.message, error.details] };
  };
  return {
    good: attempt({ name, born: '2001', email: 'a@b.cd', when: date, tags: ['a', 1], password: 'abc1', again: 'abc1', kind: 'young' }),
    bad: attempt({ name: '!', born: 1, email: 'no', when: 'x', tags: ['c', 1, 1, 2], kind: 'old', more: 1 }),
    first: attempt({ name: 5 }, { abortEarly: true }),
    stripped: attempt({ name, token: 1, more: 1 }, { stripUnknown: true }),
    others: [Joi.number().unit('ms').validate('1.50'), Joi.string().trim().lowercase().validate(' ABC '), Joi.boolean().truthy('yes').validate('yes'), Joi.string().hostname().validate('a_b').error?.message, Joi.string().guid().validate('x').error?.message, Joi.alternatives(Joi.string(), Joi.object()).validate(5).error?.message],
    own: Joi.number().custom((value, helpers) => (value % 2 ? helpers.error('any.invalid') : value / 2)).validate(7).error.message,
    expression: Joi.object({ a: Joi.number(), b: Joi.number().max(Joi.expression('{a * 2}')) }).validate({ a: 1, b: 3 }).error.message,
  };
};
