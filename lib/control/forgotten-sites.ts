/**
 * Orders to forget what was learnt of a site. The process that is asked may not be the one that has learnt, and what was
 * learnt outlives both on storage, so an order is a document that every node follows:
 *
 * ```
 *  operator ─► document ─► watch ─► each node forgets at once
 *                 └── an IP gets a new owner: what its checkpoint has from before the order is left out
 * ```
 * An order is kept for as long as a lesson is.
 */
import { createHash } from 'node:crypto';
import type { Config } from '../engine/ports.ts';
import { LEARNT_TTL } from '../shaping/site-memory.ts';
import type { Clock } from '../time.ts';
import { DocumentMirror } from './document-mirror.ts';

interface Order {
  site: string;
  /** When, ms, and by which access key. */
  at: number;
  by: string;
}

export interface ForgottenSites {
  /** When a site was last to be forgotten, ms; 0 for never. */
  at(site: string): number;
  /** Calls back with each site that is to be forgotten. Returns an unsubscriber. */
  watch(listener: (site: string) => void): () => void;
  close(): void;
}

const KIND = 'site-forgotten';
/** Clocks of nodes differ, and lessons are renewed until they are stored: how much longer orders are kept, ms. */
const MARGIN = 600_000;
const SWEEP_MAX = 100;

/**
 * Orders every node to forget a site; durable when it resolves. What is older than any lesson goes.
 * @throws PosternError of the storage group.
 */
export async function orderForgotten(config: Config, order: Order): Promise<void> {
  await config.put(KIND, keyOf(order.site), order);
  const over = order.at - LEARNT_TTL - MARGIN;
  for (const { key, value } of await config.list(KIND, { max: SWEEP_MAX })) {
    if ((value as Order).at < over) await config.delete(KIND, key);
  }
}

/** Follows the orders. @throws PosternError of the storage group. */
export async function openForgottenSites(config: Config, clock: Clock): Promise<ForgottenSites> {
  const listeners = new Set<(site: string) => void>();
  const cache = new DocumentMirror<Order>(config, KIND, clock, (_key, order) => {
    if (order !== undefined) for (const listener of listeners) listener(order.site);
  });
  const unwatch = cache.watch();
  const close = (): void => {
    unwatch();
    cache.close();
  };
  try {
    await cache.load();
  } catch (error) {
    close();
    throw error;
  }
  return {
    at: (site) => cache.get(keyOf(site))?.at ?? 0,
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close,
  };
}

/** Names of sites may have many hosts; keys of documents are bounded. */
function keyOf(site: string): string {
  return createHash('sha256').update(site).digest('base64url');
}
