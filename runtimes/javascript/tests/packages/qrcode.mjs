import QRCode from 'qrcode';

export default async ({ text }) => {
  const code = QRCode.create([{ data: '0123456789', mode: 'numeric' }, { data: 'ABC-1', mode: 'alphanumeric' }, { data: text, mode: 'byte' }], { errorCorrectionLevel: 'H' });
  return {
    sizes: ['x', 'x'.repeat(200), 'x'.repeat(1500)].map((each) => QRCode.create(each).modules.size),
    code: [code.version, code.maskPattern, code.segments.length, Array.from(code.modules.data).join('')],
    svg: await QRCode.toString(text, { type: 'svg', margin: 1, color: { dark: '#336' } }),
    fixed: Array.from(QRCode.create('fixed', { version: 5, maskPattern: 3, errorCorrectionLevel: 'L' }).modules.data.slice(0, 60)),
    wrong: (() => {
      try {
        return QRCode.create('x'.repeat(9000)).version;
      } catch (error) {
        return [error.name, error.message];
      }
    })(),
  };
};
