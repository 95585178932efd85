# requires: charset-normalizer==3.5.2
from charset_normalizer import detect, from_bytes, is_binary

TEXT = "Съешь ещё этих мягких французских булок, да выпей же чаю. Тексты на русском языке распознаются по частоте букв. "


def handler(params):
    found = from_bytes((TEXT * 5).encode("cp1251")).best()
    return [found.encoding, found.language, str(found)[:50], detect((params["text"] * 5).encode()), is_binary(bytes(range(256))), from_bytes(b"\xef\xbb\xbfwith a mark").best().bom]
