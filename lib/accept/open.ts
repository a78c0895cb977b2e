/**
 * The accept pipeline over a shared engine, for the HTTP API on Lambda and for the submission service. Accepted
 * deliveries are counted by lane.
 */

import { Contacts } from '../contacts/contacts.ts';
import { openControl } from '../control/control.ts';
import { poolsWithLanes } from '../control/ip-inventory.ts';
import type { Control } from '../control/types.ts';
import type { Engine, Queue } from '../engine/ports.ts';
import type { ErrorCode } from '../errors.ts';
import { createReferences } from '../mail/message-reference.ts';
import { createReturnPaths } from '../mail/return-path.ts';
import { createSigner } from '../mail/signer.ts';
import { createUnsubscribeAddresses } from '../mail/unsubscribe-address.ts';
import type { MailMetrics } from '../observe/mail-metrics.ts';
import type { Policy } from '../policy/open.ts';
import { type Clock, DAY, type Random } from '../time.ts';
import { createTrackingLinks } from '../tracking/links.ts';
import { createUnsubscribeLinks } from '../tracking/unsubscribe-links.ts';
import { createAccept } from './accept.ts';
import type { BulkDeps } from './deps.ts';
import { SendingMeter } from './limits.ts';
import type { Accept, SubmitOptions } from './types.ts';

/** Maximum recipients of one message, as with SES. */
export const MAX_RECIPIENTS = 50;
const MAX_AGE = 4 * DAY;
/** How far ahead a message may be scheduled, ms. */
export const MAX_SCHEDULE = 30 * DAY;

/** Settings of the pipeline on a stage. */
export interface PipelineSettings {
  /** Pools that have lanes. */
  pools: readonly string[];
  /** Domain of return paths where an identity has no MAIL FROM domain. */
  returnPathDomain: string;
  /** See `AcceptPolicy.cosignDomain`. */
  cosignDomain?: string;
  /** Zone of the keys of Easy DKIM, which another process writes; absent: there is none. */
  dkimZone?: string;
  /** URL of the tracking endpoint; absent: this service has none of its own. */
  trackingUrl?: string;
  region: string;
  accountId: string;
}

export interface PipelineOptions {
  engine: Engine;
  settings: PipelineSettings;
  /** Key that seals the secrets of control, 32 bytes. */
  masterKey: Buffer;
  /** Key that signs return paths and references, 32 bytes. */
  returnPathKey: Buffer;
  /** Key that signs the links that report opens and clicks, 32 bytes. */
  trackingKey: Buffer;
  clock: Clock;
  random: Random;
  metrics: MailMetrics;
  /** Maximum size of one message through this protocol, bytes. */
  maxMessageBytes: number;
  /** The policy in TypeScript; absent: none was deployed. */
  policy?: Policy;
  /** Checks of bulk mail; absent: none is checked. */
  bulk?: BulkDeps;
  /** Called for each submission with `accepted` or the code of the error. Must not throw. */
  onResult?: (door: SubmitOptions['door'], result: 'accepted' | ErrorCode) => void;
}

export interface AcceptPipeline {
  accept: Accept;
  control: Control;
  /** Ends the signer and control. The engine and the policy stay open: their openers close them. */
  close(): Promise<void>;
}

export async function openPipeline(options: PipelineOptions): Promise<AcceptPipeline> {
  const { engine, settings, masterKey, clock, random, metrics, maxMessageBytes, policy, onResult } = options;
  const { pools, returnPathDomain, cosignDomain, dkimZone, trackingUrl, region, accountId } = settings;
  const control = await openControl({
    config: engine.config,
    keyUse: { rows: engine.rows, random },
    masterKey,
    clock,
    verifyIdentities: true,
    bounces: { domain: returnPathDomain },
    dkimZone: dkimZone === undefined ? undefined : { name: dkimZone, elsewhere: true },
  });
  const signer = createSigner();
  const accept = createAccept({
    engine: { ...engine, queue: counted(engine.queue, metrics) },
    control,
    contacts: new Contacts(engine.rows, clock),
    signer,
    returnPaths: createReturnPaths(options.returnPathKey),
    references: createReferences(options.returnPathKey),
    tracking: { links: createTrackingLinks(options.trackingKey), url: trackingUrl },
    unsubscribe: {
      links: createUnsubscribeLinks(options.trackingKey),
      addresses: createUnsubscribeAddresses(options.returnPathKey),
    },
    meter: new SendingMeter({ rows: engine.rows, clock, alone: false }),
    clock,
    random,
    region,
    accountId,
    policy: {
      maxMessageBytes,
      maxRecipients: MAX_RECIPIENTS,
      maxAge: MAX_AGE,
      maxSchedule: MAX_SCHEDULE,
      hasPool: poolsWithLanes(control.documents, pools),
      group: (domain) => control.laneGroups.group(domain),
      returnPathDomain: () => returnPathDomain,
      cosignDomain,
      // The role of the function of outcomes may not send.
      forwardsFeedback: false,
    },
    hooks: policy,
    bulk: options.bulk,
    onResult,
  });
  return {
    accept,
    control,
    async close() {
      await signer.close();
      await control.close();
    },
  };
}

/** Wraps the queue and counts admitted deliveries by lane. */
function counted(queue: Queue, metrics: MailMetrics): Pick<Queue, 'admit'> {
  return {
    async admit(messages, claim) {
      const result = await queue.admit(messages, claim);
      if (result.kind === 'admitted') for (const { deliveries } of messages) metrics.accepted(deliveries);
      return result;
    },
  };
}
