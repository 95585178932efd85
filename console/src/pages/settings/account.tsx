/** Who somebody is: facts, address, password, and the end of the account. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { del, post } from '../../api';
import { clearDrafts } from '../../hooks';
import { PasswordField } from '../../parts/password';
import { navigate } from '../../router';
import { askSession } from '../../session';
import type { AccountInfo } from '../../types';
import { Button, Confirm, Facts, Form, Section, TextField, Time, toast } from '../../ui';

export function AccountTab({ account }: { readonly account: AccountInfo }): JSX.Element {
  return (
    <div class="stack">
      <Section title="Profile">
        <Facts
          of={[
            ['E-mail address', account.email],
            ['Role', account.role === 'operator' ? 'operator: may see and change the node itself' : 'user'],
            ['Since', <Time ms={account.created_unix_ms} />],
            ['User', <code>{account.user}</code>],
            ['Space of functions', <code>{account.space}</code>],
          ]}
        />
      </Section>
      <div class="columns">
        <EmailForm account={account} />
        <PasswordForm />
      </div>
      <DeleteAccount account={account} />
    </div>
  );
}

function EmailForm({ account }: { readonly account: AccountInfo }): JSX.Element {
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [sentTo, setSentTo] = useState<string>();
  const change = async (): Promise<void> => {
    const answer = await post<{ confirmation_sent: boolean }>('/account/email', { email, password });
    const sent = answer.confirmation_sent;
    setSentTo(sent ? email : undefined);
    if (!sent) toast(`The address is ${email} now`);
    setEmail('');
    setPassword('');
    await askSession();
  };
  return (
    <Section title="Another address">
      {sentTo !== undefined && (
        <p class="notice info" role="status">
          <span>
            A mail is on its way to <strong>{sentTo}</strong>. The address changes when you open its link, within a day.
            Until then it is {account.email}.
          </span>
        </p>
      )}
      <Form submit="Change the address" look="normal" onSubmit={change}>
        <TextField
          label="New e-mail address"
          type="email"
          autoComplete="email"
          required
          value={email}
          onChange={setEmail}
        />
        <PasswordField label="Your password" value={password} onChange={setPassword} />
      </Form>
    </Section>
  );
}

function PasswordForm(): JSX.Element {
  const [old, setOld] = useState('');
  const [fresh, setFresh] = useState('');
  const change = async (): Promise<void> => {
    await post('/account/password', { password: old, new_password: fresh });
    setOld('');
    setFresh('');
    toast('The new password counts; your other sessions have ended');
  };
  return (
    <Section title="Another password">
      <Form submit="Change the password" look="normal" onSubmit={change}>
        <PasswordField label="Password until now" value={old} onChange={setOld} />
        <PasswordField label="New password" fresh value={fresh} onChange={setFresh} />
        <p class="field-hint">Your other sessions end. Tokens stay valid.</p>
      </Form>
    </Section>
  );
}

function DeleteAccount({ account }: { readonly account: AccountInfo }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState('');
  const remove = async (): Promise<void> => {
    await del('/account', { json: { password } });
    clearDrafts();
    await askSession();
    navigate('/log-in');
    toast('The account is deleted');
  };
  return (
    <Section title="Delete the account">
      <p>Its functions, applications, sessions and tokens go with it. Nothing of it can be brought back.</p>
      <Button look="danger" onClick={() => setOpen(true)}>Delete the account</Button>
      <Confirm
        title="Delete the account"
        action="Delete it for good"
        name={account.email}
        open={open}
        onClose={() => {
          setOpen(false);
          setPassword('');
        }}
        onConfirm={remove}
      >
        <p>All functions and applications of {account.email} are deleted, those that run as well.</p>
        <PasswordField label="Your password" value={password} onChange={setPassword} />
      </Confirm>
    </Section>
  );
}
