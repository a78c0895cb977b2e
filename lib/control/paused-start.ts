/**
 * A start that sends nothing: for a restored copy of a store, whose original has sent since what the copy still
 * holds. It is an operator's directive like any other: listed, obeyed by every node, over when it is removed.
 */
import type { Directives, StoredDirective } from './directives.ts';

export function pauseAll(directives: Pick<Directives, 'order'>): Promise<StoredDirective> {
  const order = {
    match: {},
    action: { kind: 'suspend' },
    reason: 'Started paused (POSTERN_START=paused). Remove this directive to send.',
  };
  return directives.order(order, { operator: 'POSTERN_START' });
}
