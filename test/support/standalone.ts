/** The whole service as `npm start` runs it, in tests: its data in a folder of its own, its mail to a real server. */
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SESv2Client } from '@aws-sdk/client-sesv2';
import { SMTPServer } from 'smtp-server';
import { readSettings } from '../../egress-node/settings.ts';
import { type Standalone, startStandalone } from '../../egress-node/standalone/standalone.ts';
import { type Log, silentLog } from '../../lib/log.ts';

/** A message at the sink. */
export interface Received {
  /** The return path; empty for the null reverse-path. */
  from: string;
  to: string;
  raw: Buffer;
}

/**
 * The parts that outlive a restart of the service: the folder of its data, and the sink for all its mail.
 * The sink refuses `nobody…` for good (550 5.1.1) and `full…` for now (452 4.2.2).
 */
export class StandaloneSite {
  /** The folder of the service's data. */
  readonly directory: string;
  readonly #sink: SMTPServer;
  readonly #received: Received[] = [];
  readonly #events = new EventEmitter();

  private constructor(directory: string) {
    this.directory = directory;
    this.#sink = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      onRcptTo({ address }, _session, callback) {
        if (address.startsWith('nobody')) callback(refusal(550, '5.1.1 No such user'));
        else if (address.startsWith('full')) callback(refusal(452, '4.2.2 Mailbox full'));
        else callback();
      },
      onData: (stream, { envelope: { mailFrom, rcptTo } }, callback) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          this.#received.push({
            from: mailFrom ? mailFrom.address : '',
            to: rcptTo[0]!.address,
            raw: Buffer.concat(chunks),
          });
          callback();
          this.#events.emit('received');
        });
      },
    });
  }

  static async open(): Promise<StandaloneSite> {
    const site = new StandaloneSite(await mkdtemp(join(tmpdir(), 'postern-standalone-')));
    site.#sink.listen(0, '127.0.0.1');
    await once(site.#sink.server, 'listening');
    return site;
  }

  /** Starts the service as `mail.example.com`, on free ports, with this environment. */
  start(environment: NodeJS.ProcessEnv = {}, log: Log = silentLog): Promise<Standalone> {
    const { port } = this.#sink.server.address() as AddressInfo;
    const settings = readSettings(
      {
        POSTERN_DATA: this.directory,
        POSTERN_API: '127.0.0.1:0',
        POSTERN_SUBMISSION: '127.0.0.1:0',
        POSTERN_INBOUND: '127.0.0.1:0',
        POSTERN_ROUTES: `*=127.0.0.1:${port}`,
        ...environment,
      },
      { hostname: 'mail.example.com' },
      { verifyIdentities: false },
    );
    return startStandalone(settings, log);
  }

  /** The first message to a recipient at the sink so far. */
  received(to: string): Received | undefined {
    return this.#received.find((one) => one.to === to);
  }

  /** The first message to a recipient, when the sink has it. */
  async delivered(to: string): Promise<Received> {
    for (;;) {
      const found = this.received(to);
      if (found) return found;
      await once(this.#events, 'received');
    }
  }

  /** Closes the sink and removes the data; the service has been stopped. */
  async close(): Promise<void> {
    this.#sink.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

function refusal(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** A client of the service's SES API, by a key. */
export function sesClient(
  { listening }: Standalone,
  { id, secret }: { id: string; secret: string },
): SESv2Client {
  return new SESv2Client({
    endpoint: `http://${listening.api}`,
    region: 'us-east-1',
    credentials: { accessKeyId: id, secretAccessKey: secret },
  });
}
