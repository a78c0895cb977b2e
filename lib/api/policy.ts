/** How the policy in TypeScript fares: what runs, what was refused and why, what its hooks do. */
import { type Handler, iso, requireAdmin } from './operation.ts';

export const getPolicy: Handler = (call) => {
  requireAdmin(call, 'see the policy');
  const state = call.deps.policy?.state();
  if (state === undefined) return { status: 200, body: { loads: 0, restarts: 0, skipped: 0, hooks: [] } };
  return {
    status: 200,
    body: {
      ...state,
      loadedAt: state.loadedAt === undefined ? undefined : iso(state.loadedAt),
      refused: told(state.refused),
      hooks: state.hooks.map((hook) => ({ ...hook, lastFailure: told(hook.lastFailure) })),
    },
  };
};

function told(event: { at: number; message: string } | undefined) {
  return event && { at: iso(event.at), message: event.message };
}
