# requires: email-validator==2.4.0
from email_validator import EmailNotValidError, validate_email


def handler(params):
    results = []
    for address in ("Ada@Example.COM", "dörte@sörensen.example", "a@b", "a b@example.org", "a..b@example.org", '"quoted x"@example.org', "x" * 65 + "@example.org"):
        try:
            found = validate_email(address, check_deliverability=False, test_environment=True)
            results.append([found.normalized, found.ascii_domain])
        except EmailNotValidError as error:
            results.append(str(error))
    return results
