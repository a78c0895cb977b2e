/**
 * The hooks of `postern.policy.ts` that egress calls, in its own terms. Nothing here waits: an answer is there at
 * once, or a promise of it, which never rejects and is kept within seconds (lib/policy).
 */

import { Cache } from '../cache.ts';
import type { Dimension, Directive, DirectiveMatch } from '../directives/directive.ts';
import type { AttemptResult } from '../outcome/classify.ts';
import { type Reply, replyText } from '../outcome/reply.ts';
import type { Hooks } from '../policy/open.ts';
import type { ReplyAnswer, ReplyFacts, RouteAnswer, ShapeAnswer } from '../policy/policy.ts';
import type { Mail, MailBounds } from '../shaping/limits/terms.ts';
import { limitsOf } from './directive-view.ts';
import type { ReplyOrigin } from './pool-host.ts';

type Soon<T> = T | Promise<T>;
type SiteKey = { readonly name: string; readonly provider: string };
type RoutedMail = Mail & { readonly pool: string; readonly item: { configurationSet?: string } };
type AnsweredMail = Mail & { readonly pool: string; readonly item: { attempts: number } };

/** Under which name the policy raises directives and sets limits. */
const POLICY = 'postern.policy.ts';
/** A directive that would end later by less is not raised again: what was in flight brings the same reply, ms. */
const SAME = 1_000;
/** Ends of directives that are remembered for that. */
const REMEMBERED = 10_000;

export class EgressPolicy {
  readonly #hooks: Hooks;
  readonly #raise: (directive: Directive) => void;
  readonly #bounds = new WeakMap<ShapeAnswer, MailBounds>();
  /** Answers whose pool does not exist, and was reported. */
  readonly #reported = new WeakSet<RouteAnswer>();
  /** By id, when what was raised last ends. */
  readonly #raised = new Cache<string, number>(REMEMBERED);

  /** @param raise puts a directive into force. */
  constructor(hooks: Hooks, raise: (directive: Directive) => void) {
    this.#hooks = hooks;
    this.#raise = raise;
  }

  get routes(): boolean {
    return this.#hooks.has('onRoute');
  }

  get shapes(): boolean {
    return this.#hooks.has('onShape');
  }

  /** By which pool a delivery goes to a site. */
  route(delivery: RoutedMail, { name: site, provider }: SiteKey): Soon<RouteAnswer | undefined> {
    const { tenant, campaign, class: messageClass, domain, pool, item } = delivery;
    const { configurationSet } = item;
    const mail = { tenant, campaign, configurationSet, class: messageClass, domain, provider, site, pool };
    return this.#hooks.ask('onRoute', mail);
  }

  /** @returns why mail waits that is sent by a pool that does not exist. */
  unknownPool(answer: RouteAnswer): string {
    const { pool } = answer;
    if (!this.#reported.has(answer)) {
      this.#reported.add(answer);
      this.#hooks.failed('onRoute', `onRoute.pool: there is no pool "${pool}" here.`);
    }
    return `onRoute of ${POLICY} sends it by pool "${pool}", which does not exist here. Add the pool, or change the policy.`;
  }

  /** Upper bounds for a tenant's mail from a source to a site. */
  bounds(
    { tenant, class: messageClass }: Pick<Mail, 'tenant' | 'class'>,
    { name: site, provider }: SiteKey,
    { ip }: { readonly ip: string | undefined },
    pool: string,
  ): Soon<MailBounds | undefined> {
    const facts = { tenant, class: messageClass, provider, site, pool, ip };
    const answer = this.#hooks.ask('onShape', facts);
    const read = (given: ShapeAnswer | undefined) =>
      given && this.#boundsOf(given, `tenant=${tenant},class=${messageClass},pool=${pool}`);
    return answer instanceof Promise ? answer.then(read) : read(answer);
  }

  #boundsOf(answer: ShapeAnswer, key: string): MailBounds {
    let bounds = this.#bounds.get(answer);
    if (bounds === undefined) {
      bounds = { key, set: limitsOf(answer), origin: `onShape of ${POLICY}`, text: JSON.stringify(answer) };
      this.#bounds.set(answer, bounds);
    }
    return bounds;
  }

  /**
   * Decides about a delivery after a reply of 4xx or 5xx; a directive that the policy raises is in force by then.
   * @returns undefined at once when there is no hook, or no refusal.
   */
  reply(
    mail: AnsweredMail,
    from: ReplyOrigin,
    result: AttemptResult,
    now: number,
  ): Soon<ReplyAnswer | undefined> {
    const { kind, reply, phase } = result;
    if (kind !== 'refused' || reply === undefined || reply.code < 400 || !this.#hooks.has('onReply')) {
      return undefined;
    }
    const facts = factsOf(mail, from, phase, reply);
    const answer = this.#hooks.ask('onReply', facts);
    const heed = (given: ReplyAnswer | undefined) => {
      if (given?.directive !== undefined) this.#order(given.directive, facts, from.ip, now);
      return given;
    };
    return answer instanceof Promise ? answer.then(heed) : heed(answer);
  }

  #order(
    order: NonNullable<ReplyAnswer['directive']>,
    facts: ReplyFacts,
    ip: string | undefined,
    now: number,
  ): void {
    const { action, reason, scope } = order;
    const match: { [D in Dimension]?: string } = {};
    for (const dimension of scope) {
      const value = dimension === 'ip' ? (ip ?? 'default') : facts[dimension];
      if (value === undefined) {
        // Without it, the directive would cover more mail than requested.
        this.#hooks.failed('onReply', `onReply.directive.scope: the delivery has no ${dimension}.`);
        return;
      }
      match[dimension] = value;
    }
    if (action.kind === 'reroute' && action.pool === facts.pool) {
      this.#hooks.failed('onReply', `onReply.directive.action.pool: "${action.pool}" is where the mail is.`);
      return;
    }
    const id = `${POLICY}/${action.kind}/${keyOf(match)}`;
    const until = now + order.seconds * 1000;
    if (until - (this.#raised.get(id) ?? 0) < SAME) return;
    this.#raised.set(id, until);
    this.#raise({ id, match, action, reason, until, origin: { rule: POLICY, reply: facts.text } });
  }
}

function factsOf(
  mail: AnsweredMail,
  { site, provider, ip, mx }: ReplyOrigin,
  phase: string,
  reply: Reply,
): ReplyFacts {
  const { tenant, campaign, class: messageClass, domain, pool, item } = mail;
  return {
    tenant,
    campaign,
    class: messageClass,
    domain,
    provider,
    site,
    pool,
    ip,
    mx,
    phase,
    code: reply.code,
    enhanced: reply.enhanced,
    text: replyText(reply),
    attempts: item.attempts + 1,
  };
}

function keyOf(match: DirectiveMatch): string {
  return Object.entries(match)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ');
}
