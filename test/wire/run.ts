/** Plays a dialog against a session and gives back everything that was recorded, in a form that reads well. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import { openSession } from '../../lib/smtp/session.ts';
import type {
  RecipientResult,
  SessionEnd,
  SessionOptions,
  SmtpSession,
  Transaction,
  TransactionResult,
} from '../../lib/smtp/types.ts';
import { TestClock } from '../support/clock.ts';
import { hear, Peer, type PeerStep, say } from './peer.ts';

export const MINUTE = 60_000;

export const BODY = 'Subject: test\r\n\r\nHello.\r\n';

export function mail(to: string | string[], more: Partial<Transaction> = {}): Transaction {
  return {
    mailFrom: 'from@a.test',
    recipients: typeof to === 'string' ? [to] : to,
    bytes: Buffer.from(BODY),
    eightBit: false,
    smtpUtf8: false,
    ...more,
  };
}

/** A peer's part up to its answer to EHLO with these extensions. */
export const opening = (...extensions: string[]): PeerStep[] => [
  say('220 peer ESMTP'),
  hear('EHLO client.test'),
  say(...['peer', ...extensions].map((line, i) => `250${i === extensions.length ? ' ' : '-'}${line}`)),
];

/** The client's pipelined commands for one message to these recipients. */
export const envelope = (...to: string[]): PeerStep =>
  hear('MAIL FROM:<from@a.test>', ...to.map((address) => `RCPT TO:<${address}>`), 'DATA');

/** A peer with PIPELINING, and one with neither that nor CHUNKING. */
export const PIPED = opening('PIPELINING');
export const LOCKSTEP = opening('8BITMIME');

/** The good end, and how it is recorded. */
export const BYE: PeerStep[] = [hear('QUIT'), say('221 bye')];
export const QUIT = 'quit in quit 221';

/** 20 MB: more than any socket buffers. */
export const BIG = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(20_000));

export interface Recorded {
  /** One line for each recipient, of all transactions in the order of `done`. */
  results: string[];
  /** `phase code`, of all transactions. */
  replies: string[];
  end: string;
  ends: SessionEnd[];
  raw: TransactionResult[];
  transcript: string[];
}

export interface Play {
  dialog: PeerStep[];
  items?: Transaction[];
  options?: Partial<SessionOptions>;
  /** How far the clock moves once the peer holds, ms; nothing may have ended one ms before. */
  advance?: number;
  /** Done once the peer holds, in place of the clock. */
  whenHolding?: (session: SmtpSession, peer: Peer) => void;
}

export async function play({
  dialog,
  items = [],
  options = {},
  advance,
  whenHolding,
}: Play): Promise<Recorded> {
  const peer = await Peer.listen(dialog);
  const clock = new TestClock();
  const queue = [...items];
  const recorded: Recorded = { results: [], replies: [], end: '', ends: [], raw: [], transcript: [] };
  const ended = Promise.withResolvers<void>();
  peer.tick = () => clock.advance(60_000);
  const session = openSession({
    address: '127.0.0.1',
    port: peer.port,
    host: 'mx.peer.test',
    ehloName: 'client.test',
    tls: 'off',
    deadlines: DEFAULT_DEADLINES,
    maxTransactions: 1000,
    idle: 0,
    clock,
    next: () => {
      const item = queue.shift();
      if (!item) session.quit();
      return item;
    },
    done: (_item, result) => {
      recorded.raw.push(result);
      recorded.results.push(...result.results.map(showResult));
      recorded.replies.push(...result.replies.map((reply) => `${reply.phase} ${reply.code}`));
    },
    ended: (end) => {
      recorded.ends.push(end);
      recorded.end = `${end.code} in ${end.phase}${end.reply ? ` ${end.reply.code}` : ''}`;
      ended.resolve();
    },
    transcript: (direction, line) => recorded.transcript.push(`${direction} ${line}`),
    ...options,
  });
  if (advance !== undefined || whenHolding) {
    await peer.holding;
    const received = () => recorded.transcript.filter((line) => line.startsWith('<')).length;
    while ((session.localAddress === undefined || received() < peer.said) && recorded.ends.length === 0)
      await turn();
    // What the replies lead to is done behind the input of their turn.
    await turn();
    if (advance !== undefined) {
      clock.advance(advance - 1);
      if (recorded.ends.length > 0) throw new Error(`ended ${recorded.end} before its deadline`);
      clock.advance(1);
    }
    whenHolding?.(session, peer);
  }
  await ended.promise;
  peer.release();
  await peer.finished;
  await turn();
  await peer.close();
  if (peer.problem !== undefined) throw new Error(`${peer.problem}\n${recorded.transcript.join('\n')}`);
  if (recorded.ends.length !== 1) throw new Error(`ended ${recorded.ends.length} times`);
  if (clock.pending > 0) throw new Error('a timer was left behind');
  if (session.state !== 'closed' || session.busy !== 0)
    throw new Error(`left ${session.state}, busy ${session.busy}`);
  return recorded;
}

function showResult(result: RecipientResult): string {
  const why = result.reply ? result.reply.code : result.code;
  return `${result.recipient} ${result.kind} in ${result.phase}: ${why}`;
}

/** A dialog and the whole record it must leave: each recipient, each reply, and what ended the session. */
export interface Dialog extends Play {
  name: string;
  results?: string[];
  replies?: string[];
  end: string;
}

export function dialogs(title: string, cases: Dialog[]): void {
  describe(title, { concurrency: 4 }, () => {
    for (const { name, results = [], replies = [], end, ...script } of cases) {
      test(name, async () => {
        const { results: gotResults, replies: gotReplies, end: gotEnd } = await play(script);
        const got = { results: gotResults, replies: gotReplies, end: gotEnd };
        assert.deepEqual(got, { results, replies, end });
      });
    }
  });
}
