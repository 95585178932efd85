"""Whether a number is prime, by trial division: work that grows with the number. The context first, as Serverledge's
older functions have it."""

LARGEST = 10 ** 14


def handler(context, params):
    number = int(params["n"])
    if number > LARGEST:
        raise ValueError(f"n is {number} and may be {LARGEST}")
    return {"n": number, "prime": is_prime(number)}


def is_prime(number):
    if number < 4:
        return number > 1
    if number % 2 == 0 or number % 3 == 0:
        return False
    divisor = 5
    while divisor * divisor <= number:
        if number % divisor == 0 or number % (divisor + 2) == 0:
            return False
        divisor += 6
    return True
