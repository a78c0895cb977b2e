/** Validates a hook's answer, and copies it, so that only plain known values leave the policy's thread. */

import { readAction, readLimits, readName } from '../directives/check.ts';
import { DIMENSIONS } from '../directives/directive.ts';
import { optional, readChoice, readList, readNumber, readObject, readText, refuse } from '../document.ts';
import type { AcceptAnswer, HookName, ReplyAnswer } from './policy.ts';

const CLASSES = ['transactional', 'bulk'] as const;
const STATES = ['deferred', 'bounced'] as const;
/** Maximum of a delay: thirty days, s. */
const LONGEST = 30 * 86_400;
const WAIT = { min: 0, max: LONGEST };
/** A delivery that is tried again at once would be tried without end. */
const RETRY = { min: 1, max: LONGEST };

/** @returns the answer; undefined for none. @throws PosternError `bad_request` with the path of the fault. */
export function readAnswer(hook: HookName, value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  if (typeof (value as { then?: unknown }).then === 'function') {
    refuse(hook, 'answered a promise; hooks answer at once.');
  }
  return READERS[hook](value, hook);
}

const READERS: Record<HookName, (value: unknown, path: string) => unknown> = {
  onAccept(value, path): AcceptAnswer {
    const given = readObject(value, path, ['refuse', 'class', 'pool', 'campaign', 'delaySeconds']);
    if (given.refuse !== undefined) {
      readObject(value, path, ['refuse']);
      return { refuse: readText(given.refuse, `${path}.refuse`) };
    }
    return {
      class: optional(given.class, `${path}.class`, undefined, (one, at) => readChoice(one, at, CLASSES)),
      pool: optional(given.pool, `${path}.pool`, undefined, readName),
      campaign: optional(given.campaign, `${path}.campaign`, undefined, readName),
      delaySeconds: optional(given.delaySeconds, `${path}.delaySeconds`, undefined, (one, at) =>
        readNumber(one, at, WAIT),
      ),
    };
  },

  onRoute(value, path) {
    return { pool: readName(readObject(value, path, ['pool']).pool, `${path}.pool`) };
  },

  onShape: readLimits,

  onReply(value, path): ReplyAnswer {
    const given = readObject(value, path, ['state', 'retryAfterSeconds', 'directive']);
    const state = optional(given.state, `${path}.state`, undefined, (one, at) => readChoice(one, at, STATES));
    if (state === 'bounced' && given.retryAfterSeconds !== undefined) {
      refuse(`${path}.retryAfterSeconds`, 'contradicts the state "bounced", which is not tried again.');
    }
    return {
      state,
      retryAfterSeconds: optional(
        given.retryAfterSeconds,
        `${path}.retryAfterSeconds`,
        undefined,
        (one, at) => readNumber(one, at, RETRY),
      ),
      directive: optional(given.directive, `${path}.directive`, undefined, readDirective),
    };
  },
};

function readDirective(value: unknown, path: string): ReplyAnswer['directive'] {
  const given = readObject(value, path, ['scope', 'action', 'seconds', 'reason']);
  const scope = readList(given.scope, `${path}.scope`, (one, at) => readChoice(one, at, DIMENSIONS));
  if (scope.length === 0) refuse(`${path}.scope`, 'is empty; name at least one dimension.');
  return {
    scope,
    action: readAction(given.action, `${path}.action`),
    seconds: readNumber(given.seconds, `${path}.seconds`, { min: 1, max: LONGEST }),
    reason: readText(given.reason, `${path}.reason`),
  };
}
