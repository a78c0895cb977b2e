/**
 * Starts with all sending paused: for a restored copy of a store whose original has sent mail that the copy still
 * holds. The pause is an operator's directive like any other: listed, applied by every node, ended by removing it.
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
