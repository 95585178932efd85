# requires: feedparser==6.0.14
import feedparser

FEED = """<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>Päge</title><link>https://example.org/</link>
<item><title>One &amp; two</title><description>&lt;p onclick="x()"&gt;Text&lt;script&gt;1&lt;/script&gt;&lt;/p&gt;</description>
<pubDate>Sun, 29 Nov 2026 10:30:00 GMT</pubDate><guid>1</guid><enclosure url="a.mp3" length="1" type="audio/mpeg"/></item></channel></rss>"""


def handler(params):
    feed = feedparser.parse(FEED)
    item = feed.entries[0]
    return [feed.version, feed.feed.title, item.title, item.summary, list(item.published_parsed), item.id, item.enclosures[0].href, feed.bozo]
