/** The HTTP API on Lambda: accept and control over an engine, behind the same application as everywhere. */
import { createAccept } from '../../lib/accept/accept.ts';
import { openControl } from '../../lib/control/control.ts';
import type { Admission, AdmitResult, Engine, IdempotencyClaim, Queue } from '../../lib/engine/ports.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import { createMailMetrics, type MailMetrics } from '../../lib/observe/mail-metrics.ts';
import { laneGroup } from '../../lib/shaping/providers.ts';
import type { Clock, Random } from '../../lib/time.ts';
import packageJson from '../../package.json' with { type: 'json' };
import type { ApiSettings } from '../environment.ts';
import type { Output } from '../output.ts';
import { createApi } from './app.ts';
import type { Fetch } from './function-url.ts';

const DAY = 86_400_000;

/**
 * Bytes of a message: what fits, in base64 inside JSON, into the 6 MB that Lambda hands to a function.
 * Larger messages are submitted to a server that takes them.
 */
const MAX_MESSAGE = 4 * 1024 * 1024;
/** As with SES. */
const MAX_RECIPIENTS = 50;
const MAX_AGE = 4 * DAY;
const MAX_SCHEDULE = 30 * DAY;
/** Metrics are written so often at most: a line for every call would cost more than the call. */
const METRICS_INTERVAL = 1_000;

export interface ServiceOptions {
  engine: Engine;
  settings: ApiSettings & { region: string };
  /** 32 bytes: seals the secrets of control. */
  masterKey: Buffer;
  /** 32 bytes: signs return paths. */
  returnPathKey: Buffer;
  clock: Clock;
  random: Random;
  output: Output;
}

/** Opens the API. */
export async function openService(options: ServiceOptions): Promise<Fetch> {
  const { engine, settings, masterKey, clock, random, output } = options;
  const { pools, returnPathDomain, region, accountId, hostname } = settings;
  const metrics = createMailMetrics(output.emf);
  const control = await openControl({ config: engine.config, masterKey, clock, verifyIdentities: true });
  const accept = createAccept({
    engine: { queue: counted(engine.queue, metrics), records: engine.records },
    control,
    signer: createSigner(),
    returnPaths: createReturnPaths(options.returnPathKey),
    clock,
    random,
    region,
    policy: {
      maxMessageBytes: MAX_MESSAGE,
      maxRecipients: MAX_RECIPIENTS,
      maxAge: MAX_AGE,
      maxSchedule: MAX_SCHEDULE,
      hasPool: (name) => pools.includes(name),
      group: laneGroup,
      returnPathDomain: (identity) => identity.mailFromDomain ?? returnPathDomain,
    },
  });
  const app = createApi({
    accept,
    control,
    engine,
    clock,
    region,
    accountId,
    hostname,
    version: packageJson.version,
    log: output.log,
    limits: { messageBytes: MAX_MESSAGE },
  });
  let written = 0;
  return async (request, env) => {
    const response = await app.fetch(request, env);
    const now = clock.now();
    if (now - written >= METRICS_INTERVAL) {
      written = now;
      metrics.flush();
    }
    return response;
  };
}

/** The queue, with what it takes in counted by lane. */
function counted(queue: Queue, metrics: MailMetrics): Queue {
  return {
    admit: async (messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> => {
      const result = await queue.admit(messages, claim);
      if (result.kind === 'admitted') for (const { deliveries } of messages) metrics.accepted(deliveries);
      return result;
    },
    lease: (request) => queue.lease(request),
    settle: (settlements) => queue.settle(settlements),
    extend: (leased, visibility) => queue.extend(leased, visibility),
    lanes: () => queue.lanes(),
  };
}
