// Languages: the engine for scripts that name none of their methods has none. A script that makes up such a name at run time is
// told so, once in each call.
(function (native, shared) {
  'use strict';

  const NUMBERS = 'writes numbers without grouping and without regard to a language';
  const DATES = 'writes dates without regard to a language, in UTC';
  const METHODS = [
    [String, 'localeCompare', () => true, 'compares by code points, not by a language: "Z" comes before "a", "z" before "ä"'],
    [String, 'toLocaleUpperCase', ofLanguage, 'does not know the language'],
    [String, 'toLocaleLowerCase', ofLanguage, 'does not know the language'],
    [Number, 'toLocaleString', () => true, NUMBERS],
    [BigInt, 'toLocaleString', () => true, NUMBERS],
    [Date, 'toLocaleString', () => true, DATES],
    [Date, 'toLocaleDateString', () => true, DATES],
    [Date, 'toLocaleTimeString', () => true, DATES],
  ];

  // Few languages have rules of their own for upper and lower case.
  function ofLanguage(tags) {
    return [tags].flat().some((tag) => /^(?:az|lt|tr)\b/i.test(String(tag)));
  }

  for (const [kind, name, differs, what] of METHODS) {
    const own =
      Object.getOwnPropertyDescriptor(kind.prototype, name) ?? Object.getOwnPropertyDescriptor(Object.prototype, name);
    const text = `${name} ${what}. To have languages, write ${name} or Intl somewhere in the file, also in a comment`;
    const { [name]: telling } = {
      [name](argument, ...more) {
        if (differs(argument)) {
          if (native.invoked()) {
            native.log(`note: ${shared.placeInFile()}: ${text}`);
            // Once is enough.
            if (kind.prototype[name] === telling) Object.defineProperty(kind.prototype, name, own);
          } else {
            shared.warn(text);
          }
        }
        return Reflect.apply(own.value, this, [argument, ...more]);
      },
    };
    Object.defineProperty(telling, 'length', { value: own.value.length, configurable: true });
    Object.defineProperty(kind.prototype, name, { ...own, value: telling });
  }
});
