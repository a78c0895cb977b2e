/**
 * What the queue of events carries: events for one destination, or an order to it. The events of one message are in
 * one group, in which one parcel comes after the other; a destination has `GROUPS` of them, which bounds how many
 * calls it can hold at one time.
 */
import { createHash } from 'node:crypto';
import type { EventMessage, EventParcel } from '../engine/destinations.ts';
import { PosternError } from '../errors.ts';
import { readEvent, type StoredEvent, storedEvent } from './destination-state.ts';

const GROUPS = 8;
/** Maximum size of the events of a parcel: below one billed request, bytes. */
const PARCEL_BYTES = 60_000;
const VERSION = 1;

/** What a parcel asks for. */
export type EventOrder =
  | { kind: 'send'; destination: string; events: EventMessage[] }
  /** Send what waits. */
  | { kind: 'drain'; destination: string }
  /** Send a made-up event once, and store the answer under the nonce. */
  | { kind: 'test'; destination: string; nonce: string };

/** Parcels for events, each as full as possible. */
export function parcelsOf(destination: string, events: readonly EventMessage[]): EventParcel[] {
  const groups = new Map<string, StoredEvent[][]>();
  const sizes = new Map<string, number>();
  for (const event of events) {
    const group = `${destination}/${digest(event.messageId).readUInt8(0) % GROUPS}`;
    const size = Buffer.byteLength(event.json) + 500;
    const held = sizes.get(group) ?? 0;
    const parcels = groups.get(group) ?? [];
    if (parcels.length === 0 || held + size > PARCEL_BYTES) {
      parcels.push([]);
      sizes.set(group, size);
    } else sizes.set(group, held + size);
    parcels.at(-1)!.push(storedEvent(event));
    groups.set(group, parcels);
  }
  return [...groups].flatMap(([group, parcels]) =>
    parcels.map((list) => ({
      value: { v: VERSION, kind: 'send', destination, events: list },
      group,
      id: digest(list.map(({ id }) => id).join(' ')).toString('hex'),
    })),
  );
}

/** @param id of two orders with one id within five minutes, one is carried out. */
export function orderParcel(order: Exclude<EventOrder, { kind: 'send' }>, id: string): EventParcel {
  const { kind, destination } = order;
  // A test waits for no backlog.
  const group = `${destination}/${kind}`;
  return {
    value: { v: VERSION, ...order },
    group,
    id: digest(`${kind} ${destination} ${id}`).toString('hex'),
  };
}

/** @throws PosternError `storage_damaged`; `storage_too_new`: a newer version wrote it, and reads it. */
export function readParcel(text: string): EventOrder {
  let value: { v?: unknown; kind?: unknown; destination?: unknown; events?: StoredEvent[]; nonce?: string };
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PosternError('storage_damaged', 'A message of the queue of events is no JSON.', { cause });
  }
  const { v, kind, destination, events, nonce } = value ?? {};
  if (typeof v === 'number' && v > VERSION) {
    throw new PosternError(
      'storage_too_new',
      `A parcel of events has version ${v}; this version of Postern reads ${VERSION}.`,
    );
  }
  if (typeof destination === 'string') {
    if (kind === 'send' && Array.isArray(events)) return { kind, destination, events: events.map(readEvent) };
    if (kind === 'drain') return { kind, destination };
    if (kind === 'test' && typeof nonce === 'string') return { kind, destination, nonce };
  }
  throw new PosternError('storage_damaged', 'A message of the queue of events holds no events and no order.');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
