import initSqlJs from 'sql.js';

export default async ({ values }) => {
  const { Database } = await initSqlJs();
  const database = new Database();
  database.run('create table t (n integer, name text)');
  for (const each of values) database.run('insert into t values (?, ?)', [each, `n${each}`]);
  const statement = database.prepare('select name from t where n > $n order by n');
  statement.bind({ $n: 4 });
  const rows = [];
  while (statement.step()) rows.push(statement.getAsObject());
  return { sum: database.exec('select sum(n), count(distinct n) from t'), rows, version: database.exec('select typeof(sqlite_version())') };
};
