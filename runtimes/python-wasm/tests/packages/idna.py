# requires: idna==3.20
import idna


def handler(params):
    errors = []
    for wrong in ("a..b", "-a", "x" * 64, "☃.example"):
        try:
            idna.encode(wrong)
        except idna.IDNAError as error:
            errors.append(str(error))
    return [idna.encode("müncHen.straße.example", uts46=True).decode(), idna.decode("xn--mnchen-3ya.example"), idna.encode("ドメイン.テスト").decode(), idna.ulabel("xn--tst-qla"), errors]
