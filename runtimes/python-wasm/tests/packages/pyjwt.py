# requires: pyjwt==2.15.1
import jwt

KEY = "a key of enough bytes for the algorithm: 64 of them are needed for HS512"


def handler(params):
    token = jwt.encode({"sub": params["name"], "iat": 1764412200, "aud": ["a"]}, KEY, algorithm="HS256", headers={"kid": "1"})
    errors = []
    for wrong in (token[:-2] + "xx", token, "a.b"):
        try:
            jwt.decode(wrong, KEY, algorithms=["HS256"], audience="b")
        except jwt.InvalidTokenError as error:
            errors.append([type(error).__name__, str(error)])
    return [token, jwt.decode(token, KEY, algorithms=["HS256"], audience="a"), jwt.get_unverified_header(token), jwt.encode({"a": 1}, KEY, algorithm="HS512"), errors]
