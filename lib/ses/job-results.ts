/** What import and export jobs have in common: where they are kept, and links to their results. */
import type { StoredJob } from '../contacts/transfer/job-rows.ts';
import { RESULT_AGE } from '../engine/files.ts';
import { Jobs } from '../jobs/jobs.ts';
import { HOUR } from '../time.ts';
import type { Call } from './operation.ts';

/** How long a link to a result serves, ms. */
const LINK_LIFE = HOUR;

export function jobsOf({ deps }: Call): Jobs {
  return new Jobs(deps.engine.rows, deps.clock);
}

/** A signed URL of the result of a job; undefined when there is none, or none any more. */
export async function resultLink(
  { result, completedAt = 0 }: Pick<StoredJob, 'result' | 'completedAt'>,
  { deps, host }: Call,
): Promise<string | undefined> {
  const { engine, clock, results } = deps;
  const now = clock.now();
  if (result === undefined || now >= completedAt + RESULT_AGE) return undefined;
  const own = await engine.files.results.link(result, LINK_LIFE);
  return own ?? (results && `${results.url(host)}${results.links.make(result, now + LINK_LIFE)}`);
}
