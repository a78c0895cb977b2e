/**
 * Lets egress follow the documents that operators change while it runs: limits, routing, automation, warm-up.
 * What a document says was checked before it was stored; one that this version reads otherwise leaves what is in
 * force as it is, and is logged.
 */

import { compileRules } from '../automation/compile.ts';
import { rulesWith } from '../automation/library.ts';
import type { Documents } from '../control/documents.ts';
import type { WarmupBook } from '../warmup/book.ts';
import { readPlans } from '../warmup/plan.ts';
import type { Egress } from './types.ts';

/** Each kind has one document. */
const DOCUMENT = 'default';

/**
 * Applies what is stored now and whatever it becomes.
 * @param warmup the book that egress was started with.
 * @param problem told what could not be applied.
 * @returns ends it.
 */
export function followDocuments(
  egress: Egress,
  documents: Pick<Documents, 'running' | 'watch'>,
  warmup: WarmupBook,
  problem: (kind: string, error: Error) => void,
): () => void {
  const apply: Record<string, (value: unknown) => void> = {
    limits: (value) => egress.setLimits(value),
    routing: (value) => egress.setRouting(value),
    automation: (value) => egress.setRules(compileRules(rulesWith(value ?? {}, 'automation'))),
    warmup(value) {
      const plans = readPlans(value ?? {}, 'warmup');
      for (const ip of warmup.ips()) if (!plans.has(ip)) warmup.setPlan(ip, undefined);
      for (const [ip, plan] of plans) warmup.setPlan(ip, plan);
    },
  };
  const stops = Object.entries(apply).map(([kind, follow]) => {
    const changed = (): void => {
      try {
        follow(documents.running(kind).get(DOCUMENT));
      } catch (error) {
        problem(kind, error as Error);
      }
    };
    changed();
    return documents.watch(kind, changed);
  });
  return () => {
    for (const stop of stops) stop();
  };
}
