/** A look-up that the API refuses is shown on its page, where the query can be corrected. */
import type { Markup } from '../page.ts';
import { problem } from '../parts.ts';
import { ApiFailure } from '../v1.ts';

/** @throws ApiFailure unless the caller's words are at fault, or the installation cannot answer. */
export async function sought<T>(
  ask: () => Promise<T>,
  also: readonly number[] = [],
): Promise<{ found?: T; refused: Markup | string }> {
  try {
    return { found: await ask(), refused: '' };
  } catch (error) {
    if (error instanceof ApiFailure && (error.status === 400 || also.includes(error.status)))
      return { refused: problem(error) };
    throw error;
  }
}
