import Fuse from 'fuse.js';

const BOOKS = ['The Old Man and the Sea', 'Moby Dick', 'The Sea-Wolf', 'Małe życie', 'A Tale of Two Cities', 'The Time Machine'].map((title, id) => ({ id, title, author: { name: ['Ernest', 'Herman', 'Jack', 'Hanya', 'Charles', 'Herbert'][id] }, tags: id % 2 ? ['sea', 'whale'] : ['land'] }));

export default () => {
  const fuse = new Fuse(BOOKS, { keys: [{ name: 'title', weight: 2 }, 'author.name', 'tags'], includeScore: true, includeMatches: true, threshold: 0.4, ignoreDiacritics: true });
  const logical = new Fuse(BOOKS, { keys: ['title', 'author.name'], useExtendedSearch: true });
  return {
    found: ['sea', 'mobi', 'tim machne', 'male zycie', 'zzz'].map((query) => fuse.search(query, { limit: 3 })),
    logical: ["'sea !old", '^The', 'Dick$ | Cities$', '=Moby'].map((query) => logical.search(query).map(({ item }) => item.id)),
    both: logical.search({ $and: [{ title: 'the' }, { $or: [{ 'author.name': 'jack' }, { 'author.name': 'herbert' }] }] }).map(({ item }) => item.id),
    texts: new Fuse(['apple', 'orange', 'banana'], { includeScore: true }).search('aple'),
    index: Fuse.createIndex(['title'], BOOKS.slice(0, 2)).toJSON(),
    removed: fuse.remove(({ id }) => id === 1).length,
  };
};
