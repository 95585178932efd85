/** Making an account. A link of an invitation is `/sign-up#invite=SECRET`. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, post } from '../api';
import { query as queryOf } from '../base';
import { useDraft } from '../hooks';
import { PasswordField } from '../parts/password';
import { secretIn, useFragment } from '../parts/secret-link';
import { Link, navigate, type PageProps } from '../router';
import { askSession, session } from '../session';
import { useStore } from '../store';
import { Button, ButtonLink, Empty, Form, Page, TextField } from '../ui';

interface SignUpReply {
  confirmation_sent: boolean;
}

export default function SignUp({ query }: PageProps): JSX.Element {
  const who = useStore(session);
  const fragment = useFragment();
  const email = useDraft('sign-up.email', '');
  const [password, setPassword] = useState('');
  const [invite, setInvite] = useState(secretIn(fragment));
  const [invited, setInvited] = useState(fragment !== '');
  const [mailed, setMailed] = useState(false);
  const next = query.get('next') ?? '/';
  useEffect(() => {
    if (who.state === 'in') navigate(/^\/(?!\/)/.test(next) ? next : '/', { replace: true });
  }, [who.state]);
  const signUp = async (): Promise<void> => {
    const secret = secretIn(invite);
    try {
      const body = { email: email.value, password, ...(secret === '' ? {} : { invite: secret }) };
      const reply = await post<SignUpReply>('/account/sign-up', body, { anonymous: true });
      if (reply.confirmation_sent) setMailed(true);
      else {
        email.clear();
        await askSession();
      }
    } catch (error) {
      if (error instanceof ApiError && error.code === 'sign_up_refused') setInvited(true);
      throw error;
    }
  };
  if (who.state === 'open' && !who.accounts) {
    return (
      <Page title="Sign up">
        <Empty
          title="This node keeps no accounts"
          action={<ButtonLink to="/" look="primary">To the functions</ButtonLink>}
        >
          Nobody has to log in.
        </Empty>
      </Page>
    );
  }
  if (mailed) {
    return (
      <Page title="Look into your mail">
        <div class="narrow">
          <p>
            A mail is on its way to <strong>{email.value}</strong>. Open the link in it within a day. The account is
            there then, and you can log in.
          </p>
          <p class="muted">Nothing came? Look into the folder for spam, or try again with the address spelled right.</p>
          <div class="row">
            <ButtonLink to={`/log-in${queryOf({ email: email.value })}`} look="primary">Log in</ButtonLink>
            <Button onClick={() => setMailed(false)}>Back</Button>
          </div>
        </div>
      </Page>
    );
  }
  return (
    <Page title="Sign up">
      <div class="narrow">
        <Form
          submit="Sign up"
          onSubmit={signUp}
          actions={!invited && <Button look="quiet" onClick={() => setInvited(true)}>I have an invitation</Button>}
        >
          <TextField
            label="E-mail address"
            type="email"
            autoComplete="username"
            required
            value={email.value}
            onChange={email.set}
          />
          <PasswordField label="Password" fresh value={password} onChange={setPassword} />
          {invited && (
            <TextField
              label="Invitation"
              mono
              hint="An operator of the node makes it. It is for one account, and valid for a week."
              value={invite}
              onChange={setInvite}
            />
          )}
        </Form>
        <p>You have an account? <Link to="/log-in">Log in</Link></p>
      </div>
    </Page>
  );
}
