/** Connects to a well-known MX as delivery does: from a source address to port 25, until its greeting. Then QUIT. */
import { connect } from 'node:net';
import type { Clock } from '../../time.ts';

/** Time until the greeting, ms. */
const MAX_TIME = 10_000;
/** Octets of a greeting that are read. */
const MAX_GREETING = 1_024;

export interface ProbeTarget {
  /** Address, port and name of the server. */
  address: string;
  port: number;
}

/** @param from source address; absent: the host's choice. @returns why the server was not reached; undefined: it greeted. */
export function probeOutward(
  target: ProbeTarget,
  from: string | undefined,
  clock: Clock,
): Promise<string | undefined> {
  return new Promise((done) => {
    const socket = connect({ host: target.address, port: target.port, localAddress: from });
    let greeting = '';
    const settle = (problem: string | undefined): void => {
      cancel();
      done(problem);
      if (problem === undefined) socket.end('QUIT\r\n');
      else socket.destroy();
    };
    const cancel = clock.after(MAX_TIME, () => settle(`no greeting within ${MAX_TIME / 1000} s`));
    socket.on('error', (error) => settle(error.message));
    socket.on('close', () => settle('the connection was closed before a greeting'));
    socket.on('data', (data) => {
      greeting += data.toString('latin1');
      if (!greeting.includes('\n') && greeting.length < MAX_GREETING) return;
      // A refusal for this address (554) is a greeting, too: the port is open, and mail shows the rest.
      settle(/^\d{3}[ -]/.test(greeting) ? undefined : 'what answers there does not speak SMTP');
    });
  });
}
