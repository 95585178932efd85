// The smallest useful function: greets whom it is told to.
'use strict';

exports.handler = (params, context) => {
  const name = params.name ?? 'world';
  console.log('greeting', name);
  return { message: `Hello, ${name}!`, function: context.function };
};
