/**
 * Finds the directives in force for a delivery, and the ruling when several match:
 *
 * ```
 *  1. suspend, bounce   that names neither IP nor pool: this mail is meant, whichever way it goes
 *  2. reroute           away from where the mail is, once
 *  3. suspend, bounce   that names an IP or a pool: this way is closed
 *  4. limit             beside all of these, the least of each limit
 * ```
 * Between several of a step: an administrator's order over a tenant's over a rule's; then the one that names more
 * dimensions; then suspend over bounce, because waiting can be undone; then the first by id.
 *
 * Each directive is indexed under one value of its match, where the fewest others are; a look-up visits only the
 * directives under the values of the delivery.
 */
import {
  DIMENSIONS,
  type Dimension,
  type Directive,
  type DirectiveLimits,
  type DirectiveMatch,
} from './directive.ts';

/** The known facts of a delivery; an unknown one matches no directive that names it. */
export interface DeliveryFacts extends DirectiveMatch {
  /** Whether the delivery was rerouted already: further reroutes are ignored, so that two cannot send it in circles. */
  readonly moved?: boolean;
}

export interface Ruling {
  readonly action: 'none' | 'suspend' | 'bounce' | 'reroute';
  /** The directive that decides; absent for `none`. */
  readonly by?: Directive;
  /** Target pool of `reroute`. */
  readonly pool?: string;
  /** The least of each limit; absent when there is none. */
  readonly limits?: DirectiveLimits;
  /** The directives that set `limits`. */
  readonly limitedBy: readonly Directive[];
}

/** The empty list of directives. */
const NONE: readonly Directive[] = Object.freeze([]);
const FREE: Ruling = Object.freeze({ action: 'none', limitedBy: NONE });

interface Filed {
  readonly directive: Directive;
  readonly until: number;
  /** Dimensions to compare after the directive was found under its value. */
  readonly rest: readonly Dimension[];
  /** Whether it stops a source, not the mail itself. */
  readonly ofWay: boolean;
  /** Precedence; the highest decides. */
  readonly rank: number;
  readonly bucket: Bucket;
}

/** All directives under one value. */
type Bucket = Filed[];

/** Dimensions from the most selective on: the order of preference for indexing while no value of a match has others. */
const FILING: readonly Dimension[] = ['site', 'domain', 'campaign', 'tenant', 'ip', 'pool', 'provider'];

const LIMIT_NAMES = [
  'connections',
  'connectionsPerMinute',
  'messagesPerSecond',
  'messagesPerConnection',
] as const satisfies readonly (keyof DirectiveLimits)[];

export class DirectiveIndex {
  readonly #byId = new Map<string, Filed>();
  readonly #everything: Bucket = [];
  readonly #buckets = new Map<Dimension, Map<string, Bucket>>();
  /** The dimensions under which directives are indexed. */
  #used: Dimension[] = [];

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Directive | undefined {
    return this.#byId.get(id)?.directive;
  }

