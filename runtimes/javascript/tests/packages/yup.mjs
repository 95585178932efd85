import * as yup from 'yup';

const schema = yup.object({
  name: yup.string().trim().required().min(2),
  age: yup.number().integer().positive().max(120),
  email: yup.string().email('not an address'),
  born: yup.date().max(new Date('2026-01-01T00:00:00Z')),
  tags: yup.array().of(yup.string().oneOf(['a', 'b'])).min(1),
  other: yup.string().when('age', { is: (age) => age > 18, then: (each) => each.required('grown-ups need ${path}') }),
}).noUnknown();

export default async ({ name, date }) => {
  const attempt = (input, options) => schema.validate(input, { abortEarly: false, ...options }).catch(({ name: kind, message, errors, inner }) => ({ kind, message, errors, paths: inner.map(({ path, type, params }) => [path, type, params?.value]) }));
  return {
    good: await attempt({ name: ` ${name} `, age: '17', email: 'a@b.cd', born: '2000-02-03', tags: ['a'] }),
    bad: await attempt({ name: 'x', age: 1.5, email: 'no', born: date, tags: ['c', 5] }),
    strict: await attempt({ name, age: '17', extra: 1 }, { strict: true }),
    when: await attempt({ name, age: 20 }),
    cast: [schema.cast({ name: 5, age: '7', extra: 1 }), yup.number().cast('1e3'), yup.boolean().cast('true'), yup.string().nullable().default('d').cast(undefined)],
    described: schema.describe().fields.tags,
    sync: [yup.string().uuid().isValidSync('x'), yup.mixed().notOneOf([1]).isValidSync(1), yup.tuple([yup.string(), yup.number()]).isValidSync(['a', 1]), yup.lazy((value) => (value ? yup.string() : yup.mixed())).isValidSync('a')],
    reached: yup.reach(schema, 'tags[0]').describe().oneOf,
    test: await yup.string().test('even', '${path} is ${value}', (value) => value.length % 2 === 0).label('Word').validate('abc').catch(({ message }) => message),
  };
};
