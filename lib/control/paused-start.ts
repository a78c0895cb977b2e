/**
 * Starts with all sending paused: for a restored copy of a store whose original has sent mail that the copy still
 * holds. The pause is an operator's directive like any other: listed, applied by every node, ended by removing it.
 */
import type { Directives, StoredDirective } from './directives.ts';

/** @param reason for a person. @param operator shown as who ordered it. */
export function pauseAll(
  directives: Pick<Directives, 'order'>,
  reason = 'Started paused (POSTERN_START=paused). Remove this directive to send.',
  operator = 'POSTERN_START',
): Promise<StoredDirective> {
  return directives.order({ match: {}, action: { kind: 'suspend' }, reason }, { operator });
}
