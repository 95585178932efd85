/** All pages by their address. The first pattern that fits is taken. */
import type { Route } from './router';

export const routes: readonly Route[] = [
  { pattern: '/', section: 'functions', load: () => import('./pages/home') },
  { pattern: '/functions', section: 'functions', load: () => import('./pages/functions') },
  { pattern: '/new-function', section: 'functions', load: () => import('./pages/new-function') },
  { pattern: '/functions/:name', section: 'functions', load: () => import('./pages/function/index') },
  { pattern: '/functions/:name/:tab', section: 'functions', load: () => import('./pages/function/index') },
  { pattern: '/runs', section: 'runs', load: () => import('./pages/runs') },
  { pattern: '/runs/asynchronous', section: 'runs', load: () => import('./pages/asynchronous') },
  { pattern: '/runs/dead-letters', section: 'runs', load: () => import('./pages/dead-letters') },
  { pattern: '/runs/:id', section: 'runs', load: () => import('./pages/run') },
  { pattern: '/apps', section: 'apps', load: () => import('./pages/apps') },
  { pattern: '/apps/:app', section: 'apps', load: () => import('./pages/app/index') },
  { pattern: '/apps/:app/new-function', section: 'apps', load: () => import('./pages/new-function') },
  { pattern: '/apps/:app/:tab', section: 'apps', load: () => import('./pages/app/index') },
  { pattern: '/apps/:app/functions/:name', section: 'apps', load: () => import('./pages/function/index') },
  { pattern: '/apps/:app/functions/:name/:tab', section: 'apps', load: () => import('./pages/function/index') },
  // One record may be of an application.
  { pattern: '/apps/:app/runs/:id', section: 'runs', load: () => import('./pages/run') },
  { pattern: '/node', section: 'node', load: () => import('./pages/node') },
  { pattern: '/settings', section: 'settings', load: () => import('./pages/settings/index') },
  { pattern: '/settings/:tab', section: 'settings', load: () => import('./pages/settings/index') },
  { pattern: '/errors', anonymous: true, load: () => import('./pages/errors') },
  { pattern: '/log-in', anonymous: true, load: () => import('./pages/log-in') },
  { pattern: '/sign-up', anonymous: true, load: () => import('./pages/sign-up') },
  { pattern: '/reset', anonymous: true, load: () => import('./pages/reset') },
  { pattern: '/confirm', anonymous: true, load: () => import('./pages/confirm') },
];
