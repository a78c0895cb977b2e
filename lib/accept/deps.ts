/** The dependencies of the accept pipeline: storage, keys, links, and the bounds of the service. */

import type { Control, Identity } from '../control/types.ts';
import type { Queue, Records, Suppressions } from '../engine/ports.ts';
import type { ErrorCode } from '../errors.ts';
import type { ReturnPaths } from '../mail/return-path.ts';
import type { Signer } from '../mail/signer.ts';
import type { Hooks } from '../policy/open.ts';
import type { PoolUser } from '../routing/pools.ts';
import type { Clock, Random } from '../time.ts';
import type { TrackingLinks } from '../tracking/links.ts';
import type { SubmitOptions } from './types.ts';

/** Bounds and defaults of what is accepted. */
export interface AcceptPolicy {
  /** Bytes of a message as it travels (SES v2: 40 MB). */
  maxMessageBytes: number;
  /** Recipients of one message (SES: 50). */
  maxRecipients: number;
  /** How long a delivery is tried, in ms, unless its configuration set says otherwise. */
  maxAge: number;
  /** How far ahead `sendAt` may be, in ms. */
  maxSchedule: number;
  /** Whether a pool exists and is open to a sender. */
  hasPool(name: string, sender: PoolUser): boolean;
  /** Provider group of a destination domain: the last part of a lane. */
  group(domain: string): string;
  /** Domain of the return path for an identity: its own MAIL FROM domain, else that of the service. */
  returnPathDomain(identity: Identity, fromDomain: string): string;
}

export interface AcceptDeps {
  engine: {
    queue: Pick<Queue, 'admit'>;
    records: Pick<Records, 'claim'>;
    suppressions: Pick<Suppressions, 'find'>;
  };
  control: Control;
  signer: Signer;
  returnPaths: ReturnPaths;
  /** Opens and clicks. `url` is where this service is reached for them; without it, only custom domains are. */
  tracking: { links: TrackingLinks; url?: string };
  clock: Clock;
  random: Random;
  /** Named in SES's error messages. */
  region: string;
  policy: AcceptPolicy;
  /** The policy in TypeScript; absent: this process runs none. */
  hooks?: Hooks;
  /** Called for each submission with `accepted` or the code of the error. For metrics; must not throw. */
  onResult?: (door: SubmitOptions['door'], result: 'accepted' | ErrorCode) => void;
}
