# requires: faker==40.54.0
from faker import Faker


def handler(params):
    fake = Faker(["en_US", "de_DE"])
    fake.seed_instance(7)
    return [fake.name(), fake["de_DE"].address(), fake.sentence(), fake.iban(), fake["en_US"].ssn(), fake.color(), fake.ipv6(), fake.profile(["job", "mail"])]
