/**
 * The memory engine for tests: with a record of its calls, and the faults that a test sets. An engine
 * holds no thread, file or timer of the process, so a test may leave it open.
 */
import type { MessageRecord, Outcome, QueueItem } from '../../lib/engine/items.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type {
  Config,
  ConfigListener,
  Document,
  DocumentQuery,
  Engine,
  LeasedItem,
  LeaseRequest,
  Settlement,
} from '../../lib/engine/ports.ts';
import type { DeliveryState } from '../../lib/engine/states.ts';
import { PosternError } from '../../lib/errors.ts';
import { TestClock } from './clock.ts';

/** Calls of all engines of this process so far. */
let calls = 0;

/** Turns without a call after which only clocks are left to wait for. The memory engine answers in one. */
const QUIET = 10;

/** A port whose calls `settled` counts. */
function counted<T extends object>(port: T): T {
  return new Proxy(port, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]): unknown => {
        calls += 1;
        return member.apply(target, given);
      };
    },
  });
}

/** Runs all work that waits for no clock, that of engines included. */
export async function settled(): Promise<void> {
  for (let quiet = 0, turns = 0; quiet < QUIET; turns += 1) {
    if (turns === 100_000)
      throw new Error('The engines are called again and again, without any time passing.');
    const before = calls;
    await new Promise<void>((resolve) => setImmediate(resolve));
    quiet = calls === before ? quiet + 1 : 0;
  }
}

/** The config port of a memory engine. */
export class TestConfig implements Config {
  readonly #config = counted(openMemory({ clock: new TestClock() }).config);
  readonly #kinds = new Set<string>();
  /** Makes calls fail as those of an unavailable store. */
  failing = false;
  /** Makes writes alone fail. */
  failingWrites = false;
  /** Awaited by each `get` between its read and its answer. */
  delayGet: (() => Promise<void>) | undefined;
  /** Calls of `put`. */
  writes = 0;
  /** Calls of `get` and `getAll`. */
  reads = 0;
  /** Listeners that are subscribed. */
  watchers = 0;

  async get(kind: string, key: string): Promise<Document | undefined> {
    this.reads += 1;
    this.#reach();
    const { delayGet } = this;
    const document = await this.#config.get(kind, key);
    await delayGet?.();
    return document;
  }

  async getAll(kind: string, keys: readonly string[]): Promise<(Document | undefined)[]> {
    this.reads += 1;
    this.#reach();
    const { delayGet } = this;
    const documents = await this.#config.getAll(kind, keys);
    await delayGet?.();
    return documents;
  }

  async list(kind: string, query?: DocumentQuery): Promise<Document[]> {
    this.#reach();
    return this.#config.list(kind, query);
  }

  async count(kind: string, prefix: string): Promise<number> {
    this.#reach();
    return this.#config.count(kind, prefix);
  }

  async put(kind: string, key: string, value: unknown, expect?: number): Promise<number> {
    this.writes += 1;
    this.#reach(this.failingWrites);
    this.#kinds.add(kind);
    return this.#config.put(kind, key, value, expect);
  }

  async delete(kind: string, key: string): Promise<boolean> {
    this.#reach(this.failingWrites);
    return this.#config.delete(kind, key);
  }

  watch(listener: ConfigListener): () => void {
    const leave = this.#config.watch(listener);
    this.watchers += 1;
    return () => {
      this.watchers -= 1;
      leave();
    };
  }

  async catchUp(): Promise<void> {
    this.#reach();
    await this.#config.catchUp();
  }

  /** All stored documents, as text. */
  async dump(): Promise<string> {
    const stored = await Promise.all(Array.from(this.#kinds, (kind) => this.#config.list(kind)));
    return stored
      .flat()
      .map(({ kind, key, value }) => `${kind} ${key} ${JSON.stringify(value)}`)
      .join('\n');
  }

  #reach(failing = false): void {
    if (this.failing || failing) throw new PosternError('storage_unavailable', 'The store is away.');
  }
}

/** A memory engine under egress. */
export class TestEngine {
  /** The ports as another process has them: nothing that is called here is recorded. */
  readonly others: Engine;
  /** What the engine took of egress, in this order. */
  readonly settlements: Settlement[] = [];
  /** Ends that were noted, in order. */
  readonly noted: Settlement[] = [];
  readonly reports: Outcome[] = [];
  readonly extended: LeasedItem[] = [];
  readonly leases: LeaseRequest[] = [];
  /** By `messageId/n`: what records say in place of the queue, as of a delivery that a standard queue hands out after its end. */
  readonly states = new Map<string, DeliveryState>();
  /** Thrown by the next calls of `settle`. */
  readonly settleErrors: Error[] = [];

