/**
 * Whether something that is used all the time works at all, judged from its use. One destination that fails proves
 * nothing; when several in a row fail, and none works, the fault is on this side.
 *
 * ```
 *  up ── `limit` different destinations failed in a row ──► down ── any success ──► up
 * ```
 */
export interface Health {
  ok: boolean;
  /** Reason of the failure. */
  text?: string;
}

export class FailureStreak {
  readonly #limit: number;
  readonly #describe: (last: string) => string;
  readonly #failed = new Set<string>();
  #last = '';

  /** @param describe the sentence for a person, from the text of the last failure. */
  constructor(limit: number, describe: (last: string) => string) {
    this.#limit = limit;
    this.#describe = describe;
  }

  succeeded(): void {
    if (this.#failed.size > 0) this.#failed.clear();
  }

  failed(destination: string, text: string): void {
    if (this.#failed.size < this.#limit) this.#failed.add(destination);
    this.#last = text;
  }

  health(): Health {
    return this.#failed.size < this.#limit ? { ok: true } : { ok: false, text: this.#describe(this.#last) };
  }
}
