/** One message: what became of each recipient, every attempt with its dialogue, why it waits. */
import { html } from 'hono/html';
import type { ApiAttempt, ApiExplanation, ApiMessage, ApiSesEvent } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import { badge, count, duration, facts, link, problem, sure, table, time, when } from '../parts.ts';
import { labelText } from '../v1.ts';
import { explanations } from './explanations.ts';
import { sought } from './refused-query.ts';

const OVER = new Set(['delivered', 'bounced', 'expired', 'suppressed', 'cancelled']);
/** Deliveries that are shown. */
const SHOWN = 50;

export const messagePage: ConsolePage = {
  path: '/messages/:id',
  nav: '/messages',
  async show(call) {
    const path = pathOf(call);
    const message = await call.v1.get<ApiMessage>(path);
    const [{ events }, waiting] = await Promise.all([
      call.v1.get<{ events: ApiSesEvent[] }>(`${path}/events`),
      message.deliveries.some(({ state }) => !OVER.has(state)) ? whyWaits(call, message.id) : '',
    ]);
    const open = message.deliveries.some(({ state }) => !OVER.has(state));
    const body = html`<p class="quiet">${link('/messages', 'Messages')}</p>
<h1 class="text">${message.subject || '(no subject)'}</h1>${problem(call.problem)}
<section id="message-state" data-live>
${facts([
  ['From', message.from],
  ['Accepted', html`${time(message.acceptedAt)} UTC`],
  ['Tried until', open ? html`${time(message.expiresAt)} UTC` : undefined],
  ['Class', message.class],
  ['Pool', message.pool],
  ['Campaign', message.campaign && link('/messages', message.campaign, { campaign: message.campaign })],
  ['Configuration set', message.configurationSet],
  ['Tenant', message.tenant],
  ['Size', `${count(message.size)} bytes`],
  ['Came by', `${message.door}, key ${message.keyId}${message.sourceIp ? `, ${message.sourceIp}` : ''}`],
  ['Tags', tagsOf(message.tags)],
  ['Id', html`<code>${message.id}</code>`],
])}
${message.deliveries.slice(0, SHOWN).map((one) => delivery(one, message, call.now))}
${message.deliveries.length > SHOWN ? html`<p class="quiet">${count(message.deliveries.length - SHOWN)} recipients more: the API has them.</p>` : ''}
${waiting}
<h2>Events</h2>${eventTable(events)}</section>
${open ? sure(call, 'cancel', 'Cancel what still waits', 'What is being sent now, or is over, stays as it is.') : ''}`;
    return { title: message.subject || 'Message', body, live: open };
  },
  acts: {
    async cancel(call) {
      const { cancelled, tooLate } = await call.v1.send<{ cancelled: object[]; tooLate: object[] }>(
        'POST',
        `${pathOf(call)}/cancel`,
      );
      const late = tooLate.length > 0 ? ` It was too late for ${tooLate.length}.` : '';
      return {
        to: `/messages/${labelText(call.params.id!)}`,
        notice: `${cancelled.length} cancelled.${late}`,
      };
    },
  },
};

function pathOf({ params }: PageCall): string {
  return `/messages/${labelText(params.id!)}`;
}

function tagsOf(tags: ApiMessage['tags']): string {
  return Object.entries(tags)
    .filter(([name]) => !name.startsWith('ses:'))
    .map(([name, values]) => `${name}=${values.join(', ')}`)
    .join(' · ');
}

function delivery(one: ApiMessage['deliveries'][number], message: ApiMessage, now: number): Markup {
  const { recipient, state, reason, text, action, nextAttemptAt, attempts } = one;
  return html`<article class="card"><header><h2 class="text">${recipient}</h2>${badge(state)}</header>
<p class="text">${text}${reason !== state ? html` <small>${reason}</small>` : ''}</p>
${action && !OVER.has(state) ? html`<p class="quiet">${action}</p>` : ''}
${nextAttemptAt ? html`<p>Looked at again ${when(nextAttemptAt, now)} <small>(${time(nextAttemptAt)} UTC)</small></p>` : ''}
<ol class="line"><li><span class="dot calm"></span><p><strong>Accepted</strong> <small>${time(message.acceptedAt)}</small></p></li>
${attempts.map((attempt, i) => attemptItem(attempt, i, attempts.length))}</ol></article>`;
}

