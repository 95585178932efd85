import pLimit, { limitFunction } from 'p-limit';

export default async ({ values }) => {
  const limit = pLimit(2);
  const [log, state] = [[], { running: 0, most: 0 }];
  const work = async (each, at) => {
    state.running += 1;
    state.most = Math.max(state.most, state.running);
    log.push(`begin ${at}`);
    await new Promise((resolve) => setTimeout(resolve, each * 5));
    log.push(`end ${at}`);
    state.running -= 1;
    return each * each;
  };
  const all = values.map((each, at) => limit(work, each, at));
  const counts = [limit.activeCount, limit.pendingCount, limit.concurrency];
  const results = await Promise.all(all);
  const failed = await Promise.allSettled([limit(async () => { throw new Error('x'); }), limit(() => 1)]);
  const one = limitFunction(async (each) => each + 1, { concurrency: 1 });
  return { results, most: state.most, log, counts, after: [limit.activeCount, limit.pendingCount], failed: failed.map(({ status, value, reason }) => [status, value, reason?.message]), mapped: await limit.map(values, (each, at) => each + at), one: await Promise.all([one(1), one(2)]), wrong: await Promise.resolve().then(() => pLimit(0)).catch((error) => [error.name, error.message]) };
};
