import i18next from 'i18next';

const translation = {
  greeting: 'Hello {{name}}, {{- html}} and {{html}}',
  file_one: '{{count}} file',
  file_other: '{{count}} files',
  friend_male: 'A boyfriend',
  friend_female: 'A girlfriend',
  nested: 'See $t(greeting) and $t(file, { "count": {{n}} })',
  deep: { list: ['one', 'two'], text: 'deep {{a.b}}' },
};

export default async ({ name }) => {
  const instance = i18next.createInstance();
  const missing = [];
  await instance.init({ lng: 'en', fallbackLng: 'en', resources: { en: { translation, other: { only: 'in other' } } }, saveMissing: true, missingKeyHandler: (...args) => missing.push(args.slice(0, 3)) });
  instance.on('languageChanged', (language) => missing.push(language));
  const texts = [instance.t('greeting', { name, html: '<b>' }), [0, 1, 5].map((count) => instance.t('file', { count })), instance.t('friend', { context: 'female' }), instance.t('nested', { name, html: '', n: 3 }), instance.t('deep.list', { returnObjects: true, joinArrays: '+' }), instance.t('deep.text', { a: { b: 1 } }), instance.t('only', { ns: 'other' }), instance.t('nope', 'default {{x}}', { x: 1 }), instance.t(['absent', 'deep.text'], { a: { b: 2 } })];
  await instance.changeLanguage('en-GB');
  return { texts, missing, languages: instance.languages, exists: [instance.exists('file_one'), instance.exists('x')], fixed: instance.getFixedT('en', null, 'deep')('text', { a: { b: 3 } }), bundle: instance.getResourceBundle('en', 'other') };
};
