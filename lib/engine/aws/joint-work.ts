/**
 * Joins calls into batches: while one call is under way, what comes meanwhile waits and goes with the next. A joint
 * call that fails is repeated for the elements of each caller, so that an error is the caller's own; the work must bear
 * being repeated.
 */
interface JointPart<T> {
  list: readonly T[];
  resolve: () => void;
  reject: (error: unknown) => void;
}

export class JointWork<T> {
  readonly #work: (list: readonly T[]) => Promise<void>;
  #waiting: JointPart<T>[] = [];
  #running = false;

  constructor(work: (list: readonly T[]) => Promise<void>) {
    this.#work = work;
  }

  /** Resolves when the work is done for all of the list. */
  run(list: readonly T[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ list, resolve, reject });
      if (!this.#running) void this.#runAll();
    });
  }

  async #runAll(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const parts = this.#waiting;
      this.#waiting = [];
      try {
        await this.#work(parts.flatMap(({ list }) => list));
        for (const { resolve } of parts) resolve();
      } catch (error) {
        if (parts.length === 1) parts[0]!.reject(error);
        else for (const { list, resolve, reject } of parts) await this.#work(list).then(resolve, reject);
      }
    }
    this.#running = false;
  }
}
