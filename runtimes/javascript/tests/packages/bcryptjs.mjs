import bcrypt from 'bcryptjs';

const SALT = '$2b$04$abcdefghijklmnopqrstuu';

export default async ({ text }) => {
  const hash = bcrypt.hashSync(text, SALT);
  const fresh = await bcrypt.hash(text, 4);
  return {
    hash,
    same: bcrypt.compareSync(text, hash),
    other: await bcrypt.compare('other', hash),
    rounds: [bcrypt.getRounds(hash), bcrypt.getRounds(fresh)],
    salt: [bcrypt.getSalt(hash), bcrypt.truncates(text), bcrypt.truncates(text.repeat(9))],
    fresh: [fresh.length, await bcrypt.compare(text, fresh)],
  };
};
