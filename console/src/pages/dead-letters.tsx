/** Invocations that the nodes gave up: why, and redrive or purge, each or all. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { del, get, isAbort, post, toApiError, type ApiError } from '../api';
import { href, inApp, path, query as queryOf } from '../base';
import { useAction, useFetch } from '../hooks';
import { FunctionLink } from '../parts/run-table';
import { RunNav } from '../parts/run-nav';
import { runPage } from '../parts/runs';
import { Link, setQuery, usePlace } from '../router';
import type { AcceptedInvocation, AppSummary, DeadLetter, DeadLetters } from '../types';
import {
  Button,
  Confirm,
  Empty,
  Loading,
  Page,
  Problem,
  Select,
  Table,
  Time,
  formatNumber,
  shortId,
  toast,
  type Column,
} from '../ui';

const LIMIT = 50;
const ALL_LIMIT = 500;

type Asked = { readonly what: 'purge' | 'redrive'; readonly letter?: DeadLetter };

export default function DeadLettersPage(): JSX.Element {
  const app = usePlace().query.get('app') ?? undefined;
  const letters = useLetters(app);
  const [asked, setAsked] = useState<Asked>();
  const { list } = letters;
  return (
    <Page
      title="Dead letters"
      above={[['/runs', 'Runs']]}
      actions={
        list !== undefined &&
        list.length > 0 && (
          <>
            <Button onClick={() => setAsked({ what: 'redrive' })}>Redrive all</Button>
            <Button look="danger" onClick={() => setAsked({ what: 'purge' })}>
              Purge all
            </Button>
          </>
        )
      }
    >
      <RunNav />
      <Apps app={app} />
      <Problem error={letters.error} onRetry={letters.reload} />
      {list === undefined ? (
        letters.error === undefined && <Loading />
      ) : (
        <List list={list} app={app} ask={setAsked} changed={letters.remove} />
      )}
      {letters.more && (
        <div class="row">
          <Button busy={letters.busy} onClick={letters.readMore}>
            Show more
          </Button>
          <span class="muted">{formatNumber(list?.length ?? 0)} shown, the oldest first</span>
        </div>
      )}
      <Asking asked={asked} app={app} onClose={() => setAsked(undefined)} letters={letters} />
    </Page>
  );
}

interface Letters {
  readonly list: readonly DeadLetter[] | undefined;
  readonly error: ApiError | undefined;
  readonly more: boolean;
  readonly busy: boolean;
  readonly readMore: () => void;
  readonly reload: () => void;
  readonly remove: (id: string) => void;
}

function useLetters(app: string | undefined): Letters {
  const [pages, setPages] = useState<{ list?: readonly DeadLetter[]; next?: string | undefined; error?: ApiError }>(
    {},
  );
  const [count, setCount] = useState(0);
  const reload = (): void => setCount(count + 1);
  const route = (after?: string): string => inApp(app, '/dead-letters') + queryOf({ limit: LIMIT, after });
  useEffect(() => {
    const aborter = new AbortController();
    get<DeadLetters>(route(), { signal: aborter.signal }).then(
      (page) => setPages({ list: page.dead_letters, next: page.next }),
      (error: unknown) => isAbort(error) || setPages((before) => ({ ...before, error: toApiError(error) })),
    );
    return () => aborter.abort();
  }, [app, count]);
  const reading = useAction(async () => {
    const page = await get<DeadLetters>(route(pages.next));
    setPages(({ list = [] }) => ({ list: [...list, ...page.dead_letters], next: page.next }));
  });
  return {
    list: pages.list,
    error: pages.error ?? reading.error,
    more: pages.next !== undefined,
    busy: reading.busy,
    readMore: () => void reading.run(),
    reload,
    remove: (id) => setPages(({ list = [], ...rest }) => ({ ...rest, list: list.filter((one) => one.id !== id) })),
  };
}

/** An application's dead letters are its own. */
function Apps({ app }: { readonly app: string | undefined }): JSX.Element | null {
  const apps = useFetch<AppSummary[]>('/apps');
  const names = (apps.data ?? []).map(({ name }) => name);
  if (names.length === 0 && app === undefined) return null;
  return (
    <div class="filters">
      <Select
        label="Application"
        value={app ?? ''}
        onChange={(name) => setQuery({ app: name })}
        options={[['', 'none'], ...names.map((name) => [name, name] as const)]}
      />
    </div>
  );
}

async function redrive(app: string | undefined, id: string): Promise<AcceptedInvocation> {
  return post<AcceptedInvocation>(inApp(app, path`/dead-letters/${id}/redrive`));
}