const DOTS: Readonly<Record<string, string>> = {
  delivered: 'good',
  deferred: 'warn',
  bounced: 'bad',
  expired: 'bad',
};

function attemptItem(attempt: ApiAttempt, i: number, all: number): Markup {
  const { at, durationMs, sourceIp, mx, tls, replies, state, text, uncertain, nextAttemptAt } = attempt;
  const secured = tls
    ? html`${tls.protocol}, ${tls.cipher}, ${tls.verified ? 'certificate verified' : 'certificate not verified'}`
    : 'not encrypted';
  const dialogue = replies.map(
    ({ phase, code, text: words }) => html`<span class="phase">${phase}</span><span>${code} ${words}</span>`,
  );
  return html`<li><span class="dot ${DOTS[state] ?? 'calm'}"></span><p><strong>Attempt ${i + 1}: ${state}</strong> <small>${time(at)} · took ${durationMs < 1000 ? `${durationMs} ms` : duration(durationMs)}</small></p>
<p class="text">${text}</p>
${uncertain ? html`<p>All was sent and no reply was read: it may have arrived (RFC 1047).</p>` : ''}
<p class="quiet">${sourceIp ?? 'default address'} → ${mx ? `${mx.host} [${mx.address}]:${mx.port}` : 'no host was reached'} · ${mx ? secured : ''}</p>
${nextAttemptAt ? html`<p class="quiet">Put off until ${time(nextAttemptAt)}</p>` : ''}
${replies.length > 0 ? html`<details ${i === all - 1 ? 'open' : ''}><summary>SMTP dialogue</summary><div class="dialogue">${dialogue}</div></details>` : ''}</li>`;
}

async function whyWaits(call: PageCall, message: string): Promise<Markup | string> {
  const { found } = await sought(
    () => call.v1.get<{ explanations: ApiExplanation[] }>('/shaping/explain', { message }),
    [404],
  );
  if (!found || found.explanations.length === 0) return '';
  return html`<h2>What holds for it now</h2>${explanations(found.explanations, call.now)}`;
}

function eventTable(events: readonly ApiSesEvent[]): Markup {
  const rows = events.map((event) => {
    const { type, at, words } = eventLine(event);
    return html`<tr><td class="tight">${time(at)}</td><td class="tight">${badge(type)}</td><td class="text">${words}</td></tr>`;
  });
  return table('Events', ['Time (UTC)', 'Event', 'What'], rows);
}

/** What an event tells in one line. */
export function eventLine(event: ApiSesEvent): { type: string; at: string | undefined; words: string } {
  const type = event.eventType ?? 'Event';
  const key = Object.keys(event).find((one) => one.toLowerCase() === type.toLowerCase().replaceAll(' ', ''));
  const detail = (key === undefined ? {} : event[key]) as Record<string, unknown>;
  const said = (...names: string[]): string[] =>
    names.flatMap((name) => (typeof detail[name] === 'string' ? [detail[name]] : []));
  const recipients = [detail.bouncedRecipients, detail.complainedRecipients, detail.delayedRecipients]
    .flatMap((one) => (Array.isArray(one) ? (one as Record<string, string>[]) : []))
    .map(({ emailAddress, diagnosticCode, action }) =>
      [emailAddress, action, diagnosticCode].filter(Boolean).join(' '),
    );
  const words = [
    ...said(
      'bounceType',
      'bounceSubType',
      'complaintFeedbackType',
      'delayType',
      'smtpResponse',
      'reason',
      'errorMessage',
      'link',
      'ipAddress',
      'userAgent',
    ),
    ...recipients,
  ].join(' · ');
  const at = typeof detail.timestamp === 'string' ? detail.timestamp : event.mail?.timestamp;
  return { type, at, words };
}
