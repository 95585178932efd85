# requires: wcwidth==0.9.4
from wcwidth import wcswidth, wcwidth


def handler(params):
    return [[text, wcswidth(text)] for text in (params["text"], "コンニチハ", "👩‍👩‍👧", "e\u0301", "☃\ufe0f", "a\x07")] + [wcwidth("한"), wcwidth("\u200b")]
