# requires: xmltodict==1.0.4
import xmltodict

TEXT = '<?xml version="1.0"?><a x="1"><b>1</b><b>ü &amp; ö</b><c/><d><![CDATA[<x>]]></d><n:e xmlns:n="urn:n">t</n:e></a>'


def handler(params):
    return [xmltodict.parse(TEXT), xmltodict.parse(TEXT, force_list=("c",), process_namespaces=True), xmltodict.unparse({"root": {"@id": "1", "item": params["values"], "#text": params["text"]}}, pretty=True)]
