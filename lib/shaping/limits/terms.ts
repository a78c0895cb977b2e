/** The parameters and results of a look-up of limits. */
import type { RetrySchedule } from '../../outcome/retry.ts';
import type { Pace, Rate } from '../rate.ts';
import type { LimitName, Limits, SharedLimit } from './limit.ts';

/** Where mail leaves from and goes to, as far as limits tell places apart. */
export interface PathKey {
  readonly provider: string;
  readonly site: string;
  /** Named by a static route. */
  readonly routed: boolean;
  /** Source address; `default` where the host chooses. */
  readonly ip: string;
  readonly pool: string;
}

/** Mail, as far as limits tell it apart. */
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

/** What is counted for some mail alone, at each (IP, site). */
export interface CounterRule {
  /** Whose: `tenant=acme`, `class=bulk,tenant=acme`. */
  readonly key: string;
  readonly rate: Rate | undefined;
  readonly pace: Pace;
  readonly concurrency: number;
  readonly origins: { rate?: string; concurrency?: string };
}

/** What holds for one kind of mail beside the limits of its place. */
export interface MailLimits {
  readonly counters: readonly CounterRule[];
  readonly shared: readonly { key: string; limit: SharedLimit }[];
  readonly retry: RetrySchedule | undefined;
  readonly maxAge: number | undefined;
  readonly origins: { retry?: string; maxAge?: string };
}

/** Connections of its own for some mail. */
export interface ConnectionClass extends Resolved {
  /** Empty: the place's own. */
  readonly name: string;
  /** Bounds that these connections keep to beside the rules. */
  readonly bounds?: MailBounds;
}

/** Upper bounds over what the rules say, given together with the mail: what a policy answers for it. */
export interface MailBounds {
  /** Whose mail they are counted for. */
  readonly key: string;
  readonly set: Partial<Limits>;
  /** Where they come from, for a person. */
  readonly origin: string;
  /** The same for the same bounds. */
  readonly text: string;
}
