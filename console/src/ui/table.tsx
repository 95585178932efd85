/** Tables: sorted by their heads, links in their first column, cards on a phone. */
import type { ComponentChildren, JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Button } from './controls';
import { Icon } from './icons';

export interface Column<Row> {
  readonly key: string;
  readonly label: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** The value by which the column sorts; absent: it does not. `undefined` sorts last. */
  readonly sort?: (row: Row) => string | number | undefined;
  /** Figures stand at the end. */
  readonly end?: boolean;
  /** The cell has no label on a phone: names, buttons. */
  readonly bare?: boolean;
}

export interface TableProps<Row> {
  /** What is in it, for screen readers. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  /** Shown in place of a table without rows. */
  readonly empty?: ComponentChildren;
  /** The column that it is sorted by first; `-key`: the greatest first. */
  readonly sortBy?: string;
  /** Rows that are shown at first, and added by the button below (200). */
  readonly step?: number;
  readonly onRow?: (row: Row) => void;
}

const STEP = 200;

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}

export function Table<Row>(props: TableProps<Row>): JSX.Element {
  const { columns, rows, step = STEP } = props;
  const [order, setOrder] = useState(props.sortBy ?? '');
  const [count, setCount] = useState(step);
  const key = order.replace(/^-/, '');
  const down = order.startsWith('-');
  const sorted = useMemo(() => {
    const value = columns.find((column) => column.key === key)?.sort;
    if (value === undefined) return rows;
    return rows
      .map((row) => [value(row), row] as const)
      .sort(([a], [b]) => {
        if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
        return down ? compare(b, a) : compare(a, b);
      })
      .map(([, row]) => row);
  }, [rows, key, down]);
  if (rows.length === 0 && props.empty !== undefined) return <>{props.empty}</>;
  // Roles are given: on a phone the parts are no table for the browser any more.
  return (
    <div class="table-box">
      <table class="table" role="table" aria-label={props.caption}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <Head key={column.key} column={column} order={column.key === key ? order : ''} setOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {sorted.slice(0, count).map((row) => (
            <tr
              key={props.rowKey(row)}
              role="row"
              class={props.onRow === undefined ? undefined : 'pickable'}
              onClick={props.onRow && (() => props.onRow?.(row))}
            >
              {columns.map((column) => (
                <td
                  key={column.key}
                  role="cell"
                  class={column.end === true ? 'end' : undefined}
                  data-label={column.bare === true ? undefined : column.label}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length > count && (
        <div class="table-more">
          <span>{count} of {sorted.length}</span>
          <Button small onClick={() => setCount(count + step)}>Show more</Button>
        </div>
      )}
    </div>
  );
}

function Head<Row>(
  { column, order, setOrder }: {
    readonly column: Column<Row>;
    readonly order: string;
    readonly setOrder: (order: string) => void;
  },
): JSX.Element {
  const end = column.end === true ? 'end' : undefined;
  if (column.sort === undefined) return <th role="columnheader" scope="col" class={end}>{column.label}</th>;
  const down = order.startsWith('-');
  // Figures are sought from the greatest, names from the first.
  const first = column.end === true ? `-${column.key}` : column.key;
  const next = order === '' ? first : down ? column.key : `-${column.key}`;
  return (
    <th
      role="columnheader"
      scope="col"
      class={end}
      aria-sort={order === '' ? 'none' : down ? 'descending' : 'ascending'}
    >
      <button type="button" onClick={() => setOrder(next)}>
        {column.label}
        {order !== '' && <Icon name={down ? 'down' : 'up'} />}
      </button>
    </th>
  );
}
