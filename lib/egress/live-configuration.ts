/**
 * Lets egress follow the documents that operators change while it runs: limits, routing, automation, warm-up. Each is
 * handed on as it was read before it came into force.
 */

import { compileRules } from '../automation/compile.ts';
import { LIBRARY } from '../automation/library.ts';
import { AUTOMATION, type ConfigKind, DOCUMENT, LIMITS, ROUTING, WARMUP } from '../control/config-kinds.ts';
import type { Documents } from '../control/documents.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { Egress } from './types.ts';

/**
 * Applies each document as it is now and as often as it changes.
 * @param warmup the book that egress was started with.
 * @param problem is called with what could not be applied.
 * @returns ends it.
 */
export function followDocuments(
  egress: Egress,
  documents: Pick<Documents, 'read' | 'watch'>,
  warmup: WarmupBook,
  problem: (kind: string, error: Error) => void,
): () => void {
  const follow = <T>(kind: ConfigKind<T>, apply: (read: T | undefined) => void): (() => void) => {
    const changed = (): void => {
      try {
        apply(documents.read(kind, DOCUMENT));
      } catch (error) {
        problem(kind.name, error as Error);
      }
    };
    changed();
    return documents.watch(kind.name, changed);
  };
  const stops = [
    follow(LIMITS, (table) => egress.setLimits(table)),
    follow(ROUTING, (table) => egress.setRouting(table)),
    follow(AUTOMATION, (rules = LIBRARY) => egress.setRules(compileRules(rules))),
    follow(WARMUP, (plans = new Map()) => {
      for (const ip of warmup.ips()) if (!plans.has(ip)) warmup.setPlan(ip, undefined);
      for (const [ip, plan] of plans) warmup.setPlan(ip, plan);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
