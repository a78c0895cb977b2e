/**
 * The inbound listener: takes bounces, complaints and automatic replies, and nothing else. It relays to nobody
 * and never sends anything, so it can be neither an open relay nor a source of backscatter.
 *
 * ```
 *  RCPT TO        signed return path ─► 250     postmaster@, abuse@ this host ─► 250    else 550 5.1.1
 *  end of DATA    over 1 MB ─► 552      bare CR, LF, NUL ─► 554
 *    return path    bounce or complaint of a delivery that has ended ─► recorded, 250
 *                   the same again, a delay notice, a success notice, an automatic reply ─► counted, 250
 *                   delivery still under way (its own result is being written) ─► 451: the peer comes again
 *    postmaster,    feedback report that shows a signed return path ─► as above
 *    abuse          anything else ─► 550 5.7.1: no person reads here, and to say 250 would be a lie
 *  storage does not answer ─► 451
 * ```
 * 250 is given only when the outcome is durable. Recording is at most once for each delivery and kind: a bounce
 * by the delivery's state, a complaint by what this process has seen last: one that is taken back (`not-spam`) is news.
 */
import type { AddressInfo, Socket } from 'node:net';
import type { SMTPServerSession } from 'smtp-server';
import { SMTPServer } from 'smtp-server';
import type { MessageRecord } from '../engine/items.ts';
import { SCHEMA_VERSION } from '../engine/items.ts';
import type { Engine } from '../engine/ports.ts';
import { FINAL_STATES } from '../engine/states.ts';
import { asPosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ReturnPaths } from '../mail/return-path.ts';
import { sanitise } from '../mail/sanitise.ts';
import { type Feedback, feedbackOf } from '../outcome/feedback.ts';
import type { Report } from '../outcome/report.ts';
import { parseReport } from '../outcome/report.ts';
import type { Clock } from '../time.ts';
import type { GateLimits } from './connection-limiter.ts';
import { createGate, DEFAULT_GATE } from './connection-limiter.ts';

export interface InboundOptions {
  listen: { host: string; port: number };
  /** Name in the greeting; its postmaster@ and abuse@ take feedback reports. */
  hostname: string;
  engine: Engine;
  returnPaths: ReturnPaths;
  clock: Clock;
  log: Log;
  /** Told of each bounce and complaint before it is recorded; what it throws keeps the report with its peer. */
  onFeedback?: (feedback: Feedback, delivery: Target) => Promise<void>;
  /** PEM; absent: no STARTTLS. */
  tls?: { key: string; cert: string };
  limits?: Partial<GateLimits>;
}

/** How many messages ended how, since the start. */
export interface InboundCounts {
  bounces: number;
  complaints: number;
  autoReplies: number;
  /** Reports of what was recorded before. */
  repeats: number;
  /** Delay and success notices, reports of other messages, and what could not be read. */
  ignored: number;
}

export interface Inbound {
  address: AddressInfo;
  counts: Readonly<InboundCounts>;
  /** Stops taking connections; messages being answered are answered. */
  close(): Promise<void>;
}

/** Reports are small; one that returns a huge message whole is refused, and its sender knows how to cut it. */
const MAX_BYTES = 1024 * 1024;
/** The whole of DATA must be here by then (ms): a peer that sends a byte a minute holds no place. */
const DATA_DEADLINE = 120_000;
const COMMAND_TIMEOUT = 60_000;
const CLOSE_TIMEOUT = 10_000;
/** Complaints remembered, so that one is not counted twice. */
const MAX_SEEN = 100_000;

/** The delivery that a return path names. */
export interface Target {
  messageId: string;
  n: number;
}

