/** Shares of shared limits for tests that are not about their division. */
import { writeDivision } from '../../lib/shaping/division/stored.ts';
import type { Division } from '../../lib/shaping/division/terms.ts';
import type { ShareHost } from '../../lib/shaping/shared-bucket.ts';

/** A division with these members. */
export function division(change: Partial<Division> = {}): unknown {
  return writeDivision({
    epoch: 1,
    turn: 0,
    grants: new Map(),
    ended: new Map(),
    gone: [],
    spent: false,
    left: true,
    ...change,
  });
}

/** Grants at once. @param units how many, of those that are wanted. */
export function grantingHost(now: () => number, units = (want: number): number => want): ShareHost {
  let holders = 0;
  let epoch = 0;
  return {
    holder: () => ({ node: 'a', start: 0, holder: `${(holders += 1)}` }),
    ask: (holding, granted) => {
      const { want } = holding.report(now());
      holding.reported(now());
      epoch += 1;
      const grant = { number: epoch, units: units(want), pace: holding.limit };
      if (holding.apply(division({ epoch, grants: new Map([[holding.holder, grant]]) }), now()))
        granted?.(now());
    },
  };
}
