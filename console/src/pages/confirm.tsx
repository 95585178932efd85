/** The page that links in mails about addresses lead to: `/confirm#SECRET`. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../api';
import { secretIn, useFragment } from '../parts/secret-link';
import { askSession, session } from '../session';
import { useStore } from '../store';
import { ButtonLink, Form, Page, TextField } from '../ui';

export default function Confirm(): JSX.Element {
  const who = useStore(session);
  const fragment = useFragment();
  const [pasted, setPasted] = useState('');
  const [done, setDone] = useState(false);
  const secret = secretIn(fragment === '' ? pasted : fragment);
  const confirm = async (): Promise<void> => {
    await post('/account/confirm', { secret }, { anonymous: true });
    setDone(true);
    await askSession().catch(() => {});
  };
  return (
    <Page title="Confirm the address">
      <div class="narrow">
        {done
          ? (
            <>
              <p role="status">The address is confirmed.</p>
              {who.state === 'in'
                ? <ButtonLink to="/settings" look="primary">To the settings</ButtonLink>
                : <ButtonLink to="/log-in" look="primary">Log in</ButtonLink>}
            </>
          )
          : (
            // A button, since programs that look through mails open links as well.
            <Form submit="Confirm" onSubmit={confirm} disabled={secret === ''}>
              {fragment === ''
                ? (
                  <TextField
                    label="The link"
                    mono
                    hint="Open the link in the mail, or copy all of it to here."
                    value={pasted}
                    onChange={setPasted}
                  />
                )
                : <p>The mail went to your address, and its link leads here. Confirm that the address is yours.</p>}
            </Form>
          )}
      </div>
    </Page>
  );
}