export function startInbound(options: InboundOptions): Promise<Inbound> {
  const { engine, returnPaths, clock, log, hostname } = options;
  const counts: InboundCounts = { bounces: 0, complaints: 0, autoReplies: 0, repeats: 0, ignored: 0 };
  const gate = createGate({ ...DEFAULT_GATE, ...options.limits }, clock);
  const sockets = new Map<string, Socket>();
  /** Deliveries whose report is being recorded. */
  const busy = new Set<string>();
  /** Deliveries that were complained of, and whether it was taken back. */
  const complained = new Map<string, boolean>();
  const roles = new Set([`postmaster@${hostname}`, `abuse@${hostname}`, 'postmaster']);

  function targetOf(address: string): Target | undefined {
    return returnPaths.read(address, clock.now());
  }

  const server = new SMTPServer({
    ...options.tls,
    name: hostname,
    banner: 'Postern',
    disabledCommands: options.tls ? ['AUTH'] : ['AUTH', 'STARTTLS'],
    authOptional: true,
    disableReverseLookup: true,
    size: MAX_BYTES,
    rejectOversized: true,
    socketTimeout: COMMAND_TIMEOUT,
    closeTimeout: CLOSE_TIMEOUT,
    logger: false,

    onConnect(session, callback) {
      const refusal = gate.open(session.id, session.remoteAddress);
      callback(refusal ? reply(421, refusal) : null);
    },

    onClose(session) {
      gate.close(session.id);
    },

    onMailFrom(_address, session, callback) {
      const refusal = gate.message(session.remoteAddress);
      callback(refusal ? reply(451, refusal) : null);
    },

    onRcptTo({ address }, session, callback) {
      if (session.envelope.rcptTo.length > 0) {
        // A report is about one delivery; each has a return path of its own.
        callback(reply(452, '4.5.3 One recipient at a time, please'));
      } else if (roles.has(address.toLowerCase()) || targetOf(address)) {
        callback();
      } else {
        callback(reply(550, '5.1.1 No such recipient: this host takes reports to its own return paths only'));
      }
    },

    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      const cancel = clock.after(DATA_DEADLINE, () => cutOff(session));
      stream.on('close', cancel);
      stream.on('data', (chunk: Buffer) => {
        if (stream.sizeExceeded) chunks.length = 0;
        else chunks.push(chunk);
      });
      stream.on('end', () => {
        cancel();
        // Over the size smtp-server answers 552 whatever is said here.
        if (stream.sizeExceeded) return callback(null);
        take(Buffer.concat(chunks), session.envelope.rcptTo[0]!.address).then(
          (text) => callback(null, text),
          (error: unknown) => callback(refusalOf(error)),
        );
      });
    },
  });

  /** @returns the text of the 250. @throws what is to be answered instead. */
  async function take(bytes: Buffer, recipient: string): Promise<string> {
    const report = await parseReport(sanitise(bytes, 'refuse'));
    let target = targetOf(recipient);
    if (!target) {
      target = report.kind === 'complaint' ? firstTarget(report.original.returnPaths) : undefined;
      if (!target) {
        throw reply(550, '5.7.1 Only feedback reports about mail from here are taken; nobody reads this');
      }
    }
    return record(target, report);
  }

  function firstTarget(addresses: string[]): Target | undefined {
    for (const address of addresses) {
      const target = targetOf(address);
      if (target) return target;
    }
    return undefined;
  }

  async function record(target: Target, report: Report): Promise<string> {
    const { messageId, n } = target;
    const message = await engine.records.message(messageId);
    const feedback = message && n < message.recipients.length ? feedbackOf(report, message, n) : undefined;
    if (!message || !feedback) {
      if (report.kind === 'auto-reply') counts.autoReplies++;
      else counts.ignored++;
      return '2.0.0 Taken note of';
    }
    const key = `${feedback.kind} ${messageId} ${n}`;
    if (busy.has(key)) throw underWay();
    busy.add(key);
    try {
      if (await isRepeat(feedback, key, message, n)) {
        counts.repeats++;
        return '2.0.0 Known already';
      }
      await options.onFeedback?.(feedback, target);
      const { kind, detail } = feedback;
      const { tenant } = message;
      await engine.records.append([
        { v: SCHEMA_VERSION, messageId, n, at: clock.now(), kind, tenant, detail },
      ]);
      counts[kind === 'bounce' ? 'bounces' : 'complaints']++;
      if (feedback.kind === 'complaint') remember(key, isTakenBack(feedback));
      log.info('report', { kind, messageId, n, recipient: message.recipients[n] });
      return '2.0.0 Recorded';
    } finally {
      busy.delete(key);
    }
  }

  /** @throws a temporary error while the delivery's own result is not yet there: a fast peer bounces first. */
  async function isRepeat(
    feedback: Feedback,
    key: string,
    message: MessageRecord,
    n: number,
  ): Promise<boolean> {
    const state = await engine.records.state(message.id, n);
    if (state === undefined || !FINAL_STATES.has(state)) throw underWay();
    if (feedback.kind === 'bounce') return state !== 'delivered';
    return complained.get(key) === isTakenBack(feedback);
  }

  function remember(key: string, takenBack: boolean): void {
    complained.set(key, takenBack);
    if (complained.size > MAX_SEEN) complained.delete(complained.keys().next().value!);
  }

  function cutOff(session: SMTPServerSession): void {
    const socket = sockets.get(socketKey(session.remoteAddress, session.remotePort));
    socket?.end('421 4.4.2 The message took too long to arrive; closing\r\n');
    socket?.destroySoon();
  }

  function refusalOf(error: unknown): Error {
    if (error instanceof Error && 'responseCode' in error) return error;
    const known = asPosternError(error);
    if (known.code === 'internal') log.error('inbound failed', { error: known.cause });
    return reply(known.entry.smtp, `${known.entry.enhanced} ${known.message}`);
  }

  server.on('error', (error: Error) => log.debug('inbound peer', { error: error.message }));
  server.server.on('connection', (socket: Socket) => {
    const key = socketKey(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    sockets.set(key, socket);
    socket.once('close', () => sockets.delete(key));
  });

  return new Promise((resolve, reject) => {
    server.server.once('error', reject);
    server.listen(options.listen.port, options.listen.host, () => {
      server.server.off('error', reject);
      resolve({
        address: server.server.address() as AddressInfo,
        counts,
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

function isTakenBack({ detail }: Extract<Feedback, { kind: 'complaint' }>): boolean {
  return detail.feedbackType === 'not-spam';
}

/** Answered 451: the peer's queue brings the report again when the delivery's own result is recorded. */
function underWay(): Error {
  return reply(451, '4.3.0 This delivery is still being recorded, try again later');
}

function socketKey(address: string, port: number): string {
  return `${address}|${port}`;
}

/** An error that smtp-server answers with this code and text. */
function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}
