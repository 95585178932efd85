/** Who uses the console, and whether the node wants to know. */
import { ApiError, get, isAbort, post, whenUnauthorized } from './api';
import { Store } from './store';
import type { AccountInfo, NodeStatus } from './types';

export type Session =
  | { readonly state: 'asking' }
  /** Nobody is logged in. `open`: and nobody has to be. */
  | { readonly state: 'open'; readonly accounts: boolean; readonly node?: NodeStatus }
  | { readonly state: 'out' }
  | { readonly state: 'in'; readonly account: AccountInfo; readonly node?: NodeStatus };

export const session = new Store<Session>({ state: 'asking' });

/** Whether the routes of the node itself answer: to operators, and to all where nobody has to log in. */
export function isOperator(of: Session): boolean {
  return of.state === 'open' || (of.state === 'in' && of.account.role === 'operator');
}

/** Asks who is logged in. */
export async function askSession(): Promise<void> {
  let account: AccountInfo | undefined;
  let accounts = true;
  try {
    account = await get<AccountInfo>('/account', { anonymous: true });
  } catch (error) {
    if (isAway(error)) throw error;
    accounts = !(error instanceof ApiError && error.code === 'accounts_disabled');
  }
  // Answers to anybody only where nobody has to log in.
  let node: NodeStatus | undefined;
  try {
    if (account === undefined || account.role === 'operator') {
      node = await get<NodeStatus>('/status', { anonymous: true });
    }
  } catch (error) {
    if (isAway(error)) throw error;
  }
  const seen = node === undefined ? {} : { node };
  if (account !== undefined) session.value = { state: 'in', account, ...seen };
  else session.value = node === undefined ? { state: 'out' } : { state: 'open', accounts, ...seen };
}

/** Whether an error says nothing about the session. */
function isAway(error: unknown): boolean {
  return isAbort(error) || !(error instanceof ApiError) || error.status === 0 || error.status >= 500;
}

export async function logOut(): Promise<void> {
  await post('/account/log-out', undefined, { anonymous: true });
  await askSession();
}

whenUnauthorized(() => {
  if (session.value.state === 'in' || session.value.state === 'open') session.value = { state: 'out' };
});
