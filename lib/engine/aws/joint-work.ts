/**
 * Joins calls into batches, because each request costs more processor time than all of its entries, and some are billed
 * by the request: the first call waits a moment for others, unless there is enough already. A joint call that fails is
 * repeated for the elements of each caller, so that an error is the caller's own; the work must bear being repeated.
 */
import type { Clock } from '../../time.ts';

interface JointPart<T> {
  list: readonly T[];
  resolve: () => void;
  reject: (error: unknown) => void;
}

export interface JointOptions<T> {
  work: (list: readonly T[]) => Promise<void>;
  clock: Pick<Clock, 'after'>;
  /** Maximum wait for other calls, ms. */
  wait: number;
  /** Number of elements that wait for no more. */
  enough: number;
}

export class JointWork<T> {
  readonly #options: JointOptions<T>;
  #waiting: JointPart<T>[] = [];
  #elements = 0;
  #stopWaiting: (() => void) | undefined;

  constructor(options: JointOptions<T>) {
    this.#options = options;
  }

  /** Resolves when the work is done for all of the list. */
  run(list: readonly T[]): Promise<void> {
    const { clock, wait, enough } = this.#options;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ list, resolve, reject });
      this.#elements += list.length;
      if (this.#elements >= enough) void this.#begin();
      else this.#stopWaiting ??= clock.after(wait, () => void this.#begin());
    });
  }

  async #begin(): Promise<void> {
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    const parts = this.#waiting;
    this.#waiting = [];
    this.#elements = 0;
    const { work } = this.#options;
    try {
      await work(parts.flatMap(({ list }) => list));
      for (const { resolve } of parts) resolve();
    } catch (error) {
      if (parts.length === 1) parts[0]!.reject(error);
      else for (const { list, resolve, reject } of parts) await work(list).then(resolve, reject);
    }
  }
}
