import { EMPTY, Subject, VirtualTimeScheduler, combineLatest, concat, defer, from, interval, lastValueFrom, merge, of, throwError, timer, zip } from 'rxjs';
import { bufferCount, catchError, concatMap, debounceTime, distinctUntilChanged, finalize, groupBy, map, mergeMap, pairwise, reduce, retry, scan, share, switchMap, take, throttleTime, toArray } from 'rxjs/operators';

export default async ({ values }) => {
  const all = (source) => lastValueFrom(source.pipe(toArray()));
  const log = [];
  let tries = 0;
  const flaky = defer(() => (++tries < 3 ? throwError(() => new Error(`try ${tries}`)) : of(tries)));
  const time = new VirtualTimeScheduler();
  const ticks = [];
  merge(interval(10, time).pipe(take(4), map((each) => `i${each}`)), timer(15, time).pipe(map(() => 't')), from([1, 2]).pipe(debounceTime(5, time))).subscribe((each) => ticks.push([time.now(), each]));
  interval(3, time).pipe(throttleTime(10, time), take(3)).subscribe((each) => ticks.push([time.now(), each]));
  time.flush();
  const subject = new Subject();
  const shared = subject.pipe(scan((sum, each) => sum + each, 0), share());
  shared.subscribe((each) => log.push(['a', each]));
  subject.next(1);
  shared.subscribe((each) => log.push(['b', each]));
  subject.next(2);
  subject.complete();
  return {
    piped: await all(from(values).pipe(distinctUntilChanged(), pairwise(), map(([a, b]) => b - a), bufferCount(3))),
    grouped: await all(from(values).pipe(groupBy((each) => each % 2), mergeMap((group) => group.pipe(reduce((sum, each) => sum + each, 0), map((sum) => [group.key, sum]))))),
    combined: [await all(zip(of(1, 2), of('a', 'b', 'c'))), await all(combineLatest([of(1, 2), from(Promise.resolve('p'))])), await all(concat(of(1), EMPTY, timer(5).pipe(map(() => 'late'))))],
    switched: await all(timer(0, 1).pipe(take(3), switchMap((each) => of(each, -each)), concatMap(async (each) => each * 2))),
    faults: [await lastValueFrom(flaky.pipe(retry(3))), await lastValueFrom(throwError(() => new Error('x')).pipe(catchError((error) => of(error.message)), finalize(() => log.push('end')))), await lastValueFrom(EMPTY).catch(({ name, message }) => [name, message])],
    ticks,
    log,
  };
};
