// Greets and adds up.
(() => {
  const { name, n } = JSON.parse(input);
  if (typeof name !== 'string') throw new TypeError('name must be a text');
  const sum = Array.from({ length: n }, (_, at) => at + 1).reduce((total, each) => total + each, 0);
  return JSON.stringify({ message: `Hello, ${name}!`, sum });
})();
