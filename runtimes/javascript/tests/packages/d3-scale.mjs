import { scaleBand, scaleLinear, scaleLog, scaleOrdinal, scalePoint, scalePow, scaleQuantize, scaleThreshold, scaleUtc } from 'd3-scale';

export default ({ values }) => {
  const linear = scaleLinear([0, 10], ['#000', 'teal']).clamp(true);
  const log = scaleLog([1, 1000], [0, 300]);
  const time = scaleUtc([new Date(0), new Date(86400000 * 40)], [0, 800]);
  const band = scaleBand(['a', 'b', 'c'], [0, 120]).padding(0.2);
  return {
    linear: values.map(linear),
    ticks: [scaleLinear([0, 97.3], [0, 1]).nice().ticks(7), log.ticks(5), time.ticks(6)],
    labels: [time.ticks(6).map(time.tickFormat()), log.ticks().map(log.tickFormat(5, '.1s')), [1234.5, 0.1].map(linear.tickFormat(5, ',.2f'))],
    inverse: [log.invert(150), time.invert(333)],
    band: [band('b'), band.bandwidth(), band.step(), scalePoint(['x', 'y'], [0, 9])('y')],
    others: [scaleOrdinal(['p', 'q'])('z'), scaleQuantize([0, 1], ['l', 'm', 'h'])(0.5), scaleThreshold([3, 6], 'abc')(4), scalePow([0, 9], [0, 1]).exponent(2)(3)],
  };
};
