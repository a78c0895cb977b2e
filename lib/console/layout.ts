/** The frame of every page: navigation, what was just done, and the page itself. */
import { html } from 'hono/html';
import type { Assets } from './assets.ts';
import type { Markup, ShownPage, SignedInKey } from './page.ts';
import { BASE } from './parts.ts';

/** Groups of the navigation: path, word, and whether it needs an administrator's key. */
const NAVIGATION: readonly (readonly [
  group: string,
  entries: readonly (readonly [string, string, boolean?])[],
])[] = [
  [
    'Now',
    [
      ['/', 'Overview'],
      ['/queues', 'Queues'],
      ['/messages', 'Messages'],
      ['/events', 'Events'],
      ['/health', 'Health', true],
    ],
  ],
  [
    'Sending',
    [
      ['/domains', 'Domains'],
      ['/templates', 'Templates'],
      ['/suppression', 'Suppression'],
    ],
  ],
  [
    'Control',
    [
      ['/directives', 'Directives'],
      ['/ips', 'IPs and warm-up', true],
      ['/limits', 'Limits', true],
      ['/configuration', 'Configuration', true],
    ],
  ],
  [
    'Account',
    [
      ['/webhooks', 'Event destinations'],
      ['/keys', 'Keys', true],
      ['/tenants', 'Tenants'],
    ],
  ],
];

export interface FrameOptions {
  assets: Assets;
  shown: Pick<ShownPage, 'title' | 'body' | 'charts' | 'live'>;
  /** Entry of the navigation. */
  nav: string;
  me: SignedInKey;
  token: string;
  notice?: string;
  /** How the page follows what happens. */
  follow: 'stream' | 'poll';
}

export function framed({ assets, shown, nav, me, token, notice, follow }: FrameOptions): Markup {
  const groups = NAVIGATION.map(([group, entries]) => {
    const open = entries.filter(([, , admin]) => !admin || me.admin);
    if (open.length === 0) return '';
    return html`<li><span class="group">${group}</span><ul>${open.map(
      ([path, word]) =>
        html`<li><a href="${BASE}${path === '/' ? '' : path}" ${path === nav ? html`aria-current="page"` : ''}>${word}</a></li>`,
    )}</ul></li>`;
  });
  const body = html`<a class="skip" href="#main">Skip to content</a>
<header class="bar"><a class="brand" href="${BASE}">${mark()}<span>Postern</span></a>
<p class="who"><span class="quiet">${me.name ?? me.id}</span> ${me.admin ? 'administrator' : html`tenant <strong>${me.tenant}</strong>`}</p>
<form method="post" action="${BASE}/sign-out"><input type="hidden" name="token" value="${token}"><button class="second" type="submit">Sign out</button></form></header>
<nav class="side" aria-label="Console"><ul>${groups}</ul></nav>
<main id="main" tabindex="-1" ${shown.live ? html`data-follow="${follow}"` : ''}>
${notice ? html`<p class="note good" role="status">${notice}</p>` : ''}
${shown.body}</main>`;
  return document(assets, shown.title, body, shown.charts);
}

/** A page without navigation: who is not signed in, and faults. */
export function bare(assets: Assets, title: string, content: Markup): Markup {
  return document(
    assets,
    title,
    html`<main id="main" class="bare"><p class="brand">${mark()}<span>Postern</span></p>${content}</main>`,
  );
}

function document(assets: Assets, title: string, body: Markup, charts = false): Markup {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">
<title>${title} · Postern</title><link rel="icon" href="${assets.url('icon.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${assets.url('console.css')}">
${charts ? html`<link rel="stylesheet" href="${assets.url('uPlot.min.css')}"><script src="${assets.url('uPlot.iife.min.js')}" defer></script>` : ''}<script src="${assets.url('console.js')}" defer></script>
</head><body>${body}</body></html>
`;
}

function mark(): Markup {
  return html`<svg class="mark" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path d="M4 22V10a8 8 0 0 1 16 0v12h-5v-9a3 3 0 0 0-6 0v9z" fill="currentColor"/></svg>`;
}
