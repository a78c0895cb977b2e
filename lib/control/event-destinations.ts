/** The stored event destinations. Secrets are stored sealed, and opened when a destination is first read. */
import { randomBytes } from 'node:crypto';
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { DocumentCache } from './document-cache.ts';
import { DocumentMirror } from './document-mirror.ts';
import {
  type EventDestination,
  type EventMail,
  type EventTarget,
  type NewEventDestination,
  type TargetKind,
  takesMail,
} from './event-destination.ts';
import { checkEventDestination } from './event-destination-check.ts';
import type { EventScope, EventScopes } from './event-scopes.ts';
import { quote } from './names.ts';
import type { Vault } from './vault.ts';

/** A stored destination: the target without its secret, and the sealed secret. */
export interface StoredEventDestination extends Omit<EventDestination, 'target'> {
  target: Record<string, unknown> & { kind: TargetKind };
  sealed?: string;
}

const KIND = 'event-destination';
/** What the store is asked for: ids that callers make up cost nothing. */
const ID = /^ed-[0-9a-f]{20}$/;

export interface EventDestinations {
  find(id: string): Promise<EventDestination | undefined>;
  /** Those of a tenant; without one, all of them. */
  list(tenant?: string): Promise<EventDestination[]>;
  /** The destinations of a configuration set, or with `undefined` those of the tenant that belong to no set. */
  of(tenant: string | undefined, configurationSet: string | undefined): Promise<EventDestination[]>;
  /** Enabled destinations that receive events of such mail, of whatever types. Called for each message. */
  takers(mail: EventMail): Promise<readonly EventDestination[]>;
  /** @throws `already_exists`, `limit_exceeded`, `bad_request` */
  create(given: NewEventDestination): Promise<EventDestination>;
  /** @throws `not_found`, `already_exists` */
  update(
    id: string,
    change: Partial<NewEventDestination> & { disabledBecause?: string },
  ): Promise<EventDestination>;
  delete(id: string): Promise<boolean>;
  /** Holds all destinations in memory, for a process that sends to each of them. */
  follow(): Promise<FollowedDestinations>;
}

export interface FollowedDestinations {
  all(): readonly EventDestination[];
  close(): void;
}

export interface EventDestinationOptions {
  config: Config;
  cache: DocumentCache<StoredEventDestination>;
  scopes: EventScopes;
  vault: Vault;
  clock: Clock;
}

const NONE: readonly EventDestination[] = [];
const context = (id: string): string => `event destination ${id}`;

export function openEventDestinations(options: EventDestinationOptions): EventDestinations {
  return new StoredEventDestinations(options);
}

class StoredEventDestinations implements EventDestinations {
  readonly #options: EventDestinationOptions;
  readonly #opened = new WeakMap<StoredEventDestination, EventDestination>();

  constructor(options: EventDestinationOptions) {
    this.#options = options;
  }

  async find(id: string): Promise<EventDestination | undefined> {
    const stored = ID.test(id) ? await this.#options.cache.get(id) : undefined;
    return stored && this.#open(stored);
  }

