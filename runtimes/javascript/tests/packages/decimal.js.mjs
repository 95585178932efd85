import { Decimal } from 'decimal.js';

export default ({ values }) => {
  const Wide = Decimal.clone({ precision: 60, rounding: Decimal.ROUND_HALF_EVEN });
  return {
    sums: [new Decimal('0.1').plus('0.2'), values.reduce((sum, each) => sum.plus(each), new Decimal(0)), new Decimal(1).div(3)],
    wide: [new Wide(2).sqrt(), new Wide(2).pow('0.3'), Wide.exp(1), Wide.ln(10), Wide.sin(1), Wide.acos('0.4'), Wide.atan2(1, 3), Wide.log2(10)],
    texts: [new Decimal('1234567.891').toFixed(1), new Decimal('1e-9').toString(), new Decimal(255).toHexadecimal(), new Decimal('0b1.1').toString(), new Decimal(0.1).toBinary()],
    rounded: [new Decimal('2.5').round(), new Decimal('-2.5').toDP(0, Decimal.ROUND_HALF_FLOOR), new Decimal('1234.5').toSD(2), new Decimal('3.14159').toFraction(100).map(String)],
    compared: [new Decimal('1.0').eq(1), new Decimal(NaN).isNaN(), Decimal.max(...values), Decimal.hypot(3, 4), new Decimal(-7).mod(3)],
  };
};
