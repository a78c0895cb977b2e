/** The page of a request that came to nothing: what, why, and where to go from here. */
import { html } from 'hono/html';
import type { Markup } from './page.ts';
import { BASE } from './parts.ts';
import type { ApiFailure } from './v1.ts';

const TITLES: Readonly<Record<number, string>> = {
  403: 'This key may not do that',
  404: 'There is nothing here',
  429: 'Too many requests',
};

export function faultPage({ status, message, action, code }: ApiFailure): Markup {
  return html`<h1>${TITLES[status] ?? (status < 500 ? 'Not done' : 'Something failed')}</h1>
<p>${message}</p>${action ? html`<p>${action}</p>` : ''}<p class="quiet">${status} ${code}</p>
<p><a href="${BASE}">To the overview</a></p>`;
}
