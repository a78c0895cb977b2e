import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import {
  BadRequestException,
  GetAccountCommand,
  InternalServiceErrorException,
  LimitExceededException,
  MessageRejected,
  NotFoundException,
  SendEmailCommand,
  type SendEmailCommandInput,
  SendingPausedException,
  TooManyRequestsException,
} from '@aws-sdk/client-sesv2';
import { type ErrorCode, PosternError } from '../../../lib/errors.ts';
import { HANDLERS } from '../../../lib/ses/handlers.ts';
import { SES_V2 } from '../../../lib/ses/model/models.ts';
import { REFUSED } from '../../../lib/ses/refusals.ts';
import { systemClock } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';
import { KEY, type SesServer, send, startSesServer } from '../../support/ses-server.ts';
import { sign } from '../../support/signing.ts';

const MESSAGE: SendEmailCommandInput = {
  FromEmailAddress: 'sender@example.com',
  Destination: { ToAddresses: ['to@example.net'] },
  Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'text' } } } },
};

describe('errors', () => {
  let server: SesServer;
  before(async () => {
    server = await startSesServer();
  });
  after(() => server.close());

  const typed: [ErrorCode, new (...args: never[]) => Error, number][] = [
    ['identity_not_verified', MessageRejected, 400],
    ['message_rejected', MessageRejected, 400],
    ['invalid_address', BadRequestException, 400],
    ['configuration_set_missing', NotFoundException, 404],
    ['limit_exceeded', LimitExceededException, 400],
    ['sending_paused', SendingPausedException, 400],
    ['throttled', TooManyRequestsException, 429],
    ['internal', InternalServiceErrorException, 500],
    ['storage_full', InternalServiceErrorException, 503],
    ['storage_unavailable', InternalServiceErrorException, 503],
  ];
  for (const [code, type, status] of typed) {
    test(`${code} is a ${type.name} (${status})`, async () => {
      server.accept.refuse = () => {
        throw new PosternError(code, `About ${code}.`);
      };
      await assert.rejects(server.client().send(new SendEmailCommand(MESSAGE)), (error) => {
        assert.ok(error instanceof type, String(error));
        const { message, name, $metadata } = error as InstanceType<typeof MessageRejected>;
        assert.equal(name, type.name);
        assert.equal(message, `About ${code}.`);
        assert.equal($metadata.httpStatusCode, status);
        assert.match($metadata.requestId!, /^[0-9a-f-]{36}$/);
        return true;
      });
      server.accept.refuse = () => {};
    });
  }

  test('is typed by its body alone, where something on the way drops its header', async () => {
    const proxied = await startSesServer({
      before(_incoming, outgoing) {
        const writeHead = outgoing.writeHead.bind(outgoing);
        outgoing.writeHead = ((status: number, headers: Record<string, string>) => {
          delete headers['x-amzn-errortype'];
          return writeHead(status, headers);
        }) as typeof outgoing.writeHead;
        return false;
      },
    });
    proxied.accept.refuse = () => {
      throw new PosternError('sending_paused', 'Sending is paused.');
    };
    try {
      const reply = await send(proxied, { body: JSON.stringify(MESSAGE) });
      assert.equal(reply.headers['x-amzn-errortype'], undefined);
      await assert.rejects(proxied.client().send(new SendEmailCommand(MESSAGE)), SendingPausedException);
    } finally {
      await proxied.close();
    }
  });

  test('an unexpected error is logged in full, and hidden from the caller', async () => {
    server.log.length = 0;
    server.accept.failure = new TypeError('secret detail of /srv/postern');
    const reply = await send(server, { body: JSON.stringify(MESSAGE) });
    server.accept.failure = undefined;
    assert.equal(reply.status, 500);
    assert.equal(reply.headers['x-amzn-errortype'], 'InternalServiceErrorException');
    assert.deepEqual(reply.json, {
      __type: reply.headers['x-amzn-errortype'],
      message: 'Something went wrong on our side.',
    });
    const [line] = server.log;
    assert.equal(line!.event, 'ses.failed');
    assert.equal(line!.fields!.requestId, reply.headers['x-amzn-requestid']);
    assert.match(String(line!.fields!.error), /secret detail/);
  });

  test('a storage error of the whole call is answered 503', async () => {
    server.accept.failure = new PosternError('storage_locked', 'Another process uses the data directory.');
    const reply = await send(server, { body: JSON.stringify(MESSAGE) });
    server.accept.failure = undefined;
    assert.equal(reply.status, 503);
    assert.equal(reply.headers['x-amzn-errortype'], 'InternalServiceErrorException');
  });

  test('every unsupported operation is refused with its name and the reason', async () => {
    let refused = 0;
    for (const [operation, { method, path }] of Object.entries(SES_V2.operations)) {
      if (HANDLERS.has(operation)) continue;
      const reply = await send(server, { method, rawPath: path.replace(/\{\w+\}/g, 'x'), body: '' });
      assert.equal(reply.status, 400, operation);
      assert.equal(reply.headers['x-amzn-errortype'], 'BadRequestException');
      const { message } = reply.json as { message: string };
      assert.ok(message.startsWith(`${operation} is not supported by this service: `), message);
      refused++;
    }
    assert.equal(refused + HANDLERS.size, 117);
    // Amazon's own: paid dashboards, S/MIME certificates, endpoints in several regions.
    assert.equal(REFUSED.size, 18);
    for (const operation of REFUSED) assert.ok(operation in SES_V2.operations && !HANDLERS.has(operation));
  });

  test('an unknown path or method is an unknown operation', async () => {
    for (const [method, rawPath] of [
      ['GET', '/v2/email/outbound-emails'],
      ['POST', '/v2/email/nothing'],
      ['POST', '/v2/email'],
      ['GET', '/v2/email/identities//'],
      ['GET', '/v2/email/account/../account'],
    ] as const) {
      const reply = await send(server, { method, rawPath });
      assert.equal(reply.status, 404, rawPath);
      assert.equal(reply.headers['x-amzn-errortype'], 'UnknownOperationException');
    }
  });

  test('a path label that is not UTF-8 is refused', async () => {
    const reply = await send(server, { method: 'GET', rawPath: '/v2/email/identities/%ff' });
    assert.equal(reply.status, 400);
    assert.match(reply.json.message as string, /percent-encoding/);
  });
});

