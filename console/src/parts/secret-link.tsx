/** What links in mails carry behind `#`, which browsers send to nobody. */
import { useEffect, useState } from 'preact/hooks';

/** The text behind `#`. It is taken out of the address, and so out of the history. */
export function useFragment(): string {
  const [fragment, setFragment] = useState(taken);
  useEffect(() => {
    // Another link was opened in this very tab.
    const take = (): void => setFragment((before) => taken() || before);
    addEventListener('hashchange', take);
    return () => removeEventListener('hashchange', take);
  }, []);
  return fragment;
}

function taken(): string {
  const text = location.hash.slice(1);
  if (text !== '') history.replaceState(null, '', location.pathname + location.search);
  return text;
}

/** The secret of a whole link, or of what somebody copied of it. */
export function secretIn(text: string): string {
  return text.trim().replace(/^.*#/, '').replace(/^invite=/, '');
}
