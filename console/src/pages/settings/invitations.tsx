/** Invitations: an operator lets somebody sign up. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../../api';
import { href } from '../../base';
import { useAction } from '../../hooks';
import { Button, CodeBlock, Problem, Section } from '../../ui';

export function InvitationsTab(): JSX.Element {
  const [secret, setSecret] = useState<string>();
  const action = useAction(async () => {
    const { invite } = await post<{ invite: string }>('/account/invitations');
    setSecret(invite);
  });
  return (
    <Section title="Invite somebody">
      <p>
        An invitation is for one account, and valid for a week. It is needed where <code>accounts.signup</code> is{' '}
        <code>invite</code>.
      </p>
      {secret !== undefined && (
        <>
          <p role="status"><strong>Copy it now: it is not shown again.</strong></p>
          <CodeBlock
            label="A link to the page for signing up"
            text={`${location.origin}${href('/sign-up')}#invite=${secret}`}
            wrap
          />
          <CodeBlock label="The invitation alone, for the command line client" text={secret} wrap />
        </>
      )}
      <Problem error={action.error} />
      <Button look={secret === undefined ? 'primary' : 'normal'} busy={action.busy} onClick={() => action.run()}>
        {secret === undefined ? 'Make an invitation' : 'Make another'}
      </Button>
    </Section>
  );
}
