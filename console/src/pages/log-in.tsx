/** Logging in. Leads back to the page that was asked for. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { post } from '../api';
import { query as queryOf } from '../base';
import { PasswordField } from '../parts/password';
import { Link, navigate, type PageProps } from '../router';
import { askSession, session } from '../session';
import { useStore } from '../store';
import { Form, Page, TextField } from '../ui';

export default function LogIn({ query }: PageProps): JSX.Element {
  const who = useStore(session);
  const [email, setEmail] = useState(query.get('email') ?? '');
  const [password, setPassword] = useState('');
  const inside = who.state === 'in' || (who.state === 'open' && !who.accounts);
  const next = query.get('next') ?? '/';
  useEffect(() => {
    // A path of the console and nothing else.
    if (inside) navigate(/^\/(?!\/)/.test(next) ? next : '/', { replace: true });
  }, [inside]);
  const logIn = async (): Promise<void> => {
    await post('/account/log-in', { email, password }, { anonymous: true });
    await askSession();
  };
  return (
    <Page title="Log in">
      <div class="narrow">
        {next !== '/' && <p class="muted">You come back to the page that you asked for.</p>}
        <Form submit="Log in" onSubmit={logIn} actions={<Link to="/reset">Forgot the password?</Link>}>
          <TextField
            label="E-mail address"
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={setEmail}
          />
          <PasswordField label="Password" value={password} onChange={setPassword} />
        </Form>
        <p>
          No account yet? <Link to={`/sign-up${queryOf({ next: query.get('next') ?? undefined })}`}>Sign up</Link>
        </p>
      </div>
    </Page>
  );
}
