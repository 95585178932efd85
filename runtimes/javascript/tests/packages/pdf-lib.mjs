import { PDFDocument, StandardFonts, degrees, rgb } from 'pdf-lib';

export default async ({ name, date }) => {
  const pdf = await PDFDocument.create({ updateMetadata: false });
  pdf.setTitle('Some title');
  pdf.setAuthor(name);
  pdf.setCreationDate(new Date(date));
  const font = await pdf.embedFont(StandardFonts.Helvetica);
  const page = pdf.addPage([300, 400]);
  page.drawText(`Hello ${name}\nsecond line`, { x: 30, y: 350, size: 18, font, color: rgb(0.1, 0.2, 0.9), rotate: degrees(5) });
  page.drawRectangle({ x: 10, y: 10, width: 50, height: 20, borderWidth: 1, borderColor: rgb(1, 0, 0) });
  page.drawSvgPath('M 0,20 L 100,160 Q 130,200 150,120 Z', { x: 100, y: 200 });
  const form = pdf.getForm();
  const field = form.createTextField('who');
  field.setText(name);
  field.addToPage(page, { x: 50, y: 100, width: 80, height: 20 });
  form.createCheckBox('yes').addToPage(page, { x: 5, y: 5, width: 10, height: 10 });
  const bytes = await pdf.save();
  const again = await PDFDocument.load(bytes, { updateMetadata: false });
  const [copied] = await again.copyPages(pdf, [0]);
  again.addPage(copied).setRotation(degrees(90));
  const text = await again.saveAsBase64({ useObjectStreams: false });
  return {
    size: bytes.length,
    sum: bytes.reduce((sum, each) => (sum * 31 + each) >>> 0, 7),
    again: [again.getTitle(), again.getAuthor(), again.getCreationDate(), again.getPageCount(), again.getForm().getTextField('who').getText(), again.getPage(0).getSize()],
    text: [text.length, text.slice(0, 80)],
    widths: [font.widthOfTextAtSize('Width', 12), font.heightAtSize(12)],
  };
};
