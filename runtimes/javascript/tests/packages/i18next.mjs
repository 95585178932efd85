import i18next from 'i18next';

const RESOURCES = {
  pl: { translation: { file_one: '{{count}} plik', file_few: '{{count}} pliki', file_many: '{{count}} plików', file_other: '{{count}} pliku', price: 'Cena: {{value, currency(PLN)}}', list: '{{names, list}}' } },
  ar: { translation: { file_zero: 'لا ملفات', file_one: 'ملف', file_two: 'ملفان', file_few: '{{count}} ملفات', file_many: '{{count}} ملفًا', file_other: '{{count}} ملف' } },
  de: { translation: { number: '{{value, number}}', day: '{{value, datetime}}', ago: '{{value, relativetime}}', place_ordinal_other: '{{count}}.', price: '{{value, currency(EUR)}}' } },
  en: { translation: { place_ordinal_one: '{{count}}st', place_ordinal_two: '{{count}}nd', place_ordinal_few: '{{count}}rd', place_ordinal_other: '{{count}}th' } },
};

export default async ({ date, name }) => {
  const of = async (lng) => {
    const instance = i18next.createInstance();
    await instance.init({ lng, resources: RESOURCES });
    return instance;
  };
  const [pl, ar, de, en] = await Promise.all(['pl', 'ar', 'de', 'en'].map(of));
  return {
    pl: [1, 2, 5, 22, 1.5].map((count) => pl.t('file', { count })),
    ar: [0, 1, 2, 5, 11, 100].map((count) => ar.t('file', { count })),
    de: [de.t('number', { value: 1234567.891 }), de.t('day', { value: new Date(date) }), de.t('ago', { value: -3 }), de.t('price', { value: 9.5 })],
    ordinals: [1, 2, 3, 4, 11, 21].map((count) => en.t('place', { count, ordinal: true })),
    others: [pl.t('price', { value: 1234.5 }), pl.t('list', { names: [name, 'Jan', 'Ewa'] }), de.t('place', { count: 3, ordinal: true }), de.dir('ar')],
  };
};
