/**
 * Brings what was stored by an earlier version up to this one, once for a store: at the first use of what needs it,
 * and from where it was interrupted.
 */
import type { Config } from '../engine/ports.ts';

/** Key of the document that says how far it is; no list and no name begins so. */
const MARK = '!';
/** Documents between two marks, and of those at one time. */
const PAGE = 100;
const PARALLEL = 16;

/**
 * @param from kind whose documents `work` is done for; for some twice, when it was interrupted.
 * @param into kind that `work` writes.
 * @returns a function that resolves when it is done for all of them. @throws PosternError of the storage group.
 */
export function backfill<T>(
  config: Config,
  { from, into }: { from: string; into: string },
  work: (key: string, value: T) => Promise<void>,
): () => Promise<void> {
  let done: Promise<void> | undefined;

  async function run(): Promise<void> {
    const marker = await config.get(into, MARK);
    const state = marker?.value as { after?: string; complete?: boolean } | undefined;
    if (state?.complete) return;
    for (let after = state?.after; ; ) {
      const page = await config.list(from, { after, max: PAGE });
      const next = page.values();
      const worker = async (): Promise<void> => {
        for (const { key, value } of next) await work(key, value as T);
      };
      await Promise.all(Array.from({ length: PARALLEL }, worker));
      after = page.at(-1)?.key;
      if (page.length < PAGE) break;
      await config.put(into, MARK, { after });
    }
    await config.put(into, MARK, { complete: true });
  }

  return () => {
    done ??= run().catch((error: unknown) => {
      done = undefined;
      throw error;
    });
    return done;
  };
}
