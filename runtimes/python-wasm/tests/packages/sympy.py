# requires: sympy==1.14.0
from sympy import Matrix, diff, expand, factor, integrate, latex, limit, oo, pi, sin, solve, symbols, sympify

x, y = symbols("x y")


def handler(params):
    expression = sympify("x**3 - 6*x**2 + 11*x - 6")
    return [str(each) for each in (factor(expression), solve(expression, x), diff(sin(x) ** 2, x), integrate(x * sin(x), (x, 0, pi)), limit(sin(x) / x, x, 0), expand((x + y) ** 4), pi.evalf(30), latex(integrate(1 / x**2, (x, 1, oo))), Matrix([[1, 2], [3, 4]]).inv())]