  constructor(clock: TestClock) {
    const { queue, ledger, records, bodies, suppressions, config, leases, ...rest } = openMemory({ clock });
    this.others = {
      ...rest,
      queue: counted(queue),
      ledger: counted(ledger),
      records: counted(records),
      bodies: counted(bodies),
      suppressions: counted(suppressions),
      config: counted(config),
      leases: counted(leases),
    };
  }

  /** The ports as egress has them. */
  engine(): Engine {
    const { queue, records, leases } = this.others;
    return {
      ...this.others,
      queue: {
        admit: (...call) => queue.admit(...call),
        lanes: () => queue.lanes(),
        depths: (lanes) => queue.depths(lanes),
        lease: (request) => {
          this.leases.push(request);
          return queue.lease(request);
        },
        settle: async (settlements) => {
          const error = this.settleErrors.shift();
          if (error) throw error;
          await queue.settle(settlements);
          this.settlements.push(...settlements);
        },
        note: (ends) => {
          this.noted.push(...ends);
          queue.note(ends);
        },
        extend: (leased, visibility) => {
          this.extended.push(...leased);
          return queue.extend(leased, visibility);
        },
      },
      leases: {
        acquire: (...call) => leases.acquire(...call),
        release: (...call) => leases.release(...call),
        holder: (...call) => leases.holder(...call),
        checkpoint: (...call) => leases.checkpoint(...call),
        saveCheckpoint: (...call) => leases.saveCheckpoint(...call),
        report: (...call) => leases.report(...call),
        reports: (...call) => leases.reports(...call),
        forget: (...call) => leases.forget(...call),
      },
      records: {
        message: (id) => records.message(id),
        call: (id) => records.call(id),
        deliveries: (id) => records.deliveries(id),
        state: async (id, n) => this.states.get(`${id}/${n}`) ?? records.state(id, n),
        claim: (key) => records.claim(key),
        reports: (id) => records.reports(id),
        feed: (...call) => records.feed(...call),
        search: (search) => records.search(search),
        feedEnd: () => records.feedEnd(),
        anonymise: (address, tenant, from) => records.anonymise(address, tenant, from),
        prune: (...call) => records.prune(...call),
        append: async (outcomes) => {
          await records.append(outcomes);
          this.reports.push(...outcomes);
        },
      },
    };
  }

  /** Takes a message with this one delivery. It is in its lane when all is `settled`. */
  enqueue(item: QueueItem, body = Buffer.from('Subject: x\r\n\r\nx\r\n')): void {
    const { messageId: id, tenant, acceptedAt, expiresAt, mailFrom, recipient } = item;
    const record: MessageRecord = {
      v: 1,
      id,
      tenant,
      keyId: 'AKIATEST',
      door: 'smtp',
      sourceIp: '192.0.2.9',
      acceptedAt,
      expiresAt,
      source: mailFrom,
      fromDomain: 'sender.test',
      tags: {},
      class: 'transactional',
      pool: 'default',
      size: body.byteLength,
      recipients: [recipient],
      commonHeaders: { from: [mailFrom], messageId: `<${id}>` },
    };
    void this.others.queue.admit([{ record, body, deliveries: [item] }]);
  }

  /** Deliveries in lanes, not leased. */
  async queued(): Promise<number> {
    return (await this.others.queue.lanes()).reduce((sum, { ready }) => sum + ready, 0);
  }

  /** Settlements of one kind. */
  of<K extends Settlement['kind']>(kind: K): Extract<Settlement, { kind: K }>[] {
    return this.settlements.filter((each) => each.kind === kind) as Extract<Settlement, { kind: K }>[];
  }
}
