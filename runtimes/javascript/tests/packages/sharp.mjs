import sharp from 'sharp';

export default async () => {
  const image = sharp({ create: { width: 8, height: 4, channels: 3, background: { r: 200, g: 10, b: 60 } } });
  const { data, info } = await image.resize(4, 4, { fit: 'fill' }).negate().raw().toBuffer({ resolveWithObject: true });
  const png = await image.png().toBuffer();
  const { width, height, format, channels } = await sharp(png).metadata();
  return { pixels: Array.from(data.subarray(0, 12)), info: [info.width, info.height], png: { width, height, format, channels } };
};
