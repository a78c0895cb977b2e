/**
 * What AWS requests cost, and what follows from it for where the bytes of a message are kept. Prices are those
 * of us-east-1 in dollars for a million requests or units; other regions differ, but hardly in proportion.
 */
export const PRICES = {
  /** SQS standard queue; each begun 64 KiB of a request or an answer is one request. */
  sqsRequest: 0.4,
  /** DynamoDB on demand: a write unit for each begun KiB; deletes by TTL are free. */
  writeUnit: 0.625,
  /** A read unit for each begun 4 KiB, strongly consistent; half of it eventually consistent. */
  readUnit: 0.125,
  s3Put: 5,
  s3Get: 0.4,
} as const;

const SQS_CHUNK = 64 * 1024;
const WRITE_UNIT_BYTES = 1024;
const READ_UNIT_BYTES = 4096;

/** Entries of an SQS batch, at most. */
export const SQS_BATCH = 10;
/** Bytes of an SQS message and of all messages of a batch together, at most. */
export const SQS_BYTES = 1_048_576;
/** Room in a message for the queue item. */
const ITEM_ROOM = 8_192;
/** Bytes of a queue item without its body, roughly. */
const ITEM_BYTES = 700;
/** Bytes of an item of DynamoDB, at most 400 KB; kept free of it: keys and attribute names. */
const TABLE_BYTES = 400_000 - 1_024;

/** Requests that SQS bills for a payload of this size. */
export function sqsRequests(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / SQS_CHUNK));
}

function writeUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / WRITE_UNIT_BYTES));
}

/** Strongly consistent; half as many for an eventually consistent read. */
function readUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / READ_UNIT_BYTES));
}

/** Cost of a message's deliveries through a lane, each `bytes` long in its queue, dollars a million. */
export function laneCost(bytes: number, deliveries: number): number {
  let requests = 0;
  for (let left = deliveries; left > 0; ) {
    const batch = Math.max(1, Math.min(left, SQS_BATCH, Math.floor(SQS_BYTES / Math.max(1, bytes))));
    requests += sqsRequests(batch * bytes);
    left -= batch;
  }
  // They come out in batches among others, so what counts is their share of the chunks.
  requests += deliveries * Math.max(1 / SQS_BATCH, bytes / SQS_CHUNK);
  return requests * PRICES.sqsRequest;
}

/** Size of a queue item with a compressed body in it, in base64, bytes. */
export function itemBytes(packed: number): number {
  return Math.ceil(packed / 3) * 4 + ITEM_BYTES;
}

/** Where the compressed bytes of a message are kept while it is in a lane. */
export type LanePlace = 'inline' | 's3';

/**
 * The cheaper place for a message on its way through a lane: in each of its queue items, or once in S3.
 * @param bytes of the queue item with its body in it. @param deliveries that share the body.
 */
export function lanePlace(bytes: number, deliveries: number): LanePlace {
  if (bytes > SQS_BYTES - ITEM_ROOM) return 's3';
  const inS3 = PRICES.s3Put + deliveries * PRICES.s3Get + laneCost(ITEM_ROOM / 8, deliveries);
  return laneCost(bytes, deliveries) <= inS3 ? 'inline' : 's3';
}

/** Where the compressed bytes of a message are kept while it waits in the ledger. */
export type LedgerPlace = 'table' | 's3';

/** The cheaper place for a message that waits: an item of the table (TTL deletes it free of charge), or S3. */
export function ledgerPlace(bytes: number): LedgerPlace {
  if (bytes > TABLE_BYTES) return 's3';
  const inTable = writeUnits(bytes) * PRICES.writeUnit + (readUnits(bytes) / 2) * PRICES.readUnit;
  return inTable <= PRICES.s3Put + PRICES.s3Get ? 'table' : 's3';
}
