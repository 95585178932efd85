import * as topojson from 'topojson-client';

const TOPOLOGY = {
  type: 'Topology',
  transform: { scale: [0.5, 0.25], translate: [10, 20] },
  objects: {
    land: { type: 'GeometryCollection', geometries: [{ type: 'Polygon', id: 'a', properties: { n: 1 }, arcs: [[0, 1]] }, { type: 'Polygon', id: 'b', arcs: [[-2, 2]] }, { type: 'Point', coordinates: [4, 4] }] },
    line: { type: 'MultiLineString', arcs: [[0], [2]] },
  },
  arcs: [[[0, 0], [0, 8], [8, 0]], [[8, 8], [0, -8], [-8, 0]], [[8, 8], [8, 0], [0, -8], [-8, 0]]],
};

export default () => {
  const { land, line } = TOPOLOGY.objects;
  return {
    features: topojson.feature(TOPOLOGY, land),
    line: topojson.feature(TOPOLOGY, line),
    mesh: [topojson.mesh(TOPOLOGY, land), topojson.mesh(TOPOLOGY, land, (a, b) => a !== b)],
    merged: topojson.merge(TOPOLOGY, land.geometries.slice(0, 2)),
    neighbours: topojson.neighbors(land.geometries),
    box: topojson.bbox(TOPOLOGY),
    transforms: [topojson.transform(TOPOLOGY.transform)([4, 8]), topojson.untransform(TOPOLOGY.transform)([12, 22])],
    again: topojson.quantize({ ...TOPOLOGY, transform: undefined, arcs: [[[0, 0], [0.5, 1]], [[1, 1], [0, 0]], [[1, 1], [3, 4]]] }, 10).arcs,
  };
};
