/**
 * The kinds of configuration documents that may be changed while Postern runs. A kind is a name and a validator;
 * the rooms that obey the documents bring theirs.
 */
import { PosternError } from '../errors.ts';

export interface ConfigKind {
  /** As in the path of the API. */
  readonly name: string;
  /**
   * What is wrong with a document, each as `path: reason`; nothing when it may run.
   * @param name the document's own. @param others those of the same kind, by name, that run beside it.
   */
  validate(value: unknown, name: string, others: ReadonlyMap<string, unknown>): readonly string[];
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

/** The kinds of this version of Postern. */
export const CONFIG_KINDS: readonly ConfigKind[] = [];
