/** What is wrong, each with its reason and the way to mend it, the worst first. */
import { html } from 'hono/html';
import { MINUTE } from '../../time.ts';
import type {
  ApiDestination,
  ApiDirective,
  ApiDocument,
  ApiHealth,
  ApiPolicyState,
  ApiReputation,
  ApiWarmingIp,
} from '../answers.ts';
import type { Markup, PageCall } from '../page.ts';
import { count, link, when } from '../parts.ts';
import { ApiFailure, labelText } from '../v1.ts';
import { matchText } from './directive-order.ts';

interface Trouble {
  tone: 'bad' | 'warn';
  what: Markup | string;
  why: Markup | string;
  /** What to do about it. */
  mend: Markup | string;
}

/** Age at which rates are read again, ms: they are judged once a minute. A pause for them is a directive, and shown at once. */
const RATES_AGE = MINUTE / 2;
/** Troubles that are listed; the rest are counted. */
const SHOWN = 12;

export async function troubles(call: PageCall): Promise<Markup> {
  const found = (
    await Promise.all([
      ordered(call),
      reputation(call),
      destinations(call),
      ...(call.me.admin ? [warmups(call), documents(call), policy(call), health(call)] : []),
    ])
  ).flat();
  if (found.length === 0) return html`<p class="note good">Nothing is wrong.</p>`;
  found.sort((a, b) => Number(b.tone === 'bad') - Number(a.tone === 'bad'));
  return html`<section aria-label="What is wrong"><h2 class="hidden">What is wrong</h2><ul class="troubles">${found
    .slice(0, SHOWN)
    .map(
      ({ tone, what, why, mend }) =>
        html`<li class="note ${tone}"><p><strong>${what}</strong></p><p class="text">${why}</p><p>${mend}</p></li>`,
    )}</ul>${found.length > SHOWN ? html`<p class="quiet">And ${count(found.length - SHOWN)} more.</p>` : ''}</section>`;
}

/** What a look-up finds; nothing where this installation, or this key, has no such thing. */
async function asked<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof ApiFailure && error.status < 500 && error.status !== 401) return undefined;
    throw error;
  }
}

async function ordered({ v1, now }: PageCall): Promise<Trouble[]> {
  const found = await asked(() => v1.get<{ directives: ApiDirective[] }>('/directives'));
  const stopping = (found?.directives ?? []).filter(
    ({ action }) => action.kind === 'suspend' || action.kind === 'bounce',
  );
  return stopping.map(({ id, match, action, reason, until, origin }) => {
    const all = Object.keys(match).length === 0;
    return {
      tone: all || action.kind === 'bounce' ? 'bad' : 'warn',
      what: `${action.kind === 'bounce' ? 'Bounced' : 'Suspended'}: ${all ? 'all mail' : matchText(match)}`,
      why: origin.reply ? `${reason}: ${origin.reply}` : reason,
      mend: html`${origin.rule ? `By the rule ${origin.rule}. ` : ''}${until ? html`It ends by itself ${when(until, now)}. ` : ''}${link('/directives', 'End it', { id })}`,
    };
  });
}

async function reputation({ recent, me }: PageCall): Promise<Trouble[]> {
  const found = await asked(() =>
    recent<ApiReputation>(RATES_AGE, '/reputation', { tenant: me.admin ? undefined : me.tenant }),
  );
  if (!found || found.verdict === 'good') return [];
  return [
    {
      tone: found.verdict === 'pause' ? 'bad' : 'warn',
      what: found.paused ? 'Sending is paused for its rates' : 'Too many bounces or complaints',
      why: found.text,
      mend: html`See ${link('/messages', 'what bounced', { state: 'bounced' })} and clean the lists that it was sent to.`,
    },
  ];
}

async function destinations({ v1 }: PageCall): Promise<Trouble[]> {
  const found = await asked(() => v1.get<{ eventDestinations: ApiDestination[] }>('/event-destinations'));
  return (found?.eventDestinations ?? [])
    .filter(({ health, disabledBecause }) => disabledBecause || (health && health.failures > 2))
    .map(({ id, name, health, disabledBecause }) => ({
      tone: disabledBecause ? 'bad' : 'warn',
      what: disabledBecause ? `Events no longer go to ${name}` : `Events do not arrive at ${name}`,
      why: disabledBecause ?? health?.lastError ?? '',
      mend: html`${link(`/webhooks/${labelText(id)}`, 'See its attempts')}, mend the receiver, and send a test.`,
    }));
}

async function warmups({ v1 }: PageCall): Promise<Trouble[]> {
  const found = await asked(() => v1.get<{ ips: ApiWarmingIp[] }>('/warmup'));
  return (found?.ips ?? []).flatMap(({ ip, problem, providers }): Trouble[] => {
    if (problem)
      return [
        {
          tone: 'bad',
          what: `Nothing is sent from ${ip}`,
          why: problem,
          mend: link('/ips', 'See its warm-up'),
        },
      ];
    return providers
      .filter(({ steppedBack }) => steppedBack)
      .map(({ provider, cause }) => ({
        tone: 'warn',
        what: `The warm-up of ${ip} went back a step at ${provider}`,
        why: cause ?? '',
        mend: link('/ips', 'See its warm-up'),
      }));
  });
}

/** A report that is being made is shown when it is done: the page follows. */
async function health({ v1, soon }: PageCall): Promise<Trouble[]> {
  const report = await soon(asked(() => v1.get<ApiHealth>('/health')).catch(() => undefined));
  return (report?.findings ?? [])
    .filter(({ severity }) => severity !== 'notice')
    .map(({ severity, text, why, remedy }) => ({
      tone: severity === 'error' ? 'bad' : 'warn',
      what: text,
      why,
      mend: html`${remedy} ${link('/health', 'See the whole report')}`,
    }));
}

const KINDS = ['limits', 'routing', 'warmup', 'automation', 'protection'];

async function documents({ v1 }: PageCall): Promise<Trouble[]> {
  const found = await Promise.all(
    KINDS.map((kind) => asked(() => v1.get<ApiDocument>(`/config/${kind}/default`))),
  );
  return found
    .filter((one) => one?.problems !== undefined)
    .map((one) => ({
      tone: 'bad',
      what: `The ${one!.kind} that are stored are not in force`,
      why: one!.problems!.join(' '),
      mend: link(`/configuration/${one!.kind}`, 'Correct them, or bring a version back'),
    }));
}

async function policy({ v1 }: PageCall): Promise<Trouble[]> {
  const state = await asked(() => v1.get<ApiPolicyState>('/policy'));
  if (!state) return [];
  const where = `Correct ${state.file ?? 'the policy'} and save it.`;
  const whole = state.disabled ?? state.refused?.message;
  const hooks = state.hooks.filter(({ disabled }) => disabled);
  return [
    ...(whole ? [{ tone: 'bad' as const, what: 'The policy is refused', why: whole, mend: where }] : []),
    ...hooks.map(({ name, disabled }) => ({
      tone: 'bad' as const,
      what: `The hook ${name} is not called any more`,
      why: disabled!,
      mend: where,
    })),
  ];
}
