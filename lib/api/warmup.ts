/** Where the warm-up of each IP stands, over the API. */
import { AddressBook } from '../control/ip-inventory.ts';
import { asPosternError } from '../errors.ts';
import { checkpointName, readCheckpoint } from '../warmup/checkpoint.ts';
import type { WarmupPlan } from '../warmup/plan.ts';
import { sesWarmup } from '../warmup/ses.ts';
import { storedStatus } from '../warmup/status.ts';
import { type Call, type Handler, requireAdmin } from './operation.ts';

export const listWarmup: Handler = async (call) => {
  requireAdmin(call, 'see the warm-up of addresses');
  const { control, installed } = call.deps;
  const book = new AddressBook(control.documents, installed);
  const { ip: only } = call.query;
  const ips = only === undefined ? book.ips.sort() : [book.requireIp(only)];
  const shown = ips.map(async (ip) => ({
    ip,
    pools: book.poolsOf(ip),
    ...(await stateOf(ip, book.plans.get(ip), call)),
  }));
  return { status: 200, body: { ips: await Promise.all(shown) } };
};

async function stateOf(ip: string, plan: WarmupPlan | undefined, { deps }: Call): Promise<object> {
  if (plan === undefined) return { warm: true, percentage: 100, providers: [] };
  const stored = await deps.engine.leases.checkpoint(checkpointName(ip));
  try {
    const checkpoint = stored === undefined ? undefined : readCheckpoint(stored, ip);
    const { WarmupStatus, WarmupPercentage: percentage } = sesWarmup(plan, checkpoint);
    const status = storedStatus(ip, plan, stored, deps.clock.now());
    const providers = Object.entries(status).map(([provider, one]) => ({ provider, ...one }));
    return { warm: WarmupStatus === 'DONE', percentage, providers };
  } catch (error) {
    // One that cannot be read sends nothing; the others are still to be seen.
    return { warm: false, percentage: 0, providers: [], problem: asPosternError(error).message };
  }
}
