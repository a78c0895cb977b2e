/** Why mail waits, as the API explains it: each limit, its value, where it comes from. */
import { html } from 'hono/html';
import type { ApiExplanation } from '../answers.ts';
import type { Markup } from '../page.ts';
import { badge, count, table, when } from '../parts.ts';

export function explanations(found: readonly ApiExplanation[], now: number): Markup {
  return html`${found.map(
    ({ recipient, site, provider, ip, waiting, nextAt, binding, limits }) => html`<article class="card">
<header><h3 class="text">${ip ?? 'default address'} → ${provider}</h3>${recipient ? html`<small>${recipient}</small>` : ''}</header>
<p class="text quiet">${site}</p>
<p>${binding ? html`<strong>${binding.limit} ${binding.value}</strong> binds, set by <code>${binding.origin}</code>.` : 'Nothing binds.'}
The next message may go ${Date.parse(nextAt) <= now + 1000 ? 'now' : when(nextAt, now)}.
${waiting === undefined ? '' : html`${count(waiting)} wait for a connection.`}</p>
<details><summary>All ${limits.length} limits</summary>${table(
      `Limits from ${ip ?? 'the default address'} to ${provider}`,
      ['Limit', 'Value', 'Set by', 'Used', '#Holds for'],
      limits.map(
        (
          line,
        ) => html`<tr><td>${line.limit}</td><td>${line.value}</td><td><code>${line.origin}</code></td><td>${line.used ?? ''}</td>
<td class="n">${line.waitMs === undefined ? '' : badge(`${count(line.waitMs)} ms`, 'warn')}</td></tr>`,
      ),
    )}</details></article>`,
  )}`;
}
