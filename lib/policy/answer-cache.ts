/** Caches the answers of the hooks that run for every delivery: equal facts, equal answer, for some seconds. */
import { Cache } from '../cache.ts';
import type { Facts, HookAnswer, HookName } from './policy.ts';

/** Hooks whose answers are cached. */
export type CachedHook = 'onRoute' | 'onShape';

const KEYS: { [H in CachedHook]: (facts: Facts<H>) => string } = {
  onRoute: (f) =>
    `${f.tenant}\n${f.class}\n${f.pool}\n${f.domain}\n${f.site}\n${f.provider}\n${f.campaign}\n${f.configurationSet}`,
  onShape: (f) => `${f.tenant}\n${f.class}\n${f.pool}\n${f.ip}\n${f.site}\n${f.provider}`,
};

export interface CachedAnswer {
  answer: unknown;
  /** End of freshness, ms; a later use returns the answer and requests a new one. */
  freshUntil: number;
}

export class AnswerCache {
  readonly #answers: Record<CachedHook, Cache<string, CachedAnswer>>;

  /** @param max number of answers of a hook. */
  constructor(max: number) {
    this.#answers = { onRoute: new Cache(max), onShape: new Cache(max) };
  }

  key<H extends CachedHook>(hook: H, facts: Facts<H>): string {
    return KEYS[hook](facts);
  }

  get<H extends CachedHook>(hook: H, key: string): (CachedAnswer & { answer: HookAnswer<H> }) | undefined {
    return this.#answers[hook].get(key) as (CachedAnswer & { answer: HookAnswer<H> }) | undefined;
  }

  set(hook: CachedHook, key: string, answer: CachedAnswer): void {
    this.#answers[hook].set(key, answer);
  }

  clear(): void {
    for (const answers of Object.values(this.#answers)) answers.clear();
  }
}

export function isCached(hook: HookName): hook is CachedHook {
  return hook in KEYS;
}
