/**
 * Carries complaints and late bounces to the warm-up of the IP that sent the message. A report arrives at any node
 * that the MX names; the node that holds the IP's lease keeps its budgets. Between the two, the report is a document
 * under the IP:
 * ```
 *  inbound ── put ──► store ── watch ──► owner of the IP: counts it, saves the IP's state with its id ── remove
 *                                                          └─ dies here: the next owner finds the id, and removes
 * ```
 * So each report is counted once, whichever process crashes. Only IPs that warm up have any.
 */
import { createHash } from 'node:crypto';
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { type Clock, DAY } from '../time.ts';
import type { Signal } from '../warmup/verdict.ts';
import { DocumentMirror } from './document-mirror.ts';

/** What a report means for the IP that sent a message. */
export interface WarmupReport {
  ip: string;
  provider: string;
  signal: Signal;
  /** When the report arrived, ms. */
  at: number;
}

export interface WarmupReports {
  /**
   * Stores a report, durable when it resolves. A repeat for the same delivery counts once.
   * @throws PosternError of the storage group.
   */
  put(report: WarmupReport, delivery: { messageId: string; n: number }): Promise<void>;
  /** IPs that have reports. */
  ips(): string[];
  /** Reports about an IP that were not removed, by id, the oldest first. */
  of(ip: string): ReadonlyMap<string, WarmupReport>;
  /** @throws PosternError of the storage group. */
  remove(ip: string, id: string): Promise<void>;
  close(): void;
}

const KIND = 'warmup-report';
/** How long a report is kept for an IP that no node holds, ms. */
const KEEP = 7 * DAY;
const NONE: ReadonlyMap<string, WarmupReport> = new Map();

/** @throws PosternError of the storage group. */
export async function openWarmupReports(config: Config, clock: Clock): Promise<WarmupReports> {
  const byIp = new Map<string, Map<string, WarmupReport>>();
  const mirror = new DocumentMirror<WarmupReport>(config, KIND, clock, (key, report) => {
    const [ip, id] = partsOf(key);
    const known = byIp.get(ip) ?? new Map<string, WarmupReport>();
    if (report === undefined) known.delete(id);
    else known.set(id, report);
    if (known.size > 0) byIp.set(ip, known);
    else byIp.delete(ip);
  });
  const unwatch = mirror.watch();
  const close = (): void => {
    unwatch();
    mirror.close();
  };
  try {
    await mirror.load();
    const forgotten = clock.now() - KEEP;
    for (const key of mirror.keys()) if (mirror.get(key)!.at < forgotten) await mirror.delete(key);
  } catch (error) {
    close();
    throw error;
  }

  return {
    async put(report, { messageId, n }) {
      const id = createHash('sha256').update(`${messageId}/${n}/${report.signal}`).digest('base64url');
      try {
        await mirror.replace(keyOf(report.ip, id.slice(0, 12)), report, 0);
      } catch (error) {
        if (!(error instanceof PosternError && error.code === 'config_conflict')) throw error;
      }
    },
    ips: () => [...byIp.keys()],
    of: (ip) => byIp.get(ip) ?? NONE,
    async remove(ip, id) {
      await mirror.delete(keyOf(ip, id));
    },
    close,
  };
}

function keyOf(ip: string, id: string): string {
  return `${ip}/${id}`;
}

function partsOf(key: string): [ip: string, id: string] {
  const at = key.lastIndexOf('/');
  return [key.slice(0, at), key.slice(at + 1)];
}
