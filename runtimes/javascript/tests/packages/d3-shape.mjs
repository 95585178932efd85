import { arc, area, curveCardinal, curveMonotoneX, line, lineRadial, linkHorizontal, pie, stack, stackOffsetWiggle, symbol, symbolStar } from 'd3-shape';

const POINTS = [[0, 10], [20, 35], [40, 5], [60, 22.5]];

export default ({ values }) => ({
  line: line()(POINTS),
  curves: [curveMonotoneX, curveCardinal.tension(0.3)].map((curve) => line().curve(curve)(POINTS)),
  area: area().y0(50).defined(([x]) => x !== 40)(POINTS),
  pie: pie().sort(null).padAngle(0.02)(values),
  arcs: pie()(values).map(arc().innerRadius(20).outerRadius(60).cornerRadius(3)),
  stack: stack().keys(['a', 'b']).offset(stackOffsetWiggle)([{ a: 1, b: 4 }, { a: 3, b: 2 }, { a: 2, b: 2 }]),
  symbol: symbol(symbolStar, 90)(),
  radial: lineRadial()([[0, 10], [1, 20], [2, 15]]),
  link: linkHorizontal()({ source: [0, 0], target: [50, 80] }),
});
