/**
 * The kinds of configuration documents that may be changed while Postern runs. A kind is a name and a validator,
 * and the validator is the reader of the room that obeys the document.
 */

import { rulesWith } from '../automation/library.ts';
import { PosternError } from '../errors.ts';
import { readRouting } from '../routing/router.ts';
import { limitTable } from '../shaping/limits/check.ts';
import { readPlans } from '../warmup/plan.ts';

export interface ConfigKind {
  /** As in the path of the API. */
  readonly name: string;
  /**
   * What is wrong with a document of this name, each as `path: reason`; nothing when it may run.
   */
  validate(value: unknown, name: string): readonly string[];
}

/** A reader that throws `bad_request` at the first thing that is wrong, as a validator. */
export function refusals(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof PosternError && error.code === 'bad_request') return [error.message];
    throw error;
  }
}

/** The name of a kind's document: each kind has one, because what can be wrong is mostly between its parts. */
const ONLY = 'default';

function kind(name: string, read: (value: unknown, path: string) => unknown): ConfigKind {
  return {
    name,
    validate(value, given) {
      if (given !== ONLY) return [`${name}: the document of this kind is called ${ONLY}, not ${given}.`];
      return refusals(() => read(value, name));
    },
  };
}

/** The kinds of this version of Postern, as the rooms that obey them read them. */
export const CONFIG_KINDS: readonly ConfigKind[] = [
  kind('limits', limitTable),
  kind('routing', readRouting),
  kind('warmup', readPlans),
  kind('automation', rulesWith),
];
