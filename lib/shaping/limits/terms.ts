/** The parameters and results of a look-up of limits. */
import type { RetrySchedule } from '../../outcome/retry.ts';
import type { Pace, Rate } from '../rate.ts';
import type { LimitName, Limits, SharedLimit } from './limit.ts';

/** Source and destination of mail, as far as limits distinguish them. */
export interface PathKey {
  readonly provider: string;
  readonly site: string;
  /** Whether a static route names the destination. */
  readonly routed: boolean;
  /** Source address; `default` where the host chooses. */
  readonly ip: string;
  readonly pool: string;
}

/** Properties of mail that limits distinguish. */
export interface Mail {
  readonly domain: string;
  readonly tenant: string;
  readonly campaign?: string;
  readonly class: 'transactional' | 'bulk';
}

/** Limits, and for each the rule that set it. */
export interface Resolved {
  readonly limits: Limits;
  readonly messagePace: Pace;
  readonly connectionPace: Pace;
  readonly origins: { readonly [L in LimitName]?: string };
}

/** A rule that is counted for some mail alone, at each (IP, site). */
export interface CounterRule {
  /** Mail that it counts: `tenant=acme`, `class=bulk,tenant=acme`. */
  readonly key: string;
  readonly rate: Rate | undefined;
  readonly pace: Pace;
  readonly concurrency: number;
  readonly origins: { rate?: string; concurrency?: string };
}

/** Limits of one kind of mail beside those of its place. */
export interface MailLimits {
  readonly counters: readonly CounterRule[];
  readonly shared: readonly { key: string; limit: SharedLimit }[];
  readonly retry: RetrySchedule | undefined;
  readonly maxAge: number | undefined;
  readonly origins: { retry?: string; maxAge?: string };
}

/** Connections of its own for some mail. */
export interface ConnectionClass extends Resolved {
  /** Name; empty: the place's own. */
  readonly name: string;
  /** Bounds that these connections keep beside the rules. */
  readonly bounds?: MailBounds;
}

/** Upper bounds over the rules that come with the mail: a policy's answer for it. */
export interface MailBounds {
  /** Mail for which they are counted. */
  readonly key: string;
  readonly set: Partial<Limits>;
  /** Origin, for a person. */
  readonly origin: string;
  /** Text that is equal for equal bounds. */
  readonly text: string;
}
