"""The smallest useful function: greets whom it is told to."""


def handler(params, context):
    name = params.get("name", "world")
    print("greeting", name)
    return {"message": f"Hello, {name}!", "function": context["function"]}
