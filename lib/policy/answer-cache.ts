/** Earlier answers of the hooks that are asked for every delivery: equal facts, equal answer, for some seconds. */
import type { Answer, Facts, HookName } from './policy.ts';

/** Hooks whose answers are used again. */
export type CachedHook = 'onRoute' | 'onShape';

const KEYS: { [H in CachedHook]: (facts: Facts<H>) => string } = {
  onRoute: (f) =>
    `${f.tenant}\n${f.class}\n${f.pool}\n${f.domain}\n${f.site}\n${f.provider}\n${f.campaign}\n${f.configurationSet}`,
  onShape: (f) => `${f.tenant}\n${f.class}\n${f.pool}\n${f.ip}\n${f.site}\n${f.provider}`,
};

export interface CachedAnswer {
  answer: unknown;
  /** ms; later it is still used, and asked for anew. */
  freshUntil: number;
}

export class AnswerCache {
  readonly #max: number;
  readonly #answers: Record<CachedHook, Map<string, CachedAnswer>> = {
    onRoute: new Map(),
    onShape: new Map(),
  };

  /** @param max answers of a hook; then the oldest go. */
  constructor(max: number) {
    this.#max = max;
  }

  key<H extends CachedHook>(hook: H, facts: Facts<H>): string {
    return KEYS[hook](facts);
  }

  get<H extends CachedHook>(hook: H, key: string): (CachedAnswer & { answer: Answer<H> }) | undefined {
    return this.#answers[hook].get(key) as (CachedAnswer & { answer: Answer<H> }) | undefined;
  }

  set(hook: CachedHook, key: string, answer: CachedAnswer): void {
    const answers = this.#answers[hook];
    answers.delete(key);
    if (answers.size >= this.#max) answers.delete(answers.keys().next().value!);
    answers.set(key, answer);
  }

  clear(): void {
    for (const answers of Object.values(this.#answers)) answers.clear();
  }
}

export function isCached(hook: HookName): hook is CachedHook {
  return hook in KEYS;
}
