# requires: requests==2.34.2
# Building requests only: what answers stands in for a host.
import io

import requests
from requests.adapters import BaseAdapter
from urllib3.response import HTTPResponse


class Echo(BaseAdapter):
    def send(self, request, **keywords):
        body = f"{request.method} {request.url} {request.body}".encode()
        response = requests.adapters.HTTPAdapter().build_response(request, HTTPResponse(io.BytesIO(body), {"Content-Type": "text/plain; charset=utf-8", "Set-Cookie": "a=1"}, status=200, preload_content=False))
        return response

    def close(self):
        pass


def handler(params):
    session = requests.Session()
    session.mount("https://", Echo())
    session.headers["User-Agent"] = "tested"
    answer = session.post("https://example.org/a b", params={"q": params["text"], "n": [1, 2]}, json=params, auth=("user", "secret"))
    form = requests.Request("POST", "https://münchen.example/", data={"a": "ü"}, files=None, cookies={"c": "1"}).prepare()
    return [answer.status_code, answer.text, dict(answer.request.headers), form.url, form.body, dict(form.headers), answer.ok, answer.encoding]
