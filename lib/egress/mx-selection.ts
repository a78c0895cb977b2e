/** Which address of a site a path connects to next. */
import type { FamilyOrder } from '../shaping/limits/limit.ts';
import type { Random } from '../time.ts';
import type { Target } from './destination.ts';

/** Whether a target can be reached from a source of an address family (0: either). */
export function reaches(target: Target, family: 0 | 4 | 6): boolean {
  return family === 0 || target.family === family;
}

/** Remembers which targets failed lately, and chooses among the others. */
export class MxSelector {
  readonly #family: 0 | 4 | 6;
  readonly #random: Random;
  /** Address and port to the end of its time out. */
  readonly #faulty = new Map<string, number>();

  /** @param family address family of the source; 0 for either. */
  constructor(family: 0 | 4 | 6, random: Random) {
    this.#family = family;
    this.#random = random;
  }

  /**
   * RFC 5321 §5.1: the most preferred host that works; among equals, any, so that they share the load.
   * @param order of address families of one preference.
   * @returns undefined when none is left.
   */
  pick(targets: readonly Target[], now: number, order: FamilyOrder): Target | undefined {
    const first = order.startsWith('ipv4') ? 4 : 6;
    const alone = order === 'ipv4' || order === 'ipv6';
    let best: Target[] = [];
    for (const target of targets) {
      if (!reaches(target, this.#family) || (alone && target.family !== first)) continue;
      if ((this.#faulty.get(keyOf(target)) ?? 0) > now) continue;
      const lead = best[0] ?? target;
      const rank =
        target.preference - lead.preference ||
        Number(target.family !== first) - Number(lead.family !== first);
      if (rank < 0) best = [target];
      else if (rank === 0) best.push(target);
    }
    return best[Math.floor(this.#random() * best.length)];
  }

  failure(target: Target, until: number): void {
    this.#faulty.set(keyOf(target), until);
  }

  success(target: Target): void {
    this.#faulty.delete(keyOf(target));
  }

  /** All may be tried again. */
  reset(): void {
    this.#faulty.clear();
  }
}

function keyOf(target: Target): string {
  return `${target.address}:${target.port}`;
}
