import validator from 'validator';

const CHECKS = {
  isEmail: ['a@b.cd', 'ä@example.org', 'a@b', 'a b@c.de'],
  isURL: ['https://example.org/a?b', 'example.org', 'http://', 'ftp://u:p@h:1/'],
  isIP: ['127.0.0.1', '::1', '1.2.3', 'fe80::1%eth0'],
  isCreditCard: ['4111111111111111', '4111111111111112'],
  isIBAN: ['DE89370400440532013000', 'DE00370400440532013000'],
  isISO8601: ['2026-11-29T10:00Z', '2026-02-30', '2026-13-01'],
  isUUID: ['6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'x'],
  isJSON: ['{"a":1}', '{a:1}'],
  isBase64: ['aGVsbG8=', 'aGVsbG8'],
  isISBN: ['978-3-16-148410-0', '3-16-148410-1'],
  isSlug: ['some-text', 'Some Text'],
  isLatLong: ['52.5,13.4', '91,0'],
  isAlpha: ['abc', 'ab1'],
};

export default ({ name }) => ({
  checked: Object.entries(CHECKS).map(([check, texts]) => [check, texts.map((text) => validator[check](text))]),
  locales: [validator.isAlpha('Łódź', 'pl-PL'), validator.isMobilePhone('+4915112345678', 'de-DE'), validator.isPostalCode('10115', 'DE'), validator.isDecimal('1,5', { locale: 'de-DE' })],
  changed: [validator.escape(`<${name}>"'/`), validator.unescape('&lt;a&#x2F;'), validator.normalizeEmail('Some.Body+x@GMAIL.com'), validator.trim('  x '), validator.stripLow('a\u0001b'), validator.whitelist('abc1', 'a-c'), validator.toDate('2026-11-29'), validator.toBoolean('no', true)],
  strong: [validator.isStrongPassword('aB3$5678'), validator.isStrongPassword('aB3$5678', { returnScore: true })],
  fault: (() => {
    try {
      return validator.isEmail(5);
    } catch (error) {
      return [error.name, error.message];
    }
  })(),
});
