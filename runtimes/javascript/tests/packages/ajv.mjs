import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';

const schema = {
  type: 'object',
  required: ['name', 'items'],
  additionalProperties: false,
  properties: {
    name: { type: 'string', minLength: 2, pattern: '^\\p{Lu}' },
    items: { type: 'array', uniqueItems: true, items: { type: 'number', multipleOf: 0.5, exclusiveMinimum: 0 } },
    kind: { enum: ['a', 'b'], default: 'a' },
  },
};

export default ({ name }) => {
  const ajv = new Ajv({ allErrors: true, useDefaults: true });
  ajv.addKeyword({ keyword: 'even', type: 'number', validate: (wanted, value) => (value % 2 === 0) === wanted });
  const validate = ajv.compile(schema);
  const inputs = [{ name, items: [1, 2.5] }, { name: 'x', items: [1, 1, -1, 0.3], other: 1 }, { items: 'no' }, 7];
  const results = inputs.map((input) => [validate(input), input, validate.errors]);
  const newer = new Ajv2020().compile({ prefixItems: [{ type: 'string' }, { type: 'integer' }], items: false, minItems: 2 });
  return {
    results,
    text: ajv.errorsText(validate.errors, { dataVar: 'params' }),
    even: [ajv.validate({ even: true }, 4), ajv.validate({ even: true }, 5), ajv.errors],
    newer: [['a', 1], ['a', 1.5], ['a', 1, 2]].map((each) => [newer(each), newer.errors]),
  };
};
