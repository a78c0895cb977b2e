/** Dependencies of the accept pipeline: storage, keys, links, and the bounds of the service. */

import type { Contacts } from '../contacts/contacts.ts';
import type { Control } from '../control/types.ts';
import type { BulkCheck } from '../doctor/bulk-check.ts';
import type { Queue, Records, Suppressions } from '../engine/ports.ts';
import type { ErrorCode } from '../errors.ts';
import type { BulkFault } from '../mail/bulk-rules.ts';
import type { MessageReferences } from '../mail/message-reference.ts';
import type { ReturnPaths } from '../mail/return-path.ts';
import type { Signer } from '../mail/signer.ts';
import type { Hooks } from '../policy/open.ts';
import type { PoolUser } from '../routing/pools.ts';
import type { Clock, Random } from '../time.ts';
import type { TrackingLinks } from '../tracking/links.ts';
import type { SendingMeter } from './limits.ts';
import type { SubmitOptions } from './types.ts';
import type { UnsubscribeDeps } from './unsubscribe.ts';

/** Bounds and defaults of accepted mail. */
export interface AcceptPolicy {
  /** Maximum size of a message as it travels (SES v2: 40 MB), bytes. */
  maxMessageBytes: number;
  /** Maximum recipients of one message (SES: 50). */
  maxRecipients: number;
  /** How long a delivery is tried, unless its configuration set has another limit, ms. */
  maxAge: number;
  /** How far ahead `sendAt` may be, ms. */
  maxSchedule: number;
  /** Whether a pool exists and is open to a sender. */
  hasPool(name: string, sender: PoolUser): boolean;
  /** Provider group of a destination domain: the last part of a lane. */
  group(domain: string): string;
  /** Whether bounces and complaints are forwarded by mail here. */
  forwardsFeedback: boolean;
  /** The service's own domain of return paths, for mail whose identity has no MAIL FROM domain in use. */
  returnPathDomain(fromDomain: string): string;
  /**
   * Domain identity of the operator whose RSA key signs all mail beside the sender's own, so that feedback loops that
   * go by `d=` (Yahoo) cover every sender. It costs a second RSA signature a message. Absent: none.
   */
  cosignDomain?: string;
}

export interface BulkDeps {
  check: Pick<BulkCheck, 'note' | 'faultsOf'>;
  /** Called for each message with a fault that is warned of or refused. For metrics and the log; must not throw. */
  onFaults?: (mode: 'warn' | 'refuse', faults: readonly BulkFault[], domain: string) => void;
}

export interface AcceptDeps {
  engine: {
    queue: Pick<Queue, 'admit'>;
    records: Pick<Records, 'claim'>;
    suppressions: Pick<Suppressions, 'find'>;
  };
  control: Control;
  /** Who has left the list that a message names. */
  contacts: Pick<Contacts, 'lookUp' | 'join'>;
  signer: Signer;
  returnPaths: ReturnPaths;
  references: MessageReferences;
  /**
   * Links that report opens and clicks. `url` is the tracking URL of this service; without it, only custom domains
   * track.
   */
  tracking: { links: TrackingLinks; url?: string };
  /** Counts what is limited by account, tenant or key. */
  meter: SendingMeter;
  unsubscribe: UnsubscribeDeps;
  clock: Clock;
  random: Random;
  /** Region and account that SES's error messages name. */
  region: string;
  accountId: string;
  policy: AcceptPolicy;
  /** Hooks of the policy in TypeScript; absent: this process runs none. */
  hooks?: Hooks;
  /** Checks of bulk mail by the rules of large providers; absent: none is checked. */
  bulk?: BulkDeps;
  /** Called for each submission with `accepted` or the code of the error. For metrics; must not throw. */
  onResult?: (door: SubmitOptions['door'], result: 'accepted' | ErrorCode) => void;
}
