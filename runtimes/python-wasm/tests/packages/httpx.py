# requires: httpx==0.28.1
# A transport stands in for a host.
import httpx


def answer(request):
    return httpx.Response(200, json={"method": request.method, "url": str(request.url), "body": request.content.decode()}, headers={"set-cookie": "a=1"})


async def handler(params):
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://example.org", params={"q": params["text"]}) as client:
        got = await client.post("/a b", json=params["values"], headers={"x-name": params["name"]})
        return [got.status_code, got.json(), dict(client.cookies), str(httpx.URL("https://bücher.example/ä?b=c d"))]
