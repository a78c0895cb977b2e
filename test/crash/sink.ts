/** The sink of the crash test: a process that outlives every kill and records the time of each reply. */
import { startSink } from '../../bench/support/sink.ts';

const answered: [recipient: string, at: number][] = [];
const sink = await startSink({ onMessage: (recipient) => answered.push([recipient, Date.now()]) });

process.send?.({ port: sink.address.port });
process.on('message', (message) => {
  if (message === 'count') process.send?.({ count: answered.length });
  if (message === 'answered') process.send?.({ answered });
});
process.on('disconnect', () => process.exit());
