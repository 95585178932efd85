/** The account: address, password, tokens, sessions, invitations. */
import type { JSX } from 'preact';
import { navigate, type PageProps } from '../../router';
import { isOperator, session } from '../../session';
import { useStore } from '../../store';
import { Badge, ButtonLink, Empty, Page, Tabs } from '../../ui';
import { AccountTab } from './account';
import { InvitationsTab } from './invitations';
import { SessionsTab } from './sessions';
import { TokensTab } from './tokens';

export default function Settings({ params }: PageProps): JSX.Element {
  const who = useStore(session);
  if (who.state !== 'in') {
    const accounts = who.state === 'open' && who.accounts;
    return (
      <Page title="Settings">
        {accounts
          ? (
            <Empty
              title="You are not logged in"
              action={<ButtonLink to="/log-in?next=/settings" look="primary">Log in</ButtonLink>}
            >
              This node works without an account. With one, functions and applications are yours alone.
            </Empty>
          )
          : (
            <Empty title="This node keeps no accounts" action={<ButtonLink to="/">To the functions</ButtonLink>}>
              There is nothing to set: nobody has to log in.
            </Empty>
          )}
      </Page>
    );
  }
  const { account } = who;
  const tabs = [
    { id: 'account', label: 'Account', panel: () => <AccountTab account={account} /> },
    { id: 'tokens', label: 'Tokens', panel: () => <TokensTab account={account} /> },
    { id: 'sessions', label: 'Sessions', panel: () => <SessionsTab /> },
    ...(isOperator(who) ? [{ id: 'invitations', label: 'Invitations', panel: () => <InvitationsTab /> }] : []),
  ];
  return (
    <Page title="Settings" facts={account.role === 'operator' && <Badge tone="info">operator</Badge>}>
      <Tabs
        label="Parts of the settings"
        selected={params['tab'] ?? 'account'}
        onSelect={(id) => navigate(id === 'account' ? '/settings' : `/settings/${id}`, { replace: true })}
        tabs={tabs}
      />
    </Page>
  );
}
