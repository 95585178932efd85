import semver from 'semver';

const VERSIONS = ['1.2.3', '1.2.3-beta.2', '1.2.3-beta.11', '0.9.0', '2.0.0+build', '1.10.0'];

export default () => ({
  sorted: [semver.sort([...VERSIONS]), semver.rsort([...VERSIONS])],
  ranges: ['^1.2', '~1.2.3-beta', '>=0.9 <2 || 5.x', '1.2.3 - 1.9', '*', ''].map((range) => [semver.validRange(range), VERSIONS.filter((each) => semver.satisfies(each, range)), semver.maxSatisfying(VERSIONS, range)]),
  next: ['major', 'premajor', 'minor', 'patch', 'prerelease'].map((kind) => semver.inc('1.2.3-beta.2', kind, 'rc')),
  parts: [semver.parse('1.2.3-a.1+b'), semver.coerce('v3.4 of it'), semver.prerelease('1.0.0-rc.1'), semver.clean(' =v1.2.3 ')],
  compared: [semver.gt('1.0.0', '1.0.0-rc'), semver.diff('1.2.3', '1.3.0-x'), semver.compareBuild('1.0.0+a', '1.0.0+b'), semver.intersects('^1', '>=1.5'), semver.subset('~1.2', '^1.0'), semver.minVersion('>1.2 <2'), semver.gtr('3.0.0', '^1'), semver.simplifyRange(VERSIONS, '^1.2')],
  wrong: ['1.2', 'a.b.c', ''].map((each) => {
    try {
      return new semver.SemVer(each).version;
    } catch (error) {
      return [error.name, error.message];
    }
  }),
});
