// What the tests of languages share: the engine that knows them, and the locales that it has.
'use strict';

const path = require('node:path');

process.env.SERVERLEDGE_TEST_GUEST ??= path.join(__dirname, '..', 'javascript-intl.wasm');
const { Guest } = require('./guest.js');

const LOCALES = (
  'en en-AU en-CA en-GB en-IN de de-AT de-CH fr fr-CA fr-CH es es-MX es-419 it pt pt-PT nl sv da nb fi pl cs sk hu ro bg hr ' +
  'sr sl el uk ru tr he ar fa hi bn th vi id ms ja ko zh zh-Hant zh-Hant-HK ca et lt lv'
).split(' ');

// Texts and orders are CLDR's. Those of another version may be others.
const skipTexts = process.versions.cldr !== '48.0' && 'Node.js has other data than the engine';

module.exports = { Guest, LOCALES, skipTexts };
