/**
 * Automation rules as written: plain data, so that the library, a file and the API share one form.
 *
 * A rule names the replies (`match`), how often they must come (`trigger`), the action (`action`) on which mail
 * (`scope`), and its time (`duration`, `hint`, `leaveAfter`). It covers the union of PowerMTA's backoff
 * (`smtp-pattern-list`, `backoff-to-normal-after`, `…-after-delivery`, `disable-source-ip`,
 * `backoff-reroute-to-virtual-mta`, `backoff-notify`) and KumoMTA's automation (`Suspend…`, `SetConfig`, `Bounce…`,
 * `Threshold`).
 */
import type { Dimension } from '../directives/directive.ts';

export type OneOrMany<T> = T | readonly T[];

/** A duration: `90s`, `30m`, `2h`, `1d`. */
export type Span = `${number}${'s' | 'm' | 'h' | 'd'}`;

/** A rate: `10/s`, `1/min`, `500/h`, `10000/d`. */
export type RateText = `${number}/${'s' | 'min' | 'h' | 'd'}`;

/** Phases of an SMTP dialogue in which a reply can come. */
export const PHASES = ['greeting', 'ehlo', 'starttls', 'mail', 'rcpt', 'data', 'body', 'quit'] as const;
export type Phase = (typeof PHASES)[number];

/** Selects replies. Every given member must match; within a member one of the list is enough. */
export interface RuleMatch {
  /** Provider of the MX hosts, as named in `providers.ts`. */
  provider?: OneOrMany<string>;
  /** Site, by its exact name. */
  site?: OneOrMany<string>;
  /** MX host that answered, by a suffix of whole labels. */
  mx?: OneOrMany<string>;
  /** Recipient domain: `example.com`, or `*.example.com` for its subdomains. */
  domain?: OneOrMany<string>;
  /** Reply code: `421`, the class `4xx`, or the range `450-459`. */
  code?: OneOrMany<number | string>;
  /** Enhanced status code (RFC 3463): `4.7.28`, `4.7.*`, `5.7.606-649`. */
  enhanced?: OneOrMany<string>;
  phase?: OneOrMany<Phase>;
  /** Patterns (`pattern.ts`) one of which the text, without its codes, must contain. */
  text?: OneOrMany<string>;
}

export interface RuleLimit {
  messageRate?: RateText;
  connectionRate?: RateText;
  connections?: number;
  messagesPerConnection?: number;
}

export type RuleAction =
  | 'suspend'
  | 'bounce'
  | 'alert'
  | { readonly limit: RuleLimit }
  | { readonly reroute: string };

export interface Rule {
  /** `provider.what`, unique: directives, alerts and the list of rules that are off name it. */
  id: string;
  /** Meaning of the reply, for a person; becomes the reason of the directive. */
  reason: string;
  match: RuleMatch;
  /**
   * Absent: fires at the first reply. Otherwise when `events` replies came, within the same scope, in less than
   * `within`.
   */
  trigger?: { events: number; within: Span };
  action: OneOrMany<RuleAction>;
  /** The mail to which the action applies; by default that from this IP to this site. */
  scope?: readonly Dimension[];
  /** How long the action holds, counted from the last time the rule fired. */
  duration: Span;
  /** Where the reply names a time, that time replaces `duration`, within these bounds. */
  hint?: { least: Span; most: Span };
  /** Deliveries in a row within its scope that end it early. Only where mail still flows. */
  leaveAfter?: number;
  /** Whether the rule is considered only when no rule without this mark matched: rules for all providers at once. */
  fallback?: boolean;
  /** Real replies that fire the rule, `421 4.7.0 text`; the lines of one reply joined by a blank. */
  samples: readonly string[];
  /** Rules that fire on its samples as well, and why that is right. */
  overlaps?: readonly { rule: string; why: string }[];
}

/** An operator's changes to the library: own rules (replacing library rules by id), and ids to leave out. */
export interface RuleDocument {
  rules?: readonly Rule[];
  off?: readonly string[];
}