  all(): Directive[] {
    return Array.from(this.#byId.values(), ({ directive }) => directive);
  }

  /** Adds a directive; one with the same id is replaced. */
  set(directive: Directive): void {
    this.delete(directive.id);
    const { match, action } = directive;
    const named = DIMENSIONS.filter((dimension) => match[dimension] !== undefined);
    const under = this.#leastFiled(match);
    const bucket = under === undefined ? this.#everything : this.#bucketOf(under, match[under]!);
    const rank = originRank(directive) * 100 + named.length * 10 + (action.kind === 'suspend' ? 1 : 0);
    const filed: Filed = {
      directive,
      until: directive.until ?? Number.POSITIVE_INFINITY,
      rest: named.filter((dimension) => dimension !== under),
      ofWay: match.ip !== undefined || match.pool !== undefined,
      rank,
      bucket,
    };
    bucket.push(filed);
    this.#byId.set(directive.id, filed);
  }

  /** Removes a directive. @returns whether it existed. */
  delete(id: string): boolean {
    const filed = this.#byId.get(id);
    if (filed === undefined) return false;
    this.#byId.delete(id);
    const { bucket } = filed;
    bucket[bucket.indexOf(filed)] = bucket.at(-1)!;
    bucket.pop();
    if (bucket.length === 0 && bucket !== this.#everything) this.#forget(filed);
    return true;
  }

  /** The ruling for a delivery at `now` (since the epoch, ms). */
  match(facts: DeliveryFacts, now: number): Ruling {
    const search = new Search(facts, now);
    search.consider(this.#everything);
    for (const dimension of this.#used) {
      const value = facts[dimension];
      if (value === undefined) continue;
      const bucket = this.#buckets.get(dimension)!.get(value);
      if (bucket !== undefined) search.consider(bucket);
    }
    return search.ruling();
  }

  #leastFiled(match: DirectiveMatch): Dimension | undefined {
    let least: Dimension | undefined;
    let count = Number.POSITIVE_INFINITY;
    for (const dimension of FILING) {
      const value = match[dimension];
      if (value === undefined) continue;
      const filed = this.#buckets.get(dimension)?.get(value)?.length ?? 0;
      if (filed >= count) continue;
      least = dimension;
      count = filed;
    }
    return least;
  }

  #bucketOf(dimension: Dimension, value: string): Bucket {
    let values = this.#buckets.get(dimension);
    if (values === undefined) {
      this.#buckets.set(dimension, (values = new Map()));
      this.#used = [...this.#buckets.keys()];
    }
    let bucket = values.get(value);
    if (bucket === undefined) values.set(value, (bucket = []));
    return bucket;
  }

  #forget({ directive, bucket }: Filed): void {
    for (const [dimension, values] of this.#buckets) {
      const value = directive.match[dimension];
      if (value === undefined || values.get(value) !== bucket) continue;
      values.delete(value);
      if (values.size > 0) return;
      this.#buckets.delete(dimension);
      this.#used = [...this.#buckets.keys()];
      return;
    }
  }
}

/** One look-up: the best of each step so far. */
class Search {
  readonly #facts: DeliveryFacts;
  readonly #now: number;
  #stop: Filed | undefined;
  #reroute: Filed | undefined;
  #closed: Filed | undefined;
  #limits: Directive[] | undefined;

  constructor(facts: DeliveryFacts, now: number) {
    this.#facts = facts;
    this.#now = now;
  }

  consider(bucket: Bucket): void {
    for (const filed of bucket) {
      if (filed.until <= this.#now || !this.#agrees(filed)) continue;
      const { action } = filed.directive;
      if (action.kind === 'limit') (this.#limits ??= []).push(filed.directive);
      else if (action.kind === 'reroute') {
        if (this.#facts.moved || action.pool === this.#facts.pool) continue;
        this.#reroute = better(this.#reroute, filed);
      } else if (filed.ofWay) this.#closed = better(this.#closed, filed);
      else this.#stop = better(this.#stop, filed);
    }
  }

  #agrees({ rest, directive }: Filed): boolean {
    for (const dimension of rest) {
      if (directive.match[dimension] !== this.#facts[dimension]) return false;
    }
    return true;
  }

  ruling(): Ruling {
    const by = (this.#stop ?? this.#reroute ?? this.#closed)?.directive;
    if (by === undefined && this.#limits === undefined) return FREE;
    const limitedBy = this.#limits ?? NONE;
    return {
      action: by === undefined ? 'none' : (by.action.kind as Ruling['action']),
      by,
      pool: by?.action.kind === 'reroute' ? by.action.pool : undefined,
      limits: this.#limits && leastOf(limitedBy),
      limitedBy,
    };
  }
}

function better(best: Filed | undefined, other: Filed): Filed {
  if (best === undefined || other.rank > best.rank) return other;
  return other.rank === best.rank && other.directive.id < best.directive.id ? other : best;
}

function originRank({ origin }: Directive): number {
  if ('rule' in origin) return 0;
  return origin.tenant === undefined ? 2 : 1;
}

function leastOf(directives: readonly Directive[]): DirectiveLimits {
  let least: DirectiveLimits | undefined;
  for (const { action } of directives) {
    if (action.kind !== 'limit') continue;
    if (least === undefined) least = { ...action.limits };
    else {
      for (const name of LIMIT_NAMES) {
        const limit = action.limits[name];
        if (limit !== undefined && !(least[name]! <= limit)) least[name] = limit;
      }
    }
  }
  return least!;
}
