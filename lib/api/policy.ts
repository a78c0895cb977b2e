/** State of the policy in TypeScript: what runs, what was refused and why, and figures of each hook. */
import * as z from 'zod/mini';
import { iso, operation, requireAdmin } from './operation.ts';
import { about, integer, named, positive, text, time } from './schema.ts';

const PolicyState = named(
  'PolicyState',
  z.strictObject({
    file: z.optional(text('The file that is watched, or that was deployed; absent: this process has none.')),
    loadedAt: z.optional(time('When the policy that runs was loaded; absent: none runs.')),
    loads: integer('Policies that have run since the start.'),
    refused: z.optional(
      z
        .strictObject({ at: time('When.'), message: text('Why.') })
        .check(about('What was saved last is refused; the policy before it goes on running.')),
    ),
    disabled: z.optional(text('Why no hook is called any more.')),
    restarts: integer('How often its thread had to be stopped or died.'),
    skipped: integer(
      'Calls that were not made because too many waited, or not waited for; mail went on without.',
    ),
    hooks: z.array(
      z.strictObject({
        name: text(),
        calls: integer('Calls that ended.'),
        reused: integer('Calls that were answered from memory.'),
        failures: integer('Calls that threw, or whose answer is invalid or cannot be carried out.'),
        overruns: integer('Calls that took more than their time.'),
        meanMicroseconds: positive('Of a call.'),
        disabled: z.optional(text('Why it is not called any more, until the file is saved again.')),
        lastFailure: z.optional(z.strictObject({ at: time('When.'), message: text('What.') })),
      }),
    ),
  }),
);

const getPolicy = operation({
  method: 'get',
  path: '/policy',
  operationId: 'getPolicy',
  summary: "How the policy in TypeScript fares (administrator's key)",
  answer: {
    status: 200,
    description: 'What runs, what was refused, and what each hook does.',
    schema: PolicyState,
    example: {
      file: 'postern.policy.ts',
      loadedAt: '2026-01-01T00:00:00.000Z',
      loads: 1,
      restarts: 0,
      skipped: 0,
      hooks: [{ name: 'onRoute', calls: 12, reused: 480, failures: 0, overruns: 0, meanMicroseconds: 3.4 }],
    },
  },
  handle(call) {
    requireAdmin(call, 'see the policy');
    const state = call.deps.policy?.state();
    if (state === undefined) return { body: { loads: 0, restarts: 0, skipped: 0, hooks: [] } };
    return {
      body: {
        ...state,
        loadedAt: iso(state.loadedAt),
        refused: dated(state.refused),
        hooks: state.hooks.map((hook) => ({ ...hook, lastFailure: dated(hook.lastFailure) })),
      },
    };
  },
});

export const POLICY = [getPolicy];

function dated(event: { at: number; message: string } | undefined) {
  return event && { at: iso(event.at), message: event.message };
}
