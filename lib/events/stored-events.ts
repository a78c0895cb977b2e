/** Events in a process that neither sends nor follows them: what is stored of them, and orders to those who send. */
import { randomUUID } from 'node:crypto';
import type { EventDestination, TargetKind } from '../control/event-destination.ts';
import type { EventQueue, SendResult } from '../engine/destinations.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { EventAccess } from './access.ts';
import type { DestinationStates } from './destination-state.ts';
import type { DestinationHealth } from './followed.ts';
import { orderParcel } from './parcel.ts';
import type { SendAttempt } from './recent-attempts.ts';

/** Kinds that functions send to: there is no disk to write a file on. */
const KINDS: ReadonlySet<TargetKind> = new Set([
  'sns',
  'eventbridge',
  'firehose',
  'cloudwatch',
  'webhook',
  'amqp',
]);
/** Milliseconds that a test is waited for at most, and between two looks for its answer. */
const TEST_WAIT = 20_000;
const TEST_LOOK = 250;

export interface StoredEventsOptions {
  states: DestinationStates;
  queue: EventQueue;
  /** Whether events of the past are kept. */
  replays: boolean;
  clock: Clock;
}

export function openStoredEvents({ states, queue, replays, clock }: StoredEventsOptions): EventAccess {
  return {
    kinds: KINDS,

    async health(ids) {
      const found = await states.getAll(ids);
      const entries = ids.map(async (id, i): Promise<[string, DestinationHealth]> => {
        const { taken, dropped, failures, lastError, waiting, replay } = found[i]!;
        const [oldest] = waiting > 0 ? await states.waiting(id, 1) : [];
        return [
          id,
          {
            id,
            held: waiting,
            taken,
            dropped,
            failures,
            lastError,
            oldest: oldest?.message.at,
            replaying: replay !== undefined,
          },
        ];
      });
      return new Map(await Promise.all(entries));
    },

    attempts: (id): Promise<SendAttempt[]> => states.attempts(id),

    async replay({ id, tenant }, from, to) {
      if (!replays) throw unsupported('This stage keeps no index of events to replay: it has eventDays: 0.');
      if (tenant === undefined) {
        throw unsupported('Events are kept by tenant here: a destination of all tenants cannot be replayed.');
      }
      const requestedAt = clock.now();
      await states.change(id, (now) => ({ ...now, replay: { from, to, requestedAt } }));
      await states.look(id, requestedAt);
      await queue.send([orderParcel({ kind: 'drain', destination: id }, `${requestedAt}`)]);
      return true;
    },

    async test({ id }: EventDestination): Promise<SendResult> {
      const nonce = randomUUID();
      await queue.send([orderParcel({ kind: 'test', destination: id, nonce }, nonce)]);
      for (const end = clock.now() + TEST_WAIT; clock.now() < end; ) {
        await new Promise<void>((done) => clock.after(TEST_LOOK, done));
        const answer = await states.testAnswer(id, nonce);
        if (answer) return answer;
      }
      return {
        kind: 'retry',
        text: `The function that sends did not answer within ${TEST_WAIT / 1000} s. Look at the attempts later.`,
      };
    },
  };
}

function unsupported(text: string): PosternError {
  return new PosternError('unsupported_operation', text);
}
