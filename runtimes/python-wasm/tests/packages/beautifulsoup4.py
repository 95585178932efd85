# requires: beautifulsoup4==4.15.0
from bs4 import BeautifulSoup

PAGE = """<html><head><title>Päge</title></head><body>
<p class="a b" id=one>Some <b>bold</b> text<br>and more
<ul><li>1<li class=x>2<li>3</ul><a href="/u?a=1&amp;b=2">link</a><!-- comment --></body>"""


def handler(params):
    page = BeautifulSoup(PAGE, "html.parser")
    page.find(id="one").b.string = params["name"]
    page.a["rel"] = "nofollow"
    return [page.title.string, [each.get_text(strip=True) for each in page.select("ul > li")], page.select_one("p.a[id]")["class"], page.a["href"], page.p.prettify(), str(page), page.find("li", class_="x").find_next_sibling("li").text if page.find("li", class_="x").find_next_sibling("li") else None]
