# requires: qrcode==8.2
import io

import qrcode
from qrcode.image.svg import SvgPathImage


def handler(params):
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_H, border=2)
    code.add_data(params["text"])
    code.make(fit=True)
    out = io.StringIO()
    code.print_ascii(out)
    picture = io.BytesIO()
    code.make_image(image_factory=SvgPathImage).save(picture)
    return [code.version, code.get_matrix(), out.getvalue(), picture.getvalue().decode()]
