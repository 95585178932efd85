// Counts the primes up to a number with the sieve of Eratosthenes: computation, and memory that is given back.
'use strict';

const LARGEST = 50_000_000;

module.exports = (params) => {
  const limit = Number(params.limit ?? 1_000_000);
  if (!Number.isInteger(limit) || limit < 0 || limit > LARGEST) {
    throw new RangeError(`limit is ${params.limit} and may be from 0 to ${LARGEST}`);
  }
  const composite = new Uint8Array(limit + 1);
  let count = 0;
  let largest = null;
  for (let number = 2; number <= limit; number++) {
    if (composite[number]) continue;
    count += 1;
    largest = number;
    for (let multiple = number * number; multiple <= limit; multiple += number) composite[multiple] = 1;
  }
  return { limit, count, largest };
};
