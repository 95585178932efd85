import * as ort from 'onnxruntime-web';

const text = (field, value) => [(field << 3) | 2, value.length, ...Buffer.from(value)];
const part = (field, ...bytes) => [(field << 3) | 2, bytes.flat().length, ...bytes.flat()];
// Three numbers called so.
const tensor = (name) => [text(1, name), part(2, part(1, 0x08, 1, part(2, part(1, 0x08, 3))))].flat();
// A model in ONNX's own format: z = x + y.
const MODEL = Uint8Array.from([
  0x08, 8,
  ...part(7, part(1, text(1, 'x'), text(1, 'y'), text(2, 'z'), text(4, 'Add')), text(2, 'g'), part(11, tensor('x')), part(11, tensor('y')), part(12, tensor('z'))),
  ...part(8, 0x10, 13),
]);

export default async () => {
  const numbers = (list) => new ort.Tensor('float32', Float32Array.from(list), [3]);
  const session = await ort.InferenceSession.create(MODEL);
  const { z } = await session.run({ x: numbers([1, 2, 3]), y: numbers([0.5, 0.25, 10]) });
  return { names: [session.inputNames, session.outputNames], sum: Array.from(z.data), shape: z.dims, type: z.type };
};
