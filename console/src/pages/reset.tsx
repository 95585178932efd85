/** A link for a new password, and the new password itself: links in mails are `/reset#SECRET`. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { post } from '../api';
import { PasswordField } from '../parts/password';
import { secretIn, useFragment } from '../parts/secret-link';
import { Link } from '../router';
import { askSession, session } from '../session';
import { useStore } from '../store';
import { Button, ButtonLink, Empty, Form, Page, Section, TextField } from '../ui';

export default function Reset(): JSX.Element {
  const who = useStore(session);
  const fragment = useFragment();
  const [secret, setSecret] = useState('');
  useEffect(() => setSecret(secretIn(fragment)), [fragment]);
  if (who.state === 'open' && !who.accounts) {
    return (
      <Page title="New password">
        <Empty
          title="This node keeps no accounts"
          action={<ButtonLink to="/" look="primary">To the functions</ButtonLink>}
        >
          Nobody has to log in.
        </Empty>
      </Page>
    );
  }
  return (
    <Page title="New password">
      <div class="narrow">
        {secret === '' ? <Request onSecret={setSecret} /> : <Choose secret={secret} onBack={() => setSecret('')} />}
      </div>
    </Page>
  );
}

/** Asks for the link. */
function Request({ onSecret }: { readonly onSecret: (secret: string) => void }): JSX.Element {
  const [email, setEmail] = useState('');
  const [pasted, setPasted] = useState('');
  const [sent, setSent] = useState<'mail' | 'log'>();
  const ask = async (): Promise<void> => {
    const reply = await post<{ delivery: string }>('/account/request-reset', { email }, { anonymous: true });
    setSent(reply.delivery === 'mail' ? 'mail' : 'log');
  };
  return (
    <>
      {sent === undefined && (
        <Form submit="Ask for a link" onSubmit={ask} actions={<Link to="/log-in">Log in</Link>}>
          <p>You get a link, which is good once and for ten minutes. With it you choose a new password.</p>
          <TextField
            label="E-mail address"
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={setEmail}
          />
        </Form>
      )}
      {sent === 'mail' && (
        <p role="status">
          If <strong>{email}</strong> has an account, a mail with a link is on its way there. Open the link to go on.
        </p>
      )}
      {sent === 'log' && (
        <p role="status">
          This node sends no mail. If <strong>{email}</strong> has an account, the link is now a line of the node's log.
          Ask whoever runs the node for it.
        </p>
      )}
      {sent !== undefined && (
        <div class="row">
          <Button onClick={() => setSent(undefined)}>Ask again</Button>
          <ButtonLink to="/log-in" look="quiet">Log in</ButtonLink>
        </div>
      )}
      <Section title="You have a link already?">
        <Form
          submit="Go on"
          look="normal"
          onSubmit={async () => onSecret(secretIn(pasted))}
          disabled={secretIn(pasted) === ''}
        >
          <TextField
            label="The link"
            mono
            hint="All of it, or what stands behind the #."
            value={pasted}
            onChange={setPasted}
          />
        </Form>
      </Section>
    </>
  );
}

/** Chooses the password. */
function Choose(
  { secret, onBack }: { readonly secret: string; readonly onBack: () => void },
): JSX.Element {
  const [password, setPassword] = useState('');
  const [done, setDone] = useState(false);
  const choose = async (): Promise<void> => {
    await post('/account/reset', { secret, password }, { anonymous: true });
    setDone(true);
    // All sessions have ended, this browser's as well.
    await askSession().catch(() => {});
  };
  if (done) {
    return (
      <>
        <p role="status">
          The new password counts from now on. All sessions have ended and all tokens are revoked.
        </p>
        <ButtonLink to="/log-in" look="primary">Log in</ButtonLink>
      </>
    );
  }
  return (
    <Form
      submit="Set the password"
      onSubmit={choose}
      actions={<Button look="quiet" onClick={onBack}>Ask for another link</Button>}
    >
      <p>It ends all sessions of the account and revokes its tokens.</p>
      <PasswordField label="New password" fresh value={password} onChange={setPassword} />
    </Form>
  );
}
