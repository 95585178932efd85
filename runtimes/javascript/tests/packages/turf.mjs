import * as turf from '@turf/turf';

export default ({ values }) => {
  const points = turf.points(values.map((each, at) => [13 + at / 10, 52 + each / 20]));
  const square = turf.polygon([[[13, 52], [13.5, 52], [13.5, 52.4], [13, 52.4], [13, 52]]]);
  const line = turf.lineString([[13, 52], [13.2, 52.3], [13.6, 52.1]]);
  const other = turf.circle([13.4, 52.3], 20, { steps: 12, units: 'kilometers' });
  return {
    measures: [turf.area(square), turf.length(line, { units: 'miles' }), turf.distance([13, 52], [13.5, 52.5]), turf.bearing([13, 52], [13.5, 52.5]), turf.rhumbDistance([0, 0], [10, 10])],
    shapes: [turf.convex(points), turf.envelope(points), turf.center(points), turf.centroid(square), turf.bboxPolygon(turf.bbox(line))],
    cut: [turf.intersect(turf.featureCollection([square, other])), turf.union(turf.featureCollection([square, other])), turf.difference(turf.featureCollection([square, other]))],
    within: [turf.booleanPointInPolygon([13.1, 52.1], square), turf.pointsWithinPolygon(points, square).features.length, turf.booleanCrosses(line, square)],
    lines: [turf.along(line, 10), turf.nearestPointOnLine(line, [13.3, 52.3]), turf.simplify(turf.lineString([[0, 0], [1, 0.01], [2, 0]]), { tolerance: 0.1 }), turf.bezierSpline(line).geometry.coordinates.length],
    grids: [turf.hexGrid([13, 52, 13.3, 52.2], 8).features.length, turf.voronoi(points, { bbox: [12, 51, 15, 54] }).features.length, turf.tin(points).features.length],
    buffered: turf.buffer(turf.point([13, 52]), 5, { steps: 3 }),
    clusters: turf.clustersDbscan(points, 15).features.map(({ properties }) => properties),
  };
};
