/**
 * Load through the three protocols that survives the server's death: each client sends one message after the
 * other, records which were answered, and connects again when it is cut off. A message whose answer was not
 * read is never sent again, so each recipient is promised at most once.
 */
import { connect } from 'node:net';
import { smtpMessage } from '../../bench/support/messages.ts';
import type { BenchPostern } from '../../bench/support/postern.ts';
import { signedPost } from '../../bench/support/sign.ts';

/** The answers that the clients read. */
export interface Promises {
  /** Recipients of answered messages, and when the answer was read. */
  answered: Map<string, number>;
  /** Messages begun, answered or not. */
  begun: number;
}

export interface Clients extends Promises {
  /** Ends the load; resolves when the last client has stopped. */
  stop(): Promise<void>;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function startClients(postern: BenchPostern, clientsPerProtocol: number): Clients {
  const answered = new Map<string, number>();
  let running = true;
  let begun = 0;

  const begin = (protocol: string): string => `${protocol}-${begun++}@recipient.example`;
  const promise = (recipient: string): void => {
    answered.set(recipient, Date.now());
  };

  /** One SMTP connection from its start to its end. */
  function smtpSession(): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(postern.submission.port, postern.submission.host);
      let recipient = '';
      let stage: 'greeting' | 'ehlo' | 'envelope' | 'body' = 'greeting';
      let rest = '';
      const envelope = (): void => {
        if (!running) {
          socket.end('QUIT\r\n');
          return;
        }
        recipient = begin('smtp');
        stage = 'envelope';
        socket.write(`MAIL FROM:<news@bench.example>\r\nRCPT TO:<${recipient}>\r\nDATA\r\n`);
      };
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => {
        rest += chunk;
        for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
          const line = rest.slice(0, end);
          rest = rest.slice(end + 2);
          if (line[3] === '-') continue;
          if (stage === 'greeting') {
            stage = 'ehlo';
            socket.write('EHLO crash.test\r\n');
          } else if (stage === 'ehlo') envelope();
          else if (stage === 'envelope' && line.startsWith('354')) {
            stage = 'body';
            socket.write(smtpMessage(0).data);
          } else if (stage === 'body') {
            if (line.startsWith('250 ')) promise(recipient);
            envelope();
          }
        }
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve());
    });
  }

  async function sesCall(): Promise<void> {
    const recipient = begin('ses');
    const body = Buffer.from(
      JSON.stringify({
        FromEmailAddress: 'news@bench.example',
        Destination: { ToAddresses: [recipient] },
        Content: {
          Simple: { Subject: { Data: 'Crash' }, Body: { Text: { Data: 'It goes on.\r\n'.repeat(100) } } },
        },
      }),
    );
    const path = '/v2/email/outbound-emails';
    const host = `${postern.api.host}:${postern.api.port}`;
    const wire = signedPost(postern.credentials, host, path, body, crypto.randomUUID());
    const lines = wire.subarray(0, wire.indexOf('\r\n\r\n')).toString().split('\r\n').slice(1);
    const headers = lines
      .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)])
      .filter(([name]) => name !== 'host' && name !== 'content-length');
    const answer = await fetch(`http://${host}${path}`, { method: 'POST', headers, body });
    await answer.text();
    if (answer.status === 200) promise(recipient);
  }

  async function posternCall(): Promise<void> {
    const recipient = begin('postern');
    const { accessKeyId, secretAccessKey } = postern.credentials;
    const answer = await fetch(`http://${postern.api.host}:${postern.api.port}/v1/messages`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${accessKeyId}.${secretAccessKey}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        from: 'news@bench.example',
        to: [recipient],
        subject: 'Crash',
        text: 'It goes on.\r\n'.repeat(100),
      }),
    });
    await answer.text();
    if (answer.status === 202) promise(recipient);
  }

  async function keep(once: () => Promise<void>): Promise<void> {
    while (running) {
      try {
        await once();
      } catch {
        await pause(20);
      }
    }
  }

  const clients = Array.from({ length: clientsPerProtocol }, () => [
    keep(async () => {
      await smtpSession();
      await pause(10);
    }),
    keep(sesCall),
    keep(posternCall),
  ]).flat();

  return {
    answered,
    get begun() {
      return begun;
    },
    async stop() {
      running = false;
      await Promise.all(clients);
    },
  };
}
