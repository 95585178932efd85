// A package from npm: says which of some addresses could be an e-mail address.
'use strict';

const { validate } = require('email-validator');

module.exports = ({ addresses }) => Object.fromEntries(addresses.map((address) => [address, validate(address)]));
