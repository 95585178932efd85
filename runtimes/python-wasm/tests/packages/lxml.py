# requires: lxml==6.1.3
from lxml import etree


def handler(params):
    return etree.fromstring("<a><b/></a>").tag
