/**
 * Links to results, where the store of files has none of its own:
 *
 *     /t/r/<token>      sealed: name of the file, when the link ends
 */
import { TRACKING_PATH } from '../tracking/links.ts';
import { createSeal } from '../tracking/seal.ts';

const PATH = /^\/t\/r\/([\w-]{40,2048})$/;
const BOUND = 'result';

export interface ResultLinks {
  make(name: string, expiresAt: number): string;
  /** Undefined when it was not made here, was altered, or has ended. */
  read(path: string, now: number): string | undefined;
}

export function createResultLinks(secret: Buffer): ResultLinks {
  const seal = createSeal(secret, 'result');
  return {
    make: (name, expiresAt) =>
      `${TRACKING_PATH}/r/${seal.close(Buffer.from(JSON.stringify([name, expiresAt])), BOUND)}`,
    read(path, now) {
      const match = PATH.exec(path);
      const content = match && seal.open(match[1]!, BOUND);
      if (!content) return undefined;
      const [name, expiresAt] = JSON.parse(content.toString()) as [string, number];
      return expiresAt > now ? name : undefined;
    },
  };
}
