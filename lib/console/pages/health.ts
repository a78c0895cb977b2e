/** What the doctor finds wrong with the installation. */
import { html } from 'hono/html';
import type { ApiHealth } from '../answers.ts';
import type { ConsolePage } from '../page.ts';
import { badge, pathTo, table, when } from '../parts.ts';
import { findings } from './findings.ts';

const STATES: Readonly<Record<string, 'good' | 'warn' | 'calm'>> = { done: 'good', failed: 'warn' };

export const healthPage: ConsolePage = {
  path: '/health',
  nav: '/health',
  admin: true,
  async show({ v1, query, now }) {
    const refresh = query.has('refresh') ? 'true' : undefined;
    const { checkedAt, findings: found, checks } = await v1.get<ApiHealth>('/health', { refresh });
    const rows = checks.map(
      ({ name, state, text }) =>
        html`<tr><th scope="row">${name}</th><td>${badge(state, STATES[state] ?? 'calm')}</td><td class="text">${text ?? ''}</td></tr>`,
    );
    const body = html`<h1>Health</h1><p class="lead">Looked at ${when(checkedAt, now)}: the way outwards, the names of each address, DNS, blocklists, the certificate, clock, disk and queues.
<a href="${pathTo('/health', { refresh: 1 })}">Look again</a>, which takes up to 25 seconds.</p>
${findings(found)}${table('What was looked at', ['Check', 'State', ''], rows)}`;
    return { title: 'Health', body };
  },
};
