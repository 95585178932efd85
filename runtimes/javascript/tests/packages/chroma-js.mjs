import chroma from 'chroma-js';

export default () => {
  const colour = chroma('teal');
  return {
    names: [colour.hex(), chroma('#ff9900').name(), chroma('hotpink').rgb(), chroma(0xabcdef).css()],
    spaces: [colour.hsl(), colour.hsv(), colour.lab(), colour.lch(), colour.oklch(), colour.cmyk()],
    changed: [colour.brighten().hex(), colour.darken(2).hex(), colour.saturate().hex(), colour.set('hsl.h', 30).hex()],
    mixed: [chroma.mix('red', 'blue', 0.3, 'lab').hex(), chroma.average(['#f00', '#0f0']).hex(), chroma.blend('4cbbfc', 'eeee22', 'multiply').hex()],
    scale: chroma.scale(['yellow', 'navy']).mode('lch').colors(6),
    luminance: [colour.luminance(), chroma('orange').luminance(), chroma.contrast('pink', 'hotpink'), chroma.deltaE('red', 'tomato')],
    valid: ['red', '#12', 'rgb(1 2 3)'].map((each) => chroma.valid(each)),
  };
};
