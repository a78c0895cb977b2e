/** Takes back what was put on a suppression list within a time, after a look at how much it is. */
import { html } from 'hono/html';
import type { Acted, PageCall } from '../page.ts';
import { button, count, form, link, pathTo } from '../parts.ts';
import type { Query } from '../v1.ts';

interface ApiTakenBack {
  removed: number;
  kept: number;
  more: boolean;
}

/** The list that a page is of. */
export function ofTenant({ query }: PageCall): Query {
  return { tenant: query.get('tenant')?.trim() || undefined };
}

/** The page of that list. */
export function back(call: PageCall): string {
  return pathTo('/suppression', ofTenant(call)).slice('/console'.length);
}

/** Times of a form, which have no zone of their own. */
function spanOf(call: PageCall): Query & { from: string; before: string } {
  const utc = (name: string): string => {
    const value = call.form.text(name) ?? '';
    return /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(value) ? `${value}:00Z` : value;
  };
  return { ...ofTenant(call), from: utc('from'), before: utc('before') };
}

export const takeBack: Record<'look-back' | 'take-back', (call: PageCall) => Promise<Acted>> = {
  async 'look-back'(call) {
    const query = { ...spanOf(call), preview: 'true' };
    const { removed, kept, more } = await call.v1.send<ApiTakenBack>('DELETE', '/suppressions', undefined, {
      query,
    });
    const { from, before } = query;
    const times = html`<input type="hidden" name="from" value="${from}"><input type="hidden" name="before" value="${before}">`;
    const body = html`<p class="quiet">${link('/suppression', 'Suppression', ofTenant(call))}</p><h1>Before they are taken back</h1>
<p class="big">${more ? 'At least ' : ''}${count(removed)} ${removed === 1 ? 'address' : 'addresses'} would be taken off; ${count(kept)} of that time stay.</p>
<p>What a bounce or a complaint showed stays, and so does what was listed before.</p>${form(call, 'take-back', html`${times}${button('Take them off', 'danger')}`)}`;
    return { title: 'Take back', body };
  },
  async 'take-back'(call) {
    const { removed, more } = await call.v1.send<ApiTakenBack>('DELETE', '/suppressions', undefined, {
      query: spanOf(call),
    });
    return {
      to: back(call),
      notice: `${count(removed)} taken off.${more ? ' There are more: repeat it.' : ''}`,
    };
  },
};
