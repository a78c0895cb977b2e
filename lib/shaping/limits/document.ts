/**
 * A document of limits as written. Its layers are sets of limits, with `for` naming the mail for which some of them
 * differ:
 *
 *     { default:   { connections: 10, for: [{ tenant: '*', messageRate: '50/s' }] },
 *       providers: { google: { messagesPerConnection: 50, for: [{ pool: 'new', connections: 2 }] } },
 *       sites:     { 'mx.example.com': { tls: 'required' } },
 *       domains:   { 'example.org': { maxAge: '1d' } },
 *       shared:    { newsletter: { match: { tenant: 'acme' }, rate: '200/s' } } }
 */
import type { LimitName, Qualifier } from './limit.ts';

/** Limits as written: numbers, `100/s`, `60s`. */
export type LimitSet = { readonly [name in LimitName]?: unknown };
export type LimitEntry = LimitSet & {
  readonly for?: readonly (LimitSet & { readonly [Q in Qualifier]?: string })[];
};
/** Unchecked: `readLimits` reads it. */
export interface LimitDocument {
  readonly default?: LimitEntry;
  /** Destinations named by a static route. */
  readonly route?: LimitEntry;
  readonly providers?: Readonly<Record<string, LimitEntry>>;
  readonly sites?: Readonly<Record<string, LimitEntry>>;
  readonly domains?: Readonly<Record<string, LimitEntry>>;
  readonly shared?: Readonly<Record<string, unknown>>;
}