function List(props: {
  readonly list: readonly DeadLetter[];
  readonly app: string | undefined;
  readonly ask: (asked: Asked) => void;
  readonly changed: (id: string) => void;
}): JSX.Element {
  const { app } = props;
  const columns: readonly Column<DeadLetter>[] = [
    {
      key: 'id',
      label: 'Invocation',
      bare: true,
      cell: (letter) => (
        <Link to={runPage(letter.id, app)} class="mono">
          {shortId(letter.id)}
        </Link>
      ),
    },
    {
      key: 'function',
      label: 'Function',
      cell: (letter) => <FunctionLink of={{ function: letter.function, app }} />,
      sort: (letter) => letter.function,
    },
    {
      key: 'cause',
      label: 'Cause',
      cell: ({ error }) => (
        <span class="cause">
          <a href={`${href('/errors')}#${error.code}`}>{error.code}</a>
          <span class="muted">{error.message}</span>
        </span>
      ),
      sort: ({ error }) => error.code,
    },
    {
      key: 'attempts',
      label: 'Attempts',
      end: true,
      cell: ({ attempts }) => attempts,
      sort: ({ attempts }) => attempts,
    },
    {
      key: 'time',
      label: 'Given up',
      cell: (letter) => <Time ms={letter.finished_unix_ms} ago />,
      sort: (letter) => letter.finished_unix_ms,
    },
    { key: 'actions', label: 'Actions', bare: true, cell: (letter) => <LetterActions {...props} letter={letter} /> },
  ];
  return (
    <Table
      caption="Dead letters"
      columns={columns}
      rows={props.list}
      rowKey={({ id }) => id}
      empty={
        <Empty title="No dead letters">
          An asynchronous invocation becomes one when the nodes give it up, though its function is not to blame: too
          many attempts, too old, too large a result. Nothing needs you here.
        </Empty>
      }
    />
  );
}

function LetterActions({
  letter,
  app,
  ask,
}: {
  readonly letter: DeadLetter;
  readonly app: string | undefined;
  readonly ask: (asked: Asked) => void;
}): JSX.Element {
  const [made, setMade] = useState<string>();
  const driving = useAction(async () => {
    const { id } = await redrive(app, letter.id);
    setMade(id);
    toast('Redriven: the new invocation waits for its turn');
  });
  return (
    <div class="stack tight">
      <span class="row together">
        {made === undefined ? (
          <Button small busy={driving.busy} onClick={() => driving.run()}>
            Redrive
          </Button>
        ) : (
          <Link to={runPage(made, app)}>Its new run</Link>
        )}
        <Button small look="danger" onClick={() => ask({ what: 'purge', letter })}>
          Purge
        </Button>
      </span>
      <Problem error={driving.error} />
    </div>
  );
}

/** The question before something that cannot be undone, or that concerns all. */
function Asking({
  asked,
  app,
  onClose,
  letters,
}: {
  readonly asked: Asked | undefined;
  readonly app: string | undefined;
  readonly onClose: () => void;
  readonly letters: Letters;
}): JSX.Element {
  const [step, setStep] = useState('');
  const { what, letter } = asked ?? {};
  const redriveAll = async (): Promise<void> => {
    let after: string | undefined;
    let done = 0;
    do {
      const page: DeadLetters = await get<DeadLetters>(
        inApp(app, '/dead-letters') + queryOf({ limit: ALL_LIMIT, after }),
      );
      for (const { id } of page.dead_letters) {
        await redrive(app, id);
        done += 1;
        setStep(`${formatNumber(done)} redriven`);
      }
      after = page.next;
    } while (after !== undefined);
    setStep('');
    toast(`${formatNumber(done)} redriven`);
  };
  const purge = async (): Promise<void> => {
    if (letter !== undefined) {
      await del(inApp(app, path`/dead-letters/${letter.id}`));
      letters.remove(letter.id);
      toast('Purged');
      return;
    }
    const { purged } = await del<{ purged: number }>(inApp(app, '/dead-letters'));
    toast(`${formatNumber(purged)} purged`);
    letters.reload();
  };
  const whose = app === undefined ? 'outside of applications' : `of the application ${app}`;
  return (
    <>
      <Confirm
        title={letter === undefined ? 'Purge all dead letters?' : 'Purge this dead letter?'}
        open={what === 'purge'}
        onClose={onClose}
        action={letter === undefined ? 'Purge all' : 'Purge'}
        onConfirm={purge}
      >
        <p>
          {letter === undefined
            ? `All dead letters ${whose} are deleted with their parameters, also those that are not shown.`
            : `${letter.function}, ${letter.error.code}: it is deleted with its parameters.`}{' '}
          This cannot be undone.
        </p>
      </Confirm>
      <Confirm
        title="Redrive all dead letters?"
        open={what === 'redrive'}
        onClose={onClose}
        action="Redrive all"
        look="primary"
        onConfirm={redriveAll}
      >
        <p>
          Each one {whose} runs again as a new invocation, with the same version and parameters. The dead letters stay
          until they are purged; one that was redriven before is not driven twice.
        </p>
        {step !== '' && <p role="status">{step}</p>}
      </Confirm>
    </>
  );
}
