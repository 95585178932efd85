/** What is around every page: navigation, notices, who is logged in, light and dark. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { reachable, useNotices } from './connection';
import { clearDrafts, theme, useAction, type Theme } from './hooks';
import { Link, navigate, usePlace } from './router';
import { isOperator, logOut, session } from './session';
import { useStore } from './store';
import { Button, ButtonLink, Icon, Toasts, toast, type IconName } from './ui';

interface NavItem {
  readonly section: string;
  readonly to: string;
  readonly text: string;
  readonly icon: IconName;
}

const ITEMS: readonly NavItem[] = [
  { section: 'functions', to: '/functions', text: 'Functions', icon: 'functions' },
  { section: 'runs', to: '/runs', text: 'Runs', icon: 'runs' },
  { section: 'apps', to: '/apps', text: 'Applications', icon: 'apps' },
  { section: 'node', to: '/node', text: 'Node', icon: 'node' },
  { section: 'settings', to: '/settings', text: 'Settings', icon: 'settings' },
];

export function Shell(
  { section, children }: { readonly section: string | undefined; readonly children: ComponentChildren },
): JSX.Element {
  const who = useStore(session);
  const { path } = usePlace();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [path]);
  const inside = who.state === 'in' || who.state === 'open';
  const items = ITEMS.filter((item) => {
    if (item.section === 'node') return isOperator(who);
    return item.section !== 'settings' || who.state === 'in';
  });
  return (
    <div class={open ? 'shell nav-open' : 'shell'}>
      <a class="skip" href="#page">To the content</a>
      <header class="bar">
        <Link to="/" class="brand"><Mark />Serverledge</Link>
        {inside && (
          <Button
            look="quiet"
            icon={open ? 'close' : 'menu'}
            label={open ? 'Close the menu' : 'Open the menu'}
            onClick={() => setOpen(!open)}
          />
        )}
      </header>
      <aside class="side" aria-label="Navigation and session">
        <Link to="/" class="brand"><Mark />Serverledge</Link>
        {inside && (
          <nav aria-label="Console">
            {items.map((item) => (
              <Link key={item.section} to={item.to} aria-current={item.section === section ? 'page' : undefined}>
                <Icon name={item.icon} />{item.text}
              </Link>
            ))}
          </nav>
        )}
        <div class="side-foot">
          <NodeName />
          <Who />
          <ThemeSwitch />
        </div>
      </aside>
      <main id="page" tabIndex={-1}>
        <Notices />
        {children}
      </main>
      <Toasts />
    </div>
  );
}

function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M6 9h12M6 16h20M6 23h9" />
      <circle cx="24" cy="9" r="2.6" />
      <circle cx="21" cy="23" r="2.6" />
    </svg>
  );
}

function NodeName(): JSX.Element | null {
  const who = useStore(session);
  if ((who.state !== 'in' && who.state !== 'open') || who.node === undefined) return null;
  const { Area, Node, Version } = who.node;
  return <p class="side-node" title={`version ${Version}`}>{Area}/{Node}</p>;
}

function Who(): JSX.Element | null {
  const who = useStore(session);
  const leaving = useAction(async () => {
    await logOut();
    clearDrafts();
    navigate('/');
  });
  useEffect(() => {
    if (leaving.error !== undefined) toast(`Not logged out: ${leaving.error.detail}`, 'bad');
  }, [leaving.error]);
  if (who.state === 'open' && who.accounts) return <ButtonLink to="/log-in" small look="quiet">Log in</ButtonLink>;
  if (who.state !== 'in') return null;
  return (
    <div class="who">
      <span title={who.account.email}>{who.account.email}</span>
      <Button look="quiet" small icon="out" label="Log out" busy={leaving.busy} onClick={() => leaving.run()} />
    </div>
  );
}

const THEMES: readonly (readonly [Theme, IconName, string])[] = [
  ['system', 'screen', 'Light or dark as the system'],
  ['light', 'sun', 'Light'],
  ['dark', 'moon', 'Dark'],
];

function ThemeSwitch(): JSX.Element {
  const chosen = useStore(theme);
  return (
    <div class="theme-switch" role="group" aria-label="Light or dark">
      {THEMES.map(([value, icon, label]) => (
        <Button
          key={value}
          look="quiet"
          small
          icon={icon}
          label={label}
          pressed={chosen === value}
          onClick={() => {
            theme.value = value;
          }}
        />
      ))}
    </div>
  );
}

function Notices(): JSX.Element {
  const there = useStore(reachable);
  const notices = useNotices();
  return (
    <div class="notices" role="status">
      {!there && (
        <p class="notice bad"><span class="spinner" aria-hidden="true" />The node does not answer; retrying.</p>
      )}
      {notices.map(({ tone, text, to }) => (
        <p key={text} class={`notice ${tone}`}>
          <Icon name="warn" />{text}{to !== undefined && <Link to={to}>More</Link>}
        </p>
      ))}
    </div>
  );
}
