import { customAlphabet, customRandom, nanoid, urlAlphabet } from 'nanoid';
import { nanoid as plain } from 'nanoid/non-secure';

export default ({ count }) => {
  let at = 0;
  const steps = customRandom('abcdef', 10, (size) => Uint8Array.from({ length: size }, () => (at = (at * 5 + 7) & 255)));
  const ids = new Set(Array.from({ length: 200 }, () => nanoid(count + 5)));
  return {
    alphabet: urlAlphabet,
    steps: [steps(), steps(20)],
    lengths: [nanoid().length, nanoid(40).length, plain(7).length],
    different: ids.size,
    hex: /^[0-9a-f]{12}$/.test(customAlphabet('0123456789abcdef', 12)()),
    allowed: [...ids].every((each) => [...each].every((letter) => urlAlphabet.includes(letter))),
  };
};
