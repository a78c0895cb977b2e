import { type ControlOptions, openControl } from '../../lib/control/control.ts';
import type { Control } from '../../lib/control/types.ts';
import { TestClock } from './clock.ts';
import { TestConfig } from './engine.ts';

/** A master key for tests. */
export const MASTER_KEY = Buffer.alloc(32, 7);

/** A control room over a config port in memory, by default without DNS proof. */
export async function openTestControl(
  options: Partial<ControlOptions> & { config?: TestConfig; clock?: TestClock } = {},
): Promise<{ control: Control; config: TestConfig; clock: TestClock }> {
  const config = options.config ?? new TestConfig();
  const clock = options.clock ?? new TestClock();
  const control = await openControl({
    masterKey: MASTER_KEY,
    verifyIdentities: false,
    ...options,
    config,
    clock,
  });
  return { control, config, clock };
}

/** Predicate for `assert.rejects` and `assert.throws`: a PosternError of this code whose message matches. */
export function failure(code: string, message = /./) {
  return (error: unknown): boolean => {
    const { code: actual, message: text } = error as { code?: string; message: string };
    if (actual !== code || !message.test(text)) throw error;
    return true;
  };
}