describe('signatures of real clients', () => {
  let server: SesServer;
  before(async () => {
    server = await startSesServer();
  });
  after(() => server.close());

  const cases: [string, { accessKeyId: string; secretAccessKey: string }, object][] = [
    [
      'an unknown key',
      { accessKeyId: 'AKIANOBODY0000000000', secretAccessKey: KEY.secret },
      {
        name: 'UnrecognizedClientException',
        message: 'The security token included in the request is invalid.',
      },
    ],
    [
      'a wrong secret',
      { accessKeyId: KEY.id, secretAccessKey: 'wrong' },
      { name: 'InvalidSignatureException', message: /^The request signature we calculated does not match/ },
    ],
  ];
  for (const [name, credentials, expected] of cases) {
    test(`${name} is refused with its error name`, () =>
      assert.rejects(server.client({ credentials }).send(new GetAccountCommand({})), expected));
  }

  test('a client with a wrong clock corrects it by the answer, and succeeds', async () => {
    for (const offset of [-20 * 60_000, 20 * 60_000]) {
      const clock = { ...systemClock, now: () => Date.now() + offset };
      const other = await startSesServer({ clock });
      try {
        const client = other.client({ maxAttempts: 3 });
        const { $metadata } = await client.send(new GetAccountCommand({}));
        assert.equal($metadata.attempts, 2);
        await assert.rejects(other.client().send(new GetAccountCommand({})), {
          name: 'InvalidSignatureException',
          message: offset > 0 ? /^Signature expired/ : /^Signature not yet current/,
        });
      } finally {
        await other.close();
      }
    }
  });

  test('a request without a signature is refused before its body is read', async () => {
    const reply = await send(server, { extra: { authorization: '' }, body: 'x'.repeat(100_000) });
    assert.equal(reply.status, 403);
    assert.match(reply.headers['x-amzn-errortype'] as string, /IncompleteSignature/);
  });
});

