# requires: pypdf==7.1.0
import io

from pypdf import PdfReader, PdfWriter


def handler(params):
    writer = PdfWriter()
    for size in params["values"]:
        writer.add_blank_page(100 * size, 100)
    writer.add_metadata({"/Title": params["text"]})
    writer.add_outline_item("Third", 2)
    writer.pages[0].rotate(90)
    file = io.BytesIO()
    writer.write(file)
    reader = PdfReader(file)
    return [len(reader.pages), reader.metadata.title, [float(page.mediabox.width) for page in reader.pages], reader.pages[0].rotation, reader.outline[0].title]
