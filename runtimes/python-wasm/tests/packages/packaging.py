# requires: packaging==26.3
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version


def handler(params):
    versions = sorted(map(Version, ["1.0", "1.0.post1", "1.0a1", "2!0.1", "1.0.dev3", "1.10", "1.9"]))
    requirement = Requirement('name[a,b]>=1.2,!=1.3; python_version < "4" and extra == "a"')
    try:
        Version("one")
    except InvalidVersion as error:
        fault = str(error)
    return [list(map(str, versions)), list(map(str, SpecifierSet("~=1.4,!=1.5").filter(["1.4", "1.5", "1.6", "2.0"]))), requirement.name, sorted(requirement.extras), str(requirement.specifier), requirement.marker.evaluate({"extra": "a"}), Marker("os_name == 'none'").evaluate(), canonicalize_name("A_b.C"), str(parse_wheel_filename("a_b-1.0-py3-none-any.whl")[1]), fault]
