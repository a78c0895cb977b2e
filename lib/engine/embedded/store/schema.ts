/**
 * The embedded store's file. One writer (the storage thread), WAL, every commit synced.
 *
 * ```
 *  messages ──1:1── bodies      while a delivery of the message has not ended
 *     │     ──1:1── pending     of messages with several deliveries: how many have not ended
 *     ├──1:n── queue            ready deliveries (a lease leaves no trace here)
 *     ├──1:n── ledger           deliveries that wait for a time; later: how many, by lane and tenant
 *     └──1:n── outcomes         everything that happened: the feed, and the state of ended deliveries
 * ```
 * A delivery is in exactly one place: queue, ledger, or it has an outcome with a final state.
 *
 * An address that was taken off a suppression list keeps a row without a reason for some time (`REMOVAL_MEMORY`).
 */

/** `application_id` of the file: "Pstn". */
export const APPLICATION_ID = 0x5073746e;

/** Name of the file in the data directory. */
export const FILE = 'postern.db';
/** In place of a data directory: SQLite's name of a database without a file. */
export const IN_MEMORY = ':memory:';

/** Empty file whose lock belongs to the process that writes the store. */
export const LOCK = 'postern.lock';

/** Directory of the settlement journal in the data directory. */
export const JOURNAL = 'journal';

/** Positions of a tenant queue: a queue key is `tenant queue * SPAN + position`, a safe integer. */
export const SPAN = 2 ** 32;

/** Most tenant queues a store can have (queue keys stay below 2^53). */
export const MAX_TENANT_QUEUES = 2 ** 21;

/** Message sequence numbers are `acceptedAt * PER_MS` or the next one free, so that they are in time order. */
export const PER_MS = 1024;

/**
 * A queue key consists of tenant queue (lane and tenant) and position within it, so one B-tree holds the lanes apart
 * and in order. `share` is the number of deliveries with which the message was admitted: 1 means that its body goes
 * with it. `again` marks rows that came back from the ledger: those alone are in an index by message, the others are
 * found by `messages.keys` (their keys at admission), which spares an index write per message.
 */
const MAIL = `
  CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    keys ANY,
    record TEXT NOT NULL
  ) STRICT;
  CREATE TABLE bodies (message INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE pending (message INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;
  CREATE TABLE shelves (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    tenant TEXT NOT NULL,
    next INTEGER NOT NULL,
    count INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX shelves_by_name ON shelves (lane, tenant);
  CREATE TABLE queue (
    key INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    n INTEGER NOT NULL,
    share INTEGER NOT NULL,
    again INTEGER,
    item TEXT NOT NULL
  ) STRICT;
  CREATE INDEX queue_again ON queue (message) WHERE again IS NOT NULL;
  CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    due INTEGER NOT NULL,
    message INTEGER NOT NULL,
    n INTEGER NOT NULL,
    share INTEGER NOT NULL,
    item TEXT NOT NULL
  ) STRICT;
  CREATE INDEX ledger_by_due ON ledger (due);
  CREATE INDEX ledger_by_message ON ledger (message);
  CREATE TABLE outcomes (
    seq INTEGER PRIMARY KEY,
    message INTEGER,
    n INTEGER NOT NULL,
    state TEXT,
    json TEXT NOT NULL
  ) STRICT;
  CREATE INDEX outcomes_by_message ON outcomes (message);
  CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    expires INTEGER NOT NULL,
    response TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE objects (id TEXT NOT NULL UNIQUE, expires INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
  CREATE INDEX objects_by_expiry ON objects (expires);
  CREATE TABLE documents (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE buckets (name TEXT PRIMARY KEY, tokens REAL NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE checkpoints (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

const SUPPRESSIONS = `
  CREATE TABLE suppressions (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT,
    at INTEGER NOT NULL,
    message TEXT,
    feedback TEXT,
    PRIMARY KEY (tenant, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX suppressions_by_time ON suppressions (tenant, reason, at, key) WHERE reason IS NOT NULL;
  CREATE INDEX suppressions_removed ON suppressions (at) WHERE reason IS NULL;
`;

/** `since` is null in rows of before: they are listed since `at`. */
const SUPPRESSION_HISTORY = `
  ALTER TABLE suppressions ADD COLUMN since INTEGER;
  ALTER TABLE suppressions ADD COLUMN why TEXT;
`;

const ROWS = `
  CREATE TABLE rows (
    kind TEXT NOT NULL,
    partition TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER,
    PRIMARY KEY (kind, partition, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX rows_by_expiry ON rows (expires) WHERE expires IS NOT NULL;
`;

/** Shared limits are divided by what their holders report; before, they were buckets. */
const REPORTS = `
  CREATE TABLE reports (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    count INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, holder)
  ) STRICT, WITHOUT ROWID;
  DROP TABLE buckets;
`;

const SEARCH = `
  CREATE TABLE search_blocks (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, hashes BLOB NOT NULL) STRICT;
`;

const LATER = `
  CREATE TABLE later (
    lane TEXT NOT NULL,
    tenant TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (lane, tenant)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO later
    SELECT json_extract(item, '$.lane'), json_extract(item, '$.tenant'), count(*) FROM ledger GROUP BY 1, 2;
`;

/** Deliveries that wait for a site, which is in few of them. */
const SITES = `
  CREATE INDEX ledger_by_site ON ledger (json_extract(item, '$.site'), due)
    WHERE json_extract(item, '$.site') IS NOT NULL;
`;

/** Time in which the claims of a span expire, ms, and how many a span can have. */
export const CLAIM_SPAN = 300_000;
export const CLAIM_PLACES = 2 ** 28;

/** Claims are written in order of arrival (`claims.ts`); before, by their keys. Of those that expired none is taken along. */
const CLAIMS = `
  CREATE TABLE claims (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    expires INTEGER NOT NULL,
    response TEXT NOT NULL
  ) STRICT;
  INSERT INTO claims
    SELECT expires / ${CLAIM_SPAN} * ${CLAIM_PLACES} + row_number() OVER (PARTITION BY expires / ${CLAIM_SPAN}),
      key, digest, expires, response
    FROM idempotency WHERE expires > (SELECT coalesce(max(seq), 0) / ${PER_MS} FROM messages);
  DROP TABLE idempotency;
`;

/** The schema in steps: a store of version n has had the first n. New steps are put at the end. */
export const STEPS: readonly string[] = [
  MAIL,
  SUPPRESSIONS,
  SUPPRESSION_HISTORY,
  ROWS,
  REPORTS,
  SEARCH,
  LATER,
  SITES,
  CLAIMS,
];

/** Version of this schema, kept in `user_version`. A store with a higher one is refused. */
export const STORE_VERSION = STEPS.length;
