/**
 * Whether DNS works, judged from the questions that mail asks. One name whose servers are down proves nothing; when
 * questions about several names in a row end without an answer from any server, the resolver is out of reach.
 *
 * ```
 *  up ── MIN_FAILED questions in a row unanswered ──► down ── any answer ──► up
 * ```
 */

/** Questions in a row about different names. */
const MIN_FAILED = 5;

export interface DnsHealth {
  ok: boolean;
  /** Why it is down. */
  text?: string;
}

export class DnsWatch {
  readonly #failed = new Set<string>();
  #text = '';

  answered(): void {
    if (this.#failed.size > 0) this.#failed.clear();
  }

  failed(name: string, text: string): void {
    if (this.#failed.size < MIN_FAILED) this.#failed.add(name);
    this.#text = text;
  }

  health(): DnsHealth {
    if (this.#failed.size < MIN_FAILED) return { ok: true };
    return {
      ok: false,
      text: `The last ${MIN_FAILED} names that were asked for got no answer. The last: ${this.#text}`,
    };
  }
}
