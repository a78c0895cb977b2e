/** The accept pipeline of standalone, and the keys of the secrets in messages. */
import { hkdfSync } from 'node:crypto';
import { createAccept } from '../../lib/accept/accept.ts';
import { SendingMeter } from '../../lib/accept/limits.ts';
import { MAX_SCHEDULE } from '../../lib/accept/open.ts';
import type { Accept } from '../../lib/accept/types.ts';
import { Contacts } from '../../lib/contacts/contacts.ts';
import type { Control } from '../../lib/control/types.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import { createResultLinks } from '../../lib/jobs/result-links.ts';
import type { Log } from '../../lib/log.ts';
import { createReferences, type MessageReferences } from '../../lib/mail/message-reference.ts';
import { createReportMailboxes, type ReportMailboxes } from '../../lib/mail/report-mailbox.ts';
import { createReturnPaths, type ReturnPaths } from '../../lib/mail/return-path.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import { createUnsubscribeAddresses, type UnsubscribeAddresses } from '../../lib/mail/unsubscribe-address.ts';
import { AcceptedCounts } from '../../lib/statistics/accepted.ts';
import { type Clock, DAY, type Random } from '../../lib/time.ts';
import { createTrackingLinks, type TrackingLinks } from '../../lib/tracking/links.ts';
import { createUnsubscribeLinks, type UnsubscribeLinks } from '../../lib/tracking/unsubscribe-links.ts';
import { createVerificationLinks } from '../../lib/tracking/verification-links.ts';
import type { Settings } from '../settings.ts';
import type { DeliveryParts } from './delivery.ts';

export interface AcceptOptions {
  /** Settings in force: a reload replaces them. */
  settings: () => Settings;
  engine: Engine;
  control: Control;
  masterKey: Buffer;
  delivery: Pick<DeliveryParts, 'egress' | 'policy' | 'metrics' | 'bulk'>;
  clock: Clock;
  random: Random;
  log: Log;
}

export interface AcceptParts {
  accept: Accept;
  /** What names deliveries and messages in mail that comes back. */
  tokens: {
    returnPaths: ReturnPaths;
    references: MessageReferences;
    unsubscribeAddresses: UnsubscribeAddresses;
    reportMailboxes: ReportMailboxes;
  };
  links: TrackingLinks;
  unsubscribeLinks: UnsubscribeLinks;
  /** Links that lead to the API. */
  apiLinks: Pick<ApiDeps, 'verification' | 'results'>;
}

/** Opens the pipeline. The stack closes its signer, and writes what was counted last. */
export function openAccept(
  { settings: current, engine, control, masterKey, delivery, clock, random, log }: AcceptOptions,
  stack: AsyncDisposableStack,
): AcceptParts {
  const { egress, policy, metrics } = delivery;
  const settings = current();
  const returnPathKey = derive(masterKey, 'return path');
  const returnPaths = createReturnPaths(returnPathKey);
  const references = createReferences(returnPathKey);
  const unsubscribeAddresses = createUnsubscribeAddresses(returnPathKey);
  const reportMailboxes = createReportMailboxes(returnPathKey);
  const trackingKey = derive(masterKey, 'tracking');
  const links = createTrackingLinks(trackingKey);
  const unsubscribeLinks = createUnsubscribeLinks(trackingKey);
  const counts = stack.adopt(new AcceptedCounts({ rows: engine.rows, clock, log }), (one) => one.stop());
  const accept = createAccept({
    engine: { ...engine, queue: counts.counting(engine.queue) },
    control,
    contacts: new Contacts(engine.rows, clock),
    signer: stack.adopt(createSigner(), (one) => one.close()),
    returnPaths,
    references,
    tracking: { links, url: settings.tracking?.url },
    unsubscribe: { links: unsubscribeLinks, addresses: unsubscribeAddresses },
    meter: new SendingMeter({ rows: engine.rows, clock, alone: true }),
    clock,
    random,
    region: settings.region,
    accountId: settings.accountId,
    policy: {
      maxMessageBytes: settings.maxMessageBytes,
      maxRecipients: settings.maxRecipients,
      maxAge: settings.maxAgeDays * DAY,
      maxSchedule: MAX_SCHEDULE,
      hasPool: (name, sender) => egress.hasPool(name, sender),
      group: (domain) => control.laneGroups.group(domain),
      returnPathDomain: (fromDomain) => current().returnPathDomain ?? fromDomain,
      cosignDomain: settings.cosignDomain,
      forwardsFeedback: true,
    },
    hooks: policy,
    bulk: {
      check: delivery.bulk,
      onFaults(mode, faults) {
        for (const fault of faults) metrics.bulkFaults.inc({ fault, mode });
      },
    },
    onResult: (door, result) => metrics.accepted.inc({ door, result }),
  });
  return {
    accept,
    tokens: { returnPaths, references, unsubscribeAddresses, reportMailboxes },
    links,
    unsubscribeLinks,
    apiLinks: {
      verification: { links: createVerificationLinks(trackingKey), url: () => settings.tracking?.url },
      results: {
        links: createResultLinks(trackingKey),
        url: (host) => `${settings.apiTls ? 'https' : 'http'}://${host}`,
      },
    },
  };
}

/** Derives a separate secret for each use, so that a leaked one opens nothing else. */
function derive(masterKey: Buffer, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), `postern ${use}`, 32));
}