describe('the body of a request', () => {
  /** Raw content of 30,000 bytes in base64, and 1 MiB for the rest of the request. */
  const LIMIT = 40_000 + 1024 * 1024;
  let server: SesServer;
  before(async () => {
    server = await startSesServer({ limits: { messageBytes: 30_000 } });
  });
  after(() => server.close());

  /** A valid request of exactly this size. */
  const ofSize = (size: number): string => JSON.stringify(MESSAGE).padEnd(size, ' ');

  for (const chunked of [false, true]) {
    const how = chunked ? 'in chunks' : 'with its length announced';
    test(`of the limit is accepted, ${how}`, async () => {
      assert.equal((await send(server, { body: ofSize(LIMIT), chunked })).status, 200);
    });
    test(`of one byte more is refused, ${how}`, async () => {
      const reply = await send(server, { body: ofSize(LIMIT + 1), chunked });
      assert.equal(reply.status, 413);
      assert.equal(reply.headers['x-amzn-errortype'], 'RequestEntityTooLargeException');
    });
  }

  test('of nothing is an empty object', async () => {
    assert.match((await send(server, { body: '' })).json.message as string, /'content'/);
  });

  test('that is cut off does not disturb the server', async () => {
    const signed = await sign({ ...KEY, at: Date.now(), rawPath: '/v2/email/outbound-emails' });
    const socket = connect(server.port, '127.0.0.1');
    socket.write(wire(signed.headers, 100, '{'));
    await once(socket, 'ready');
    socket.destroy();
    assert.equal((await send(server, { body: ofSize(1000) })).status, 200);
  });
});

function wire(headers: [string, string][], length: number, body: string): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `POST /v2/email/outbound-emails HTTP/1.1\r\n${lines}content-length: ${length}\r\n\r\n${body}`;
}

test('a body of 1 byte/s is answered 408, and its connection closed', async () => {
  const clock = new TestClock();
  const server = await startSesServer({ clock, limits: { bodyGrace: 20_000, bodyRate: 1024 } });
  try {
    const before = clock.pending;
    // boto3 declares no payload hash: only the whole body shows whether the signature is valid.
    const signed = await sign({
      ...KEY,
      at: clock.now(),
      rawPath: '/v2/email/outbound-emails',
      checksum: false,
    });
    const socket = connect(server.port, '127.0.0.1');
    let reply = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      reply += chunk;
    });
    socket.write(wire(signed.headers, 100, ''));
    while (clock.pending === before) await new Promise((resolve) => setImmediate(resolve));
    for (let second = 0; second < 21 && reply === ''; second++) {
      socket.write('{');
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1000);
    }
    await once(socket, 'close');
    assert.match(reply, /^HTTP\/1\.1 408 /);
    assert.match(reply, /x-amzn-errortype: RequestTimeout/);
    assert.match(reply, /connection: close/i);
    assert.equal(clock.pending, before);
  } finally {
    await server.close();
  }
});

/** Calls back with each chunk that the server reads, and reads none itself. */
function watchBody(incoming: IncomingMessage, onChunk: (chunk: Buffer) => void): void {
  const attach = (event: string | symbol): void => {
    if (event !== 'data') return;
    incoming.off('newListener', attach);
    incoming.on('data', onChunk);
  };
  incoming.on('newListener', attach);
}

