/**
 * Which event destinations there are for which mail: a document for each tenant and configuration set with the ids of
 * its destinations, so that the destinations of a message are read by key.
 *
 * A destination is stored before it is in its document, and is taken out after it is deleted: an id without a
 * destination is one that was deleted, and makes room.
 */
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { backfill } from './document-backfill.ts';
import type { DocumentCache } from './document-cache.ts';

/** The mail that destinations are for: of a tenant, or of all; of a set, or of all. */
export interface EventScope {
  tenant?: string;
  configurationSet?: string;
}

/** A stored document of a scope. */
export interface StoredEventScope {
  destinations: { id: string; name: string }[];
}

/** Maximum number of event destinations of one configuration set (SES); here also of one tenant without a set. */
const MAX_OF_ONE = 10;

export class EventScopes {
  readonly #cache: DocumentCache<StoredEventScope>;
  /**
   * Makes the documents of destinations that an earlier version stored. Whoever changes or sends does it; whoever takes
   * mail in may have no right to.
   */
  readonly fill: () => Promise<void>;

  constructor(cache: DocumentCache<StoredEventScope>, config: Config) {
    this.#cache = cache;
    this.fill = backfill<EventScope & { name: string }>(
      config,
      { from: 'event-destination', into: cache.kind },
      (id, { name, ...scope }) =>
        this.#change(scope, (all) => (all.some((one) => one.id === id) ? all : [...all, { id, name }])),
    );
  }

  /** Ids of the destinations of scopes. @throws PosternError of the storage group. */
  async idsOf(scopes: readonly EventScope[]): Promise<string[]> {
    const found = await this.#cache.getAll(scopes.map(keyOf));
    return found.flatMap((scope) => scope?.destinations.map(({ id }) => id) ?? []);
  }

  /** Ids of all destinations of a tenant. @throws PosternError of the storage group. */
  async idsOfTenant(tenant: string): Promise<string[]> {
    await this.fill();
    const scopes = await this.#cache.list({ prefix: `${tenant}/` });
    return scopes.flatMap(({ destinations }) => destinations.map(({ id }) => id));
  }

  /**
   * Puts a destination in, or renames it.
   * @param gone ids whose destinations were deleted.
   * @throws `already_exists`, `limit_exceeded`, the storage group.
   */
  async put(
    scope: EventScope,
    { id, name }: { id: string; name: string },
    gone: ReadonlySet<string>,
  ): Promise<void> {
    await this.fill();
    await this.#change(scope, (all) => {
      const others = all.filter((one) => one.id !== id && !gone.has(one.id));
      if (others.some((one) => one.name === name)) {
        throw new PosternError('already_exists', `An event destination with name <${name}> already exists.`);
      }
      if (others.length >= MAX_OF_ONE) {
        throw new PosternError(
          'limit_exceeded',
          `There may be ${MAX_OF_ONE} event destinations of a configuration set, or of a tenant. Delete one first.`,
        );
      }
      return [...others, { id, name }];
    });
  }

  /** Takes a destination out. @throws PosternError of the storage group. */
  async remove(scope: EventScope, id: string): Promise<void> {
    await this.#change(scope, (all) => all.filter((one) => one.id !== id));
  }

  async #change(
    scope: EventScope,
    by: (all: StoredEventScope['destinations']) => StoredEventScope['destinations'],
  ): Promise<void> {
    const none: StoredEventScope = { destinations: [] };
    await this.#cache.update(keyOf(scope), ({ destinations }) => ({ destinations: by(destinations) }), none);
  }
}

/** No tenant and no set has an empty name. */
function keyOf({ tenant = '', configurationSet = '' }: EventScope): string {
  return `${tenant}/${configurationSet}`;
}
