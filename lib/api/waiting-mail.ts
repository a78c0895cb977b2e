/** What waiting mail a match touches, for directives, retries and their previews. */
import * as z from 'zod/mini';
import type { Directive as Order } from '../directives/directive.ts';
import type { WaitingMatch } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { providerGroup } from '../shaping/providers.ts';
import type { ApiCall } from './operation.ts';
import { about, flag, integer, named, text } from './schema.ts';

export const WaitingMail = named(
  'WaitingMail',
  z
    .strictObject({
      deferred: integer('Deferred deliveries, without those that their sender scheduled for later.'),
      queued: z.optional(
        integer('Deliveries in a lane or being sent; absent: this engine cannot count them.'),
      ),
      inHand: z.optional(
        integer('Of those, in hand of this process, from the IP or to the site of the match.'),
      ),
      complete: flag('False: more is stored than was looked at, so the figures are lower bounds.'),
      hastened: z.optional(integer('Deferred deliveries that were made due now.')),
      note: z.optional(text('What the figures leave out or count besides.')),
    })
    .check(about('Waiting deliveries that match.')),
);

/** Counts the waiting mail of a match, and makes its deferred part due now if `hasten` is set. */
export async function waitingMail(call: ApiCall, given: Order['match'], hasten: boolean) {
  const { ledger } = call.deps.engine;
  const { match, wider } = waitingMatch(given);
  const figures = await ledger.count(match);
  const hastened = hasten ? await ledger.hasten(match) : undefined;
  return {
    ...figures,
    inHand: inHand(call, given),
    hastened,
    note: noteOf(wider, figures.queued === undefined),
  };
}

/** Makes the deferred mail of a match due now. */
export async function hasten({ deps }: ApiCall, given: Order['match']) {
  const { match, wider } = waitingMatch(given);
  const hastened = await deps.engine.ledger.hasten(match);
  return { hastened, note: noteOf(wider, false) };
}

/**
 * @param given a match of some mail or, with `all`, none.
 * @throws `bad_request` for a match that names no mail, unless all of it is requested explicitly.
 */
export function requireScope(given: object, all: boolean | undefined): void {
  const scoped = Object.keys(given).length > 0;
  if (scoped !== (all === true)) return;
  throw new PosternError(
    'bad_request',
    scoped
      ? '/all is true and /match names some mail: leave one of them out.'
      : '/match is empty, which is all mail of every tenant: name some mail, or add "all": true.',
  );
}

/** @throws `access_denied` when a tenant would touch more than its own mail. */
export function requireOwnMail({ caller }: ApiCall, { tenant }: { tenant?: string }): void {
  if (caller.admin || tenant === caller.tenant) return;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not order mail of others: name "tenant": "${caller.tenant}" in the match, ` +
      `or use an administrator's key.`,
  );
}

/** What of a match the ledger can find; `wider`: the members that it cannot, so that more is found. */
function waitingMatch(given: Order['match']): { match: WaitingMatch; wider: string[] } {
  const { tenant, campaign, domain, pool, provider, ip, site } = given;
  const group = provider && providerGroup(provider);
  const wider = [
    ...(group === 'other' ? ['provider'] : []),
    ...(ip === undefined ? [] : ['ip']),
    ...(site === undefined ? [] : ['site']),
  ];
  return { match: { tenant, campaign, domain, pool, group }, wider };
}

/** What this process has in hand of mail that is matched by IP or site, which the store does not know. */
function inHand({ deps }: ApiCall, { ip, site, tenant, pool, campaign, domain }: Order['match']) {
  if ((ip ?? site) === undefined || (campaign ?? domain) !== undefined) return undefined;
  const held = deps.held?.();
  if (held === undefined) return undefined;
  let count = 0;
  for (const mail of held.mail) {
    const { path } = mail;
    if (path === undefined || (ip ?? path.ip) !== path.ip || (site ?? path.site) !== path.site) continue;
    if ((tenant ?? mail.tenant) !== mail.tenant || (pool ?? mail.pool) !== mail.pool) continue;
    count += mail.waiting + mail.underWay;
  }
  return count;
}

function noteOf(wider: string[], lanesHidden: boolean): string | undefined {
  const notes = [
    ...(wider.length > 0
      ? [`Waiting mail is not known by ${wider.join(' and ')}: more may be counted than is meant.`]
      : []),
    ...(lanesHidden ? ['Mail that is due within fifteen minutes is in a lane, and is not counted.'] : []),
  ];
  return notes.length > 0 ? notes.join(' ') : undefined;
}