  async list(tenant?: string): Promise<EventDestination[]> {
    const { cache, scopes } = this.#options;
    if (tenant === undefined) return (await cache.list()).map((one) => this.#open(one));
    return this.#openAll(await scopes.idsOfTenant(tenant));
  }

  async of(tenant: string | undefined, configurationSet: string | undefined): Promise<EventDestination[]> {
    return this.#openAll(await this.#options.scopes.idsOf([{ tenant, configurationSet }]));
  }

  async takers(mail: EventMail): Promise<readonly EventDestination[]> {
    const { tenant, configurationSet, setOwner = tenant } = mail;
    const scopes: EventScope[] = [{}, { tenant }];
    if (configurationSet !== undefined)
      scopes.push({ configurationSet }, { tenant: setOwner, configurationSet });
    const ids = await this.#options.scopes.idsOf(scopes);
    if (ids.length === 0) return NONE;
    return (await this.#openAll(ids)).filter((one) => takesMail(one, mail));
  }

  async create(given: NewEventDestination): Promise<EventDestination> {
    const { cache, scopes, vault, clock } = this.#options;
    checkEventDestination(given);
    const gone = await this.#goneOf(given);
    const id = `ed-${randomBytes(10).toString('hex')}`;
    const stored = seal({ ...given, id, createdAt: clock.now() }, vault);
    const made = await cache.create(id, stored, `Event destination ${id}`);
    try {
      await scopes.put(given, { id, name: given.name }, gone);
    } catch (error) {
      await cache.delete(id);
      throw error;
    }
    return this.#open(made);
  }

  async update(
    id: string,
    change: Partial<NewEventDestination> & { disabledBecause?: string },
  ): Promise<EventDestination> {
    const { cache, scopes, vault } = this.#options;
    const known = await this.find(id);
    if (!known) throw missing(id);
    const { disabledBecause, ...before } = known;
    const changed: EventDestination = { ...before, ...change, id, createdAt: known.createdAt };
    // A destination that an operator enables, or points to another target, starts anew.
    if (change.disabledBecause === undefined && !changed.enabled && change.enabled === undefined) {
      changed.disabledBecause = disabledBecause;
    }
    checkEventDestination(changed);
    if (changed.name !== known.name) await scopes.put(known, changed, await this.#goneOf(known));
    const stored = await cache.update(id, () => seal(changed, vault));
    if (!stored) throw missing(id);
    return this.#open(stored);
  }

  async delete(id: string): Promise<boolean> {
    const { cache, scopes } = this.#options;
    const known = ID.test(id) ? await cache.get(id) : undefined;
    if (!known) return false;
    const existed = await cache.delete(id);
    await scopes.remove(known, id);
    return existed;
  }

  async follow(): Promise<FollowedDestinations> {
    const { config, clock } = this.#options;
    const mirror = new DocumentMirror<StoredEventDestination>(config, KIND, clock);
    const unwatch = mirror.watch();
    const close = (): void => {
      unwatch();
      mirror.close();
    };
    try {
      await this.#options.scopes.fill();
      await mirror.load();
    } catch (error) {
      close();
      throw error;
    }
    return { all: () => mirror.all().map((one) => this.#open(one)), close };
  }

  /** Ids of a scope whose destinations were deleted. */
  async #goneOf({ tenant, configurationSet }: EventScope): Promise<ReadonlySet<string>> {
    const { cache, scopes } = this.#options;
    await scopes.fill();
    const ids = await scopes.idsOf([{ tenant, configurationSet }]);
    const found = await cache.getAll(ids);
    return new Set(ids.filter((_, at) => found[at] === undefined));
  }

  async #openAll(ids: readonly string[]): Promise<EventDestination[]> {
    const stored = await this.#options.cache.getAll(ids);
    return stored.flatMap((one) => (one ? [this.#open(one)] : []));
  }

  #open(stored: StoredEventDestination): EventDestination {
    let destination = this.#opened.get(stored);
    if (!destination) {
      const { sealed, target, ...rest } = stored;
      const secret =
        sealed === undefined ? {} : JSON.parse(this.#options.vault.open(sealed, context(stored.id)));
      destination = Object.freeze({ ...rest, target: { ...target, ...secret } as EventTarget });
      this.#opened.set(stored, destination);
    }
    return destination;
  }
}

function missing(id: string): PosternError {
  return new PosternError('not_found', `There is no event destination ${quote(id)}.`);
}

/** Seals a destination for the store. */
function seal(destination: EventDestination, vault: Vault): StoredEventDestination {
  const { target, ...rest } = destination;
  if (target.kind === 'webhook') {
    const { secret, ...open } = target;
    return { ...rest, target: open, sealed: vault.seal(JSON.stringify({ secret }), context(rest.id)) };
  }
  if (target.kind === 'amqp') {
    const { url, ...open } = target;
    return { ...rest, target: open, sealed: vault.seal(JSON.stringify({ url }), context(rest.id)) };
  }
  return { ...rest, target: { ...target } };
}
