/**
 * What the configuration says about those who send, kept for a second: who sends one message mostly sends more. Of such mail
 * no document is looked up, and nothing is waited for, before it is signed.
 *
 * ```
 *  of(tenant, key) ──► kept, no older than a second, and no document changed since? ──► the same
 *                        └─ no ──► new ones; each fact is read when it is first asked for
 * ```
 * A document that this process holds may be a minute old (document-cache.ts), so what is kept here is a second older at most.
 */
import { Cache } from '../cache.ts';
import type { EventDestination } from '../control/event-destination.ts';
import type { LimitedSubject } from '../control/sending-limits.ts';
import type { StoredTenant } from '../control/tenants.ts';
import type { ConfigurationSet, Control, Identity } from '../control/types.ts';
import type { SuppressionReason } from '../engine/suppression.ts';
import type { SigningKey } from '../mail/types.ts';
import { SECOND } from '../time.ts';
import { limitedBy } from './limits.ts';

/** A value at hand, or one that is being read. */
export type AtHand<T> = T | Promise<T>;

/** How long what was found is used, ms. */
const LONGEST = SECOND;
/** Senders that are kept, and addresses and sets of one of them. */
const SENDERS = 1000;
const OF_ONE = 100;

/** What holds for all mail of a tenant that comes with one key. */
export interface Ground {
  /** Absent: a tenant that an earlier version made by name alone. */
  tenant: StoredTenant | undefined;
  /** Whether the account sends. */
  sendingEnabled: boolean;
  /** Who limits how much is sent. */
  limited: readonly LimitedSubject[];
}

/** What follows from a configuration set, or from there being none. */
export interface Handling {
  suppression: { list: string; reasons: readonly SuppressionReason[] };
  /** Event destinations that take events of the mail. */
  takers: readonly EventDestination[];
}

type SenderControl = Pick<
  Control,
  'account' | 'tenants' | 'keys' | 'identities' | 'eventDestinations' | 'changes'
>;

export class KnownSenders {
  readonly #control: SenderControl;
  readonly #kept = new Cache<string, { sender: KnownSender; changes: number; since: number }>(SENDERS);

  constructor(control: SenderControl) {
    this.#control = control;
  }

  /** @param now since the epoch, ms. */
  of(tenant: string, keyId: string, now: number): KnownSender {
    const name = `${tenant} ${keyId}`;
    const changes = this.#control.changes();
    const kept = this.#kept.get(name);
    if (kept && kept.changes === changes && now >= kept.since && now < kept.since + LONGEST)
      return kept.sender;
    const sender = new KnownSender(this.#control, tenant, keyId);
    this.#kept.set(name, { sender, changes, since: now });
    return sender;
  }
}

/** Who sends mail of one tenant with one key. Each fact is looked up once. */
export class KnownSender {
  readonly #control: SenderControl;
  readonly #tenant: string;
  readonly #ground: Lookup<Ground>;
  readonly #identities = new Map<string, Lookup<Identity | undefined>>();
  readonly #sets = new Map<string, Lookup<ConfigurationSet | undefined>>();
  readonly #handling = new Map<string, Lookup<Handling>>();
  readonly #keys = new Map<string, Lookup<readonly SigningKey[]>>();

  constructor(control: SenderControl, tenant: string, keyId: string) {
    this.#control = control;
    this.#tenant = tenant;
    this.#ground = new Lookup(() => groundOf(control, tenant, keyId));
  }

  /** @throws PosternError of the storage group, as the others. */
  ground(): AtHand<Ground> {
    return this.#ground.value();
  }

  /** The tenant's own identity that permits an address as a From. */
  identity(address: string): AtHand<Identity | undefined> {
    return at(this.#identities, address, () => this.#control.identities.forSender(address, this.#tenant));
  }

  /** A configuration set. @param find looks it up, once. */
  set(name: string, find: () => Promise<ConfigurationSet | undefined>): AtHand<ConfigurationSet | undefined> {
    return at(this.#sets, name, find);
  }

  /** @param set that the tenant's mail goes by. */
  handling(set: ConfigurationSet | undefined): AtHand<Handling> {
    return at(this.#handling, set?.name ?? '', () => this.#handlingOf(set));
  }

  /** Keys that sign mail of an identity. @param read looks them up, once. */
  keys({ name }: Identity, read: () => Promise<readonly SigningKey[]>): AtHand<readonly SigningKey[]> {
    return at(this.#keys, name, read);
  }

  async #handlingOf(set: ConfigurationSet | undefined): Promise<Handling> {
    const { account, eventDestinations } = this.#control;
    const mail = { tenant: this.#tenant, configurationSet: set?.name, setOwner: set?.tenant };
    const [suppression, takers] = await Promise.all([
      account.suppression(this.#tenant, set),
      eventDestinations.takers(mail),
    ]);
    return { suppression, takers };
  }
}

async function groundOf(control: SenderControl, tenant: string, keyId: string): Promise<Ground> {
  const [stored, sendingEnabled, limited] = await Promise.all([
    control.tenants.find(tenant),
    control.account.sendingEnabled(),
    limitedBy(control, tenant, keyId),
  ]);
  return { tenant: stored, sendingEnabled, limited };
}

function at<T>(all: Map<string, Lookup<T>>, name: string, read: () => Promise<T>): AtHand<T> {
  let one = all.get(name);
  if (!one) {
    if (all.size === OF_ONE) all.clear();
    all.set(name, (one = new Lookup(read)));
  }
  return one.value();
}

/** A value that is read when it is first asked for; a failure is not kept. */
class Lookup<T> {
  readonly #read: () => Promise<T>;
  #found: { value: T } | undefined;

  constructor(read: () => Promise<T>) {
    this.#read = read;
  }

  value(): AtHand<T> {
    return this.#found ? this.#found.value : this.#first();
  }

  async #first(): Promise<T> {
    const value = await this.#read();
    this.#found = { value };
    return value;
  }
}
