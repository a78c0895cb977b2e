/** The end of a lease as the settlement journal has it: JSON, whose last member is the outcome. */
import type { Outcome } from '../items.ts';
import type { SettlementTuple } from './protocol.ts';

/** The end of a lease of the run before. */
export interface NotedEnd {
  messageId: string;
  tuple: SettlementTuple;
}

export function noteOf([key, message, n, share, state, outcome]: SettlementTuple): string {
  return `[${key},${message},${n},${share},"${state}",${outcome}]`;
}

/** @throws SyntaxError, TypeError for what `noteOf` did not write. */
export function readNote(note: string): NotedEnd {
  const [key, message, n, share, state, outcome] = JSON.parse(note) as [
    ...[key: number, message: number, n: number, share: number],
    state: SettlementTuple[4],
    outcome: Outcome,
  ];
  return {
    messageId: outcome.messageId,
    tuple: [key, message, n, share, state, JSON.stringify(outcome), 0, null, null],
  };
}
