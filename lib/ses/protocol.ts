/** restJson1 as SES v2 speaks it: how the input of each operation is read, and its output written. */
import { type GivenInput, InputReaders } from './model/input.ts';
import { SES_V2 } from './model/models.ts';
import { OutputWriters } from './model/output.ts';

interface OperationWire {
  read(given: GivenInput): unknown;
  /** Reads an input that is in the query alone. */
  readQuery(query: GivenInput['query']): unknown;
  write(output: unknown): unknown;
}

/** Readers and writers by operation, each made at its first call. */
export class RestJson {
  readonly #readers = new InputReaders(SES_V2);
  readonly #writers: OutputWriters;
  readonly #known = new Map<string, OperationWire>();

  /** @param checkAnswers whether each answer is held against the model. */
  constructor(checkAnswers: boolean) {
    this.#writers = new OutputWriters(SES_V2, { check: checkAnswers });
  }

  of(operation: string): OperationWire {
    const before = this.#known.get(operation);
    if (before) return before;
    const { input, output } = SES_V2.operations[operation]!;
    const wire = {
      read: this.#readers.input(input),
      readQuery: this.#readers.textInput(input),
      write: this.#writers.output(output),
    };
    this.#known.set(operation, wire);
    return wire;
  }
}
