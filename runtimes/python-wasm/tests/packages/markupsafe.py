# requires: markupsafe==3.0.4
from markupsafe import Markup, escape


class Html:
    def __html__(self):
        return "<i>made</i>"


def handler(params):
    bold = Markup("<b>{}</b>").format(f"<{params['name']}>")
    return [bold, escape("<a href='x'>&\""), escape(Html()), Markup("%s & %s") % ("<", Markup(">")), bold.striptags(), Markup("&lt;&eacute;&#8364;").unescape(), Markup(", ").join(["<", params["text"]])]
