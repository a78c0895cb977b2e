/**
 * The kinds of configuration documents that may be changed while Postern runs. A kind is a name and a reader, which
 * belongs to the room that applies the document and receives the reader's result.
 */

import { rulesWith } from '../automation/library.ts';
import type { Rule } from '../automation/rule.ts';
import { refuse } from '../document.ts';
import { type BulkRules, readBulkRules } from '../mail/bulk-rules.ts';
import { type Protection, readProtection } from '../outcome/protection.ts';
import { type RoutingTable, readRouting } from '../routing/router.ts';
import type { LimitTable } from '../shaping/limits/limit.ts';
import { limitTable } from '../shaping/limits/table.ts';
import { type FindBlocked, LINKS_KIND, readBlockedLinks } from '../tracking/blocked-links.ts';
import { readPlans, type WarmupPlan } from '../warmup/plan.ts';

export interface ConfigKind<T = unknown> {
  /** Name of the kind in the path of the API. */
  readonly name: string;
  /** Reads a document. Pure. @throws PosternError `bad_request`: `path: what is wrong`. */
  read(value: unknown, name: string): T;
}

/** The name of a kind's document: each kind has one, because most possible faults lie between its parts. */
export const DOCUMENT = 'default';

function kind<T>(name: string, read: (value: unknown, path: string) => T): ConfigKind<T> {
  return {
    name,
    read: (value, given) =>
      given === DOCUMENT
        ? read(value, name)
        : refuse(name, `the document of this kind is called ${DOCUMENT}, not ${given}.`),
  };
}

export const LIMITS: ConfigKind<LimitTable> = kind('limits', limitTable);
export const ROUTING: ConfigKind<RoutingTable> = kind('routing', readRouting);
export const WARMUP: ConfigKind<ReadonlyMap<string, WarmupPlan>> = kind('warmup', readPlans);
export const AUTOMATION: ConfigKind<readonly Rule[]> = kind('automation', rulesWith);
export const PROTECTION: ConfigKind<Protection> = kind('protection', readProtection);

export const BULK: ConfigKind<BulkRules> = kind('bulk', readBulkRules);

export const LINKS: ConfigKind<FindBlocked> = kind(LINKS_KIND, readBlockedLinks);

/** The kinds of this version of Postern. */
export const CONFIG_KINDS: readonly ConfigKind[] = [
  LIMITS,
  ROUTING,
  WARMUP,
  AUTOMATION,
  PROTECTION,
  LINKS,
  BULK,
];
