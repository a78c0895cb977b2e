/** The stored event destinations. Secrets are stored sealed, and opened when a destination is first read. */
import { randomBytes } from 'node:crypto';
import { PosternError } from '../errors.ts';
import type { DocumentCache } from './document-cache.ts';
import {
  type EventDestination,
  type EventTarget,
  type EventType,
  type NewEventDestination,
  type TargetKind,
  takesMail,
} from './event-destination.ts';
import { checkEventDestination } from './event-destination-check.ts';
import { quote } from './names.ts';
import type { Vault } from './vault.ts';

/** A stored destination: the target without its secret, and the sealed secret. */
export interface StoredEventDestination extends Omit<EventDestination, 'target'> {
  target: Record<string, unknown> & { kind: TargetKind };
  sealed?: string;
}

export interface EventDestinations {
  find(id: string): EventDestination | undefined;
  /** All destinations. The array stays the same object until one changes, so comparing it reveals a change. */
  all(): readonly EventDestination[];
  /** The destinations of a configuration set, or with `undefined` those of the tenant that belong to no set. */
  of(tenant: string | undefined, configurationSet: string | undefined): EventDestination[];
  /** Whether any destination receives events of this type, or of any type, of such mail. Called for each message. */
  wants(type: EventType | 'any', tenant: string, configurationSet: string | undefined): boolean;
  /** @throws `already_exists`, `limit_exceeded`, `bad_request` */
  create(given: NewEventDestination): Promise<EventDestination>;
  /** @throws `not_found` */
  update(
    id: string,
    change: Partial<NewEventDestination> & { disabledBecause?: string },
  ): Promise<EventDestination>;
  delete(id: string): Promise<boolean>;
}

/** Maximum number of event destinations of one configuration set (SES); here also of one tenant without a set. */
const MAX_OF_ONE = 10;
const context = (id: string): string => `event destination ${id}`;

export function openEventDestinations(
  cache: DocumentCache<StoredEventDestination>,
  vault: Vault,
  now: () => number,
): EventDestinations {
  const opened = new WeakMap<StoredEventDestination, EventDestination>();
  let listed: { from?: readonly StoredEventDestination[]; all: readonly EventDestination[] } = { all: [] };
  let wanted = new Map<string, boolean>();

  function open(stored: StoredEventDestination): EventDestination {
    let destination = opened.get(stored);
    if (!destination) {
      const { sealed, target, ...rest } = stored;
      const secret = sealed === undefined ? {} : JSON.parse(vault.open(sealed, context(stored.id)));
      destination = Object.freeze({ ...rest, target: { ...target, ...secret } as EventTarget });
      opened.set(stored, destination);
    }
    return destination;
  }

  function all(): readonly EventDestination[] {
    const from = cache.all();
    if (listed.from !== from) {
      listed = { from, all: from.map(open) };
      wanted = new Map();
    }
    return listed.all;
  }

  const of: EventDestinations['of'] = (tenant, configurationSet) =>
    all().filter((one) => one.tenant === tenant && one.configurationSet === configurationSet);

  return {
    find(id) {
      const stored = cache.get(id);
      return stored && open(stored);
    },
    all,
    of,

    wants(type, tenant, configurationSet) {
      const destinations = all();
      const key = `${type} ${tenant} ${configurationSet ?? ''}`;
      let answer = wanted.get(key);
      if (answer === undefined) {
        answer = destinations.some(
          (one) => takesMail(one, tenant, configurationSet) && (type === 'any' || one.types.includes(type)),
        );
        if (wanted.size >= 10_000) wanted.clear();
        wanted.set(key, answer);
      }
      return answer;
    },

    async create(given) {
      checkEventDestination(given);
      const beside = of(given.tenant, given.configurationSet);
      if (beside.some(({ name }) => name === given.name)) {
        throw new PosternError(
          'already_exists',
          `An event destination with name <${given.name}> already exists.`,
        );
      }
      if (beside.length >= MAX_OF_ONE) {
        throw new PosternError(
          'limit_exceeded',
          `There may be ${MAX_OF_ONE} event destinations of a configuration set, or of a tenant. Delete one first.`,
        );
      }
      const id = `ed-${randomBytes(10).toString('hex')}`;
      const stored = seal({ ...given, id, createdAt: now() }, vault);
      return open(await cache.create(id, stored, `Event destination ${id}`));
    },

    async update(id, change) {
      const known = cache.get(id);
      if (!known) throw new PosternError('not_found', `There is no event destination ${quote(id)}.`);
      const { disabledBecause, ...before } = open(known);
      const changed: EventDestination = { ...before, ...change, id, createdAt: known.createdAt };
      // A destination that an operator enables, or points to another target, starts anew.
      if (change.disabledBecause === undefined && !changed.enabled && change.enabled === undefined) {
        changed.disabledBecause = disabledBecause;
      }
      checkEventDestination(changed);
      const stored = await cache.update(id, () => seal(changed, vault));
      if (!stored) throw new PosternError('not_found', `There is no event destination ${quote(id)}.`);
      return open(stored);
    },

    delete: (id) => cache.delete(id),
  };
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
