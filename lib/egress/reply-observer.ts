/** Hears what peers reply, and lets the rules of automation and the warm-up draw their conclusions. */

import type { RuleSet } from '../automation/compile.ts';
import { type Alert, evaluate, type ReplyEvent } from '../automation/evaluate.ts';
import { AutomationState } from '../automation/state.ts';
import type { AttemptResult } from '../outcome/classify.ts';
import type { Reply } from '../outcome/reply.ts';
import type { WarmupBook } from '../warmup/book.ts';
import { signalOf } from '../warmup/signals.ts';
import type { Delivery } from './delivery.ts';
import type { DirectiveView } from './directive-view.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';

/** Who answered, and whom: the site, its MX host by name, and the source. */
export interface Origin {
  site: Site;
  source: SourceAddress;
  mx: string;
}

export interface ReplyObserverOptions {
  directiveView: DirectiveView;
  warmup: WarmupBook | undefined;
  /** Told of alerts. Must not throw. */
  onAlert: ((alert: Alert) => void) | undefined;
  /** Directives were raised or lifted. */
  onDirectivesChanged: () => void;
}

export class ReplyObserver {
  readonly #options: ReplyObserverOptions;
  readonly state = new AutomationState();
  /** Compiled rules; none: nothing is concluded from replies. */
  rules: RuleSet | undefined;

  constructor(options: ReplyObserverOptions, rules: RuleSet | undefined) {
    this.#options = options;
    this.rules = rules;
  }

  /**
   * A peer answered a delivery, or did not.
   * @returns when the reply asks to try again, ms since the epoch; 0 when it names no time.
   */
  onReply(delivery: Delivery, from: Origin, result: AttemptResult, now: number): number {
    const { warmup } = this.#options;
    const { provider } = from.site;
    const ip = from.source.ip ?? '';
    if (warmup?.warming(ip, provider)) {
      const signal = signalOf(result, delivery.item.attempts);
      if (signal !== undefined) warmup.outcome(ip, provider, signal, now);
    }
    const delivered = result.kind === 'accepted';
    if (delivered ? !this.state.watching : result.kind !== 'refused') return 0;
    const { tenant, campaign, domain, pool } = delivery;
    return this.#evaluate({ tenant, campaign, domain, pool }, from, delivered, result, now);
  }

  /** A peer refused a session before any delivery was spoken of. */
  onSessionRefused(pool: string, from: Origin, phase: string, reply: Reply, now: number): void {
    this.#evaluate({ pool }, from, false, { phase, reply }, now);
  }

  #evaluate(
    mail: Pick<ReplyEvent, 'tenant' | 'campaign' | 'domain' | 'pool'>,
    { site, source, mx }: Origin,
    delivered: boolean,
    { phase, reply }: Pick<AttemptResult, 'phase' | 'reply'>,
    now: number,
  ): number {
    const { directiveView, onAlert, onDirectivesChanged } = this.#options;
    const { rules } = this;
    if (rules === undefined) return 0;
    const event: ReplyEvent = {
      ...mail,
      outcome: delivered ? 'delivered' : 'refused',
      ip: source.name,
      provider: site.provider,
      site: site.name,
      mx,
      phase,
      reply: delivered ? undefined : reply,
    };
    const { raise, lift, alerts, retryAfter } = evaluate(rules, this.state, event, now);
    for (const alert of alerts) onAlert?.(alert);
    if (raise.length > 0 || lift.length > 0) {
      directiveView.raise(raise, lift);
      onDirectivesChanged();
    }
    return retryAfter === undefined ? 0 : now + retryAfter;
  }
}
