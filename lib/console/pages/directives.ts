/** Directives in force: what stops, moves or slows mail now. */
import { html } from 'hono/html';
import type { ApiDirective } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import { badge, button, form, pathTo, table, when } from '../parts.ts';
import { labelText } from '../v1.ts';
import { matchText, orderForm } from './directive-order.ts';

/** Directives of one page. */
const PAGE = 100;

const TONES: Readonly<Record<string, 'warn' | 'bad'>> = { suspend: 'warn', bounce: 'bad' };

export const directivesPage: ConsolePage = {
  path: '/directives',
  nav: '/directives',
  async show(call) {
    const { v1, query, now } = call;
    const { directives: all } = await v1.get<{ directives: ApiDirective[] }>('/directives');
    const wanted = query.get('id');
    const found = wanted ? all.filter(({ id }) => id === wanted) : all;
    const from = Math.max(0, Number(query.get('after') ?? 0) || 0);
    const rows = found.slice(from, from + PAGE).map((one) => row(call, one, now));
    const more =
      found.length > from + PAGE
        ? html`<a href="${pathTo('/directives', { after: from + PAGE })}">Next page</a>`
        : '';
    const body = html`<h1>Directives</h1><p class="lead">Orders of operators, tenants and rules on mail, in force on every node within two seconds.</p>
${table('Directives in force', ['Action', 'Mail', 'Reason', 'Since', 'Ends', 'By', ''], rows)}
${wanted || more ? html`<nav class="pager" aria-label="Pages">${wanted ? html`<a href="${pathTo('/directives')}">All of them</a>` : ''}${more}</nav>` : ''}
<h2 id="new">New directive</h2>${orderForm(call)}`;
    return { title: 'Directives', body };
  },
  acts: {
    async end({ v1, form: given }) {
      await v1.send('DELETE', `/directives/${labelText(given.text('id') ?? '')}`);
      return { to: '/directives', notice: 'It is over, on every node within two seconds.' };
    },
  },
};

function row(call: PageCall, directive: ApiDirective, now: number): Markup {
  const { id, match, action, reason, at, until, origin, raised } = directive;
  const { kind, pool, limits } = action;
  const bounds = Object.entries(limits ?? {}).map(([name, value]) => `${name} ${value}`);
  const by = origin.rule
    ? `rule ${origin.rule}${raised && raised > 1 ? `, ${raised} times` : ''}`
    : (origin.operator ?? '');
  const end = form(
    call,
    'end',
    html`<input type="hidden" name="id" value="${id}">${button('End', 'second')}`,
    {
      id: `end-${labelText(id)}`,
    },
  );
  return html`<tr><td class="tight">${badge(kind, TONES[kind] ?? 'calm')} <small>${pool ?? bounds.join(', ')}</small></td><td class="text">${matchText(match)}</td>
<td class="text">${reason}${origin.reply ? html`<br><small>${origin.reply}</small>` : ''}</td><td class="tight">${when(at, now)}</td>
<td class="tight">${until ? when(until, now) : 'by hand'}</td><td class="text"><small>${by}</small></td><td>${end}</td></tr>`;
}
