# requires: semver==3.1.1
from semver import Version


def handler(params):
    versions = sorted(map(Version.parse, ["1.0.0", "1.0.0-rc.1", "1.0.0-alpha.beta", "1.0.0-2", "1.10.0", "1.9.0+b"]))
    try:
        Version.parse("1.2")
    except ValueError as error:
        fault = str(error)
    return [list(map(str, versions)), str(Version(1, 2, 3).bump_minor()), Version.parse("1.2.3-pre.2+build.4").to_dict(), Version(1, 2, 3).match(">=1.2.0"), str(Version.parse("1.0.0-rc.9").bump_prerelease()), fault]
