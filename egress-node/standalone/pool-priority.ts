/**
 * Lets signatures yield to the event loop. Four pool threads that sign on two cores would each get as much of them as
 * the one thread on which everything else depends; it would then run alone while a core stood idle (a tenth to a
 * fifth of the throughput when measured). Linux schedules threads by their own nice value, and the pool's threads are
 * recognised by their name.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** Nice value of the pool: about a tenth of the event loop's share while both want to run. */
const POOL_NICE = 10;

/**
 * Lowers the priority of libuv's pool threads, which must have been started (any file read does). Only Linux is
 * affected.
 * @returns the number of threads found.
 */
export function lowerPoolPriority(): number {
  let found = 0;
  try {
    for (const thread of readdirSync('/proc/self/task')) {
      if (readFileSync(`/proc/self/task/${thread}/comm`, 'latin1').trim() !== 'libuv-worker') continue;
      setPriority(Number(thread), POOL_NICE);
      found++;
    }
  } catch {
    // No /proc, or no permission to change the priority: only slower under load.
  }
  return found;
}
