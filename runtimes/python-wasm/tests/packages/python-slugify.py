# requires: python-slugify==9.1.3
from slugify import slugify


def handler(params):
    return [slugify(params["text"]), slugify("影師嗎"), slugify("Компьютер & Co.", separator="_"), slugify("one two three four", max_length=10, word_boundary=True), slugify("10 | 20 %", replacements=[["|", "or"], ["%", "percent"]]), slugify("the quick fox", stopwords=["the"]), slugify("Ünï", allow_unicode=True), slugify("&amp; &#381;")]
