"""The function: a call's parameters go in, and its result comes out. What is printed is the log of the call."""


def handler(params, context):
    name = params.get("name", "world")
    print(f"greeting {name}")
    return {"message": f"Hello, {name}!"}
