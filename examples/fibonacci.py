"""A number of Fibonacci's row. What was computed is kept for the calls that the same container runs later."""

LARGEST = 10_000

row = [0, 1]


def handler(params):
    index = int(params["n"])
    if not 0 <= index <= LARGEST:
        raise ValueError(f"n is {index} and may be from 0 to {LARGEST}")
    known = len(row)
    while len(row) <= index:
        row.append(row[-1] + row[-2])
    # As text: numbers of JSON are exact only up to 2^53 for most of those who read them.
    return {"n": index, "fibonacci": str(row[index]), "computed": len(row) - known}