test('large bodies are bounded together, and small ones pass', async () => {
  const server = await startSesServer({ limits: { bufferedBytes: 100_000 } });
  try {
    const slow = connect(server.port, '127.0.0.1');
    const signed = await sign({
      ...KEY,
      at: Date.now(),
      rawPath: '/v2/email/outbound-emails',
    });
    let reading = false;
    server.server.once('request', (incoming) => {
      watchBody(incoming, () => {
        reading = true;
      });
    });
    slow.write(wire(signed.headers, 120_000, ' '.repeat(60_000)));
    while (!reading) await new Promise((resolve) => setImmediate(resolve));
    const large = await send(server, { body: JSON.stringify(MESSAGE).padEnd(90_000) });
    assert.equal(large.status, 429);
    assert.equal(large.headers['x-amzn-errortype'], 'TooManyRequestsException');
    assert.equal((await send(server, { body: JSON.stringify(MESSAGE) })).status, 200);
    slow.destroy();
    await once(slow, 'close');
    while ((await send(server, { body: JSON.stringify(MESSAGE).padEnd(90_000) })).status !== 200);
  } finally {
    await server.close();
  }
});

test('bodies whose signature is verifiable only at their end have a small budget of their own', async () => {
  const unprovenBytes = 100_000;
  const server = await startSesServer({ limits: { unprovenBytes, messageBytes: 1_000 } });
  const most = 1024 * 1024 + 1336;
  const sockets: Socket[] = [];
  const hold = async (keyId: string, announced: number, sent: number): Promise<Socket> => {
    const signed = await sign({
      ...KEY,
      id: keyId,
      at: Date.now(),
      rawPath: '/v2/email/outbound-emails',
      checksum: false,
    });
    const socket = connect(server.port, '127.0.0.1').setEncoding('latin1');
    sockets.push(socket);
    socket.write(wire(signed.headers, announced, ' '.repeat(sent)));
    return socket;
  };
  const answerOf = async (socket: Socket): Promise<string> => String((await once(socket, 'data'))[0]);
  try {
    const large = await answerOf(await hold(KEY.id, most + 1, 0));
    assert.match(large, /^HTTP\/1\.1 413 /);
    // All but the last 1,000 octets of a request of the largest size.
    const arrived = new Promise<void>((resolve) => {
      server.server.once('request', (incoming) => {
        let size = 0;
        watchBody(incoming, (chunk) => {
          size += chunk.length;
          if (size === most - 1_000) resolve();
        });
      });
    });
    await hold(KEY.id, most, most - 1_000);
    await arrived;
    const small = JSON.stringify(MESSAGE).padEnd(1_000);
    const unproven = () => send(server, { body: small, checksum: false });
    assert.equal((await unproven()).status, 200);
    assert.equal((await send(server, { body: `${small} `, checksum: false })).status, 429, 'below 64 KB too');
    assert.equal(
      (await send(server, { body: small })).status,
      200,
      'a declared hash proves the caller first',
    );
    const unknown = await answerOf(await hold('AKIANOBODY0000000000', 100_000, 0));
    assert.match(unknown, /^HTTP\/1\.1 403 [\s\S]*UnrecognizedClientException/, 'before its body was sent');
    for (const socket of sockets.splice(0)) socket.destroy();
    while ((await unproven()).status !== 200);
  } finally {
    for (const socket of sockets) socket.destroy();
    await server.close();
  }
});

test('a request with two Host headers, or with none, is refused by both APIs', async () => {
  const server = await startSesServer();
  try {
    for (const path of ['/v2/email/account', '/v1/openapi.json', '/nothing']) {
      for (const hosts of ['Host: a.example\r\nHost: b.example\r\n', 'Host: a\r\nhost: a\r\n', '']) {
        const socket = connect(server.port, '127.0.0.1').setEncoding('latin1');
        socket.write(`GET ${path} HTTP/1.1\r\n${hosts}Connection: close\r\n\r\n`);
        assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 400 /, `${path} ${hosts}`);
        socket.destroy();
      }
    }
  } finally {
    await server.close();
  }
});
