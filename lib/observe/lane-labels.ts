/** Labels of a lane, in a bounded number: a series is kept for each combination, and there may be 10,000 pools. */
import type { LaneName } from '../engine/items.ts';

/** Pools that have series of their own. */
export const MAX_POOLS = 50;
/** Stands for the pools beyond: no pool has this name. */
const REST = '*';

export type LaneLabel = Record<'pool' | 'class' | 'group', string>;

export class LaneLabels {
  readonly #pools = new Set<string>();

  /** The pools that come first keep their own series. */
  of(lane: LaneName): LaneLabel {
    const [pool = '', cls = '', group = ''] = lane.split(':');
    if (!this.#pools.has(pool) && this.#pools.size < MAX_POOLS) this.#pools.add(pool);
    return { pool: this.#pools.has(pool) ? pool : REST, class: cls, group };
  }
}
