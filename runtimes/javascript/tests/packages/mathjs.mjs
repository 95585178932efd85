import { all, create } from 'mathjs';

const math = create(all);

export default ({ values }) => {
  const scope = { a: 3, v: values };
  return {
    values: ['sqrt(-4)', '2 inch to cm', 'det([[2, 1], [1, 3]])', 'inv([[4, 7], [2, 6]])', 'a ^ 2 + sum(v)', 'f(x) = x ^ 2 + 1', 'f(5)', 'mean(v)', '5!', 'gcd(12, 18)', '0.1 + 0.2', '1 / 3 == 2 / 6', 'combinations(6, 2)', '[1, 2, 3] .* 2', 'cross([1, 0, 0], [0, 1, 0])', 'mod(-7, 3)'].map((each) => math.format(math.evaluate(each, scope), { precision: 12 })),
    exact: [math.fraction('1/3').add('1/6').toFraction(), math.bignumber('0.1').plus('0.2').toString(), math.format(math.complex('3 + 4i').toPolar(), { precision: 10 })],
    symbols: [math.derivative('x^3 + sin(x)', 'x').toString(), math.simplify('2 x + 3 x - 0').toString(), math.parse('(a + b) / 2').toTex()],
    solved: math.format(math.lusolve([[3, 2], [1, -1]], [12, 1]), { precision: 10 }),
    units: [math.unit('90 km/h').to('m/s').format(6), math.unit(5, 'kg').equals(math.unit(5000, 'g'))],
    wrong: ['1 +', 'unknown(2)', '[1, 2] * [[1, 2]]'].map((each) => {
      try {
        return String(math.evaluate(each));
      } catch (error) {
        return [error.name, error.message];
      }
    }),
    json: JSON.parse(JSON.stringify(math.matrix([[1, 2], [3, 4]]), math.replacer)),
  };
};
