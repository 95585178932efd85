import parsePhoneNumber, { AsYouType, findPhoneNumbersInText, getCountries, getExampleNumber, isValidPhoneNumber, parsePhoneNumberWithError, validatePhoneNumberLength } from 'libphonenumber-js';
import examples from 'libphonenumber-js/mobile/examples';

const NUMBERS = [['030 901820', 'DE'], ['+1 (213) 373-4253'], ['0039 06 698', 'DE'], ['8 (800) 555-35-35 ext. 123', 'RU'], ['+48 601 234 567']];

export default () => {
  const typed = new AsYouType('US');
  return {
    parsed: NUMBERS.map(([text, country]) => {
      const number = parsePhoneNumber(text, country);
      return number ? [number.number, number.country, number.isValid(), number.formatNational(), number.formatInternational(), number.getURI(), number.format('E.164'), number.ext] : null;
    }),
    valid: [isValidPhoneNumber('12345', 'US'), isValidPhoneNumber('+442083661177'), validatePhoneNumberLength('22', 'US') ?? 'fits'],
    found: findPhoneNumbersInText('Call +1 213 373 4253 or (030) 901820!', 'DE').map(({ startsAt, endsAt, number }) => [startsAt, endsAt, number.number]),
    typed: [...'2133734253'].map((digit) => typed.input(digit)),
    example: [getExampleNumber('FR', examples).formatNational(), getCountries().length],
    wrong: ['', '1', '+', 'abc', '+999 1'].map((text) => {
      try {
        return parsePhoneNumberWithError(text).number;
      } catch ({ name, message }) {
        return [name, message];
      }
    }),
  };
};
