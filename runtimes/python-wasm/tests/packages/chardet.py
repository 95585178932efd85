# requires: chardet==7.7.0
import chardet

TEXTS = {"utf-8": "Grüße aus Łódź und anderswo", "windows-1251": "Съешь ещё этих мягких французских булок да выпей чаю", "utf-16": "Text with a mark", "ascii": "plain text", "iso-8859-7": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία"}


def handler(params):
    detector = chardet.UniversalDetector()
    for line in (params["text"] + "\n").encode() * 3, b"more":
        detector.feed(line)
    return [[name, chardet.detect(text.encode(name))] for name, text in TEXTS.items()] + [detector.close()]
