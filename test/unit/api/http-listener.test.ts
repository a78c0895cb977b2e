/**
 * The HTTP server in front of the APIs, on raw sockets. Each request goes both ways: with a plain host straight to its API,
 * with capitals in its host by way of Hono.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { KEY, type SesServer, startSesServer } from '../../support/ses-server.ts';
import { sign, type ToSign } from '../../support/signing.ts';

const MESSAGE = JSON.stringify({
  FromEmailAddress: 'sender@example.com',
  Destination: { ToAddresses: ['to@example.net'] },
  Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'text' } } } },
});
const PATH = '/v2/email/outbound-emails';
/** `Math.ceil(1_000 / 3) * 4` and 1 MiB: the most that a request has with messages of 1,000 octets. */
const MOST = 1_336 + 1024 * 1024;

let server: SesServer;
const sockets: Socket[] = [];
before(async () => {
  server = await startSesServer({ limits: { messageBytes: 1_000 } });
});
after(async () => {
  for (const socket of sockets) socket.destroy();
  await server.close();
});

/** The head of a signed request, without its last line break. */
async function head(host: string, request: Partial<ToSign> = {}, path = PATH): Promise<string> {
  const { headers, method } = await sign({
    ...KEY,
    at: Date.now(),
    rawPath: path,
    ...request,
    headers: { host, ...request.headers },
  });
  return `${method} ${path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}`;
}

interface Answer {
  status: number;
  headers: string;
  body: string;
}

/** A connection, and its answers in their order. */
function open(): { socket: Socket; answer(): Promise<Answer> } {
  const socket = connect(server.port, '127.0.0.1').setEncoding('latin1');
  sockets.push(socket);
  let got = '';
  socket.on('data', (chunk: string) => {
    got += chunk;
  });
  return {
    socket,
    async answer() {
      for (;;) {
        const end = got.indexOf('\r\n\r\n') + 4;
        const length = Number(/content-length: (\d+)/i.exec(got.slice(0, end))?.[1] ?? 0);
        if (end > 3 && got.length >= end + length) {
          const answer = {
            status: Number(got.slice(9, 12)),
            headers: got.slice(0, end),
            body: got.slice(end, end + length),
          };
          got = got.slice(end + length);
          return answer;
        }
        await once(socket, 'data');
      }
    },
  };
}

async function ask(bytes: string): Promise<Answer> {
  const { socket, answer } = open();
  socket.write(bytes, 'latin1');
  const got = await answer();
  socket.destroy();
  return got;
}

const sized = (body: string): string => `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

for (const [way, host] of [
  ['straight', 'mail.example'],
  ['by way of Hono', 'MAIL.example'],
]) {
  describe(`a request that goes ${way}`, () => {
    test('is answered once, with its length', async () => {
      const got = await ask((await head(host!, { body: MESSAGE })) + sized(MESSAGE));
      assert.equal(got.status, 200);
      assert.match(got.headers, /content-type: application\/json\r\n/i);
      assert.match(got.headers, /x-amzn-requestid: [0-9a-f-]{36}\r\n/i);
      assert.deepEqual(Object.keys(JSON.parse(got.body) as object), ['MessageId']);
      assert.equal(server.accept.last.from, 'sender@example.com');
    });

    test('has its body in chunks of one octet', async () => {
      const chunks = Array.from(MESSAGE)
        .map((octet) => `1\r\n${octet}\r\n`)
        .join('');
      const got = await ask(
        `${await head(host!, { body: MESSAGE })}transfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
      );
      assert.equal(got.status, 200, got.body);
    });

    test('has its body in many packets', async () => {
      const { socket, answer } = open();
      socket
        .setNoDelay(true)
        .write(`${await head(host!, { body: MESSAGE })}${sized(MESSAGE).slice(0, -MESSAGE.length)}`);
      for (let at = 0; at < MESSAGE.length; at += 20) {
        socket.write(MESSAGE.slice(at, at + 20));
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal((await answer()).status, 200);
      socket.destroy();
    });

    test('waits for 100 Continue', async () => {
      const { socket, answer } = open();
      socket.write(
        `${await head(host!, { body: MESSAGE })}expect: 100-continue\r\ncontent-length: ${MESSAGE.length}\r\n\r\n`,
      );
      assert.equal((await answer()).headers, 'HTTP/1.1 100 Continue\r\n\r\n');
      socket.write(MESSAGE);
      assert.equal((await answer()).status, 200);
      socket.destroy();
    });

    test('comes with others in one packet, and the answers keep their order', async () => {
      const { socket, answer } = open();
      const good = (await head(host!, { body: MESSAGE })) + sized(MESSAGE);
      const broken = (await head(host!, { body: '{' })) + sized('{');
      socket.write(good + broken + good);
      const answers = [await answer(), await answer(), await answer()];
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 400, 200],
      );
      const ids = answers.map(({ headers }) => /x-amzn-requestid: (\S+)/i.exec(headers)![1]);
      assert.equal(new Set(ids).size, 3);
      socket.destroy();
    });

    test('has a body of the largest size, and one octet more is refused before it is read', async () => {
      const largest = MESSAGE.padEnd(MOST);
      assert.equal((await ask((await head(host!, { body: largest })) + sized(largest))).status, 200);
      const { socket, answer } = open();
      socket.write(`${await head(host!, { body: `${largest} ` })}content-length: ${MOST + 1}\r\n\r\n`);
      assert.equal((await answer()).status, 413);
      // The rest of the body is still taken, and the connection serves the next request.
      socket.write(`${largest} `);
      socket.write((await head(host!, { body: MESSAGE })) + sized(MESSAGE));
      assert.equal((await answer()).status, 200);
      socket.destroy();
    });

    test('has a chunked body that grows beyond the largest size', async () => {
      const { socket, answer } = open();
      socket.write(`${await head(host!, { body: 'x' })}transfer-encoding: chunked\r\n\r\n`);
      socket.write(`${(MOST + 1).toString(16)}\r\n${' '.repeat(MOST + 1)}\r\n`);
      assert.equal((await answer()).status, 413);
      socket.destroy();
    });

    test('has a body that is no JSON, or JSON of another type', async () => {
      for (const body of ['{', '[]', 'null', '"text"', '1', '\u0000', MESSAGE.slice(0, -1)]) {
        const got = await ask((await head(host!, { body })) + sized(body));
        assert.equal(got.status, 400, body);
        assert.match(got.headers, /x-amzn-errortype: BadRequestException|SerializationException/i);
      }
      const notUtf8 = Buffer.from([0x7b, 0xff, 0x7d]);
      const got = await ask(
        `${await head(host!, { body: notUtf8 })}content-length: 3\r\n\r\n${notUtf8.toString('latin1')}`,
      );
      assert.match(got.body, /not valid UTF-8/);
    });

    test('has a content type that is another, or none: the body is JSON all the same', async () => {
      for (const type of [
        'text/plain',
        'application/x-amz-json-1.1',
        'multipart/form-data; boundary=x',
        '',
      ]) {
        const got = await ask(
          (await head(host!, { body: MESSAGE, headers: { 'content-type': type } })) + sized(MESSAGE),
        );
        assert.equal(got.status, 200, type);
      }
    });

    test('is cut off in its body, or before its answer, and the server goes on', async () => {
      const calls = server.accept.calls.length;
      const cut = open();
      cut.socket.write(`${await head(host!, { body: MESSAGE })}${sized(MESSAGE).slice(0, -5)}`);
      await once(server.server, 'request');
      cut.socket.destroy();
      const gone = open();
      gone.socket.write((await head(host!, { body: MESSAGE })) + sized(MESSAGE));
      await once(server.server, 'request');
      gone.socket.resetAndDestroy();
      while (server.accept.calls.length === calls) await new Promise((resolve) => setImmediate(resolve));
      assert.equal((await ask((await head(host!, { body: MESSAGE })) + sized(MESSAGE))).status, 200);
    });

    test('is refused before its body, which is cut off when it goes on without end', async () => {
      const { socket, answer } = open();
      socket.on('error', () => {});
      socket.write(`POST ${PATH} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 1000000000000000\r\n\r\n`);
      assert.equal((await answer()).status, 403);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const piece = Buffer.alloc(64 * 1024);
      const feed = (): void => {
        while (!socket.destroyed && socket.write(piece));
      };
      socket.on('drain', feed);
      feed();
      await closed;
    });

    test('needs no body, and has no operation', async () => {
      const account = await ask(`${await head(host!, { method: 'GET' }, '/v2/email/account')}\r\n`);
      assert.equal(account.status, 200);
      const unknown = await ask(`${await head(host!, { method: 'PUT' }, '/v2/email/nothing')}\r\n`);
      assert.equal(unknown.status, 404);
      assert.match(unknown.headers, /x-amzn-errortype: UnknownOperationException/i);
    });
  });
}

/** An answer without what differs from one call to the next. */
function compared({ status, headers, body }: Answer) {
  const lines = headers.toLowerCase().split('\r\n').slice(1, -2);
  const alike = (text: string): string => text.replace(/[0-9a-f]{8}-[0-9a-f-]{27}|0100-\d+/gi, '…');
  return {
    status,
    headers: lines
      .filter((line) => !line.startsWith('date: '))
      .map(alike)
      .sort(),
    body: alike(body),
  };
}

test('both ways give the same answers', async () => {
  const bearer = `authorization: Bearer ${KEY.id}.${KEY.secret}\r\n`;
  const sesV1 = async (host: string, form: string, secret = KEY.secret): Promise<string> =>
    (await head(host, { body: form, secret }, '/')) + sized(form);
  const own =
    (path: string, body: string | undefined, more = bearer) =>
    (host: string) =>
      Promise.resolve(
        body === undefined
          ? `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${more}\r\n`
          : `POST ${path} HTTP/1.1\r\nhost: ${host}\r\n${more}${sized(body)}`,
      );
  const v1 = 'Version=2010-12-01&Source=sender%40example.com&Action=';
  const simple = 'Message.Subject.Data=Hi&Message.Body.Text.Data=text';
  const raw = Buffer.from('From: a@example.com\r\nTo: b@example.net\r\n\r\ntext').toString('base64');
  const message = JSON.stringify({ from: 'a@example.com', to: ['b@example.net'], subject: 'x', text: 'y' });
  const requests: [what: string, status: number, make: (host: string) => Promise<string>][] = [
    ['v2', 200, async (host) => (await head(host, { body: MESSAGE })) + sized(MESSAGE)],
    ['v2, not JSON', 400, async (host) => (await head(host, { body: '{' })) + sized('{')],
    [
      'v1',
      200,
      (host) => sesV1(host, `${v1}SendEmail&Destination.ToAddresses.member.1=b@example.net&${simple}`),
    ],
    ['v1, raw', 200, (host) => sesV1(host, `${v1}SendRawEmail&RawMessage.Data=${encodeURIComponent(raw)}`)],
    ['v1, another secret', 403, (host) => sesV1(host, `${v1}SendEmail`, 'x'.repeat(40))],
    ['v1, no such action', 400, (host) => sesV1(host, `${v1}Nothing`)],
    ['v1, a required member', 400, (host) => sesV1(host, `${v1}SendEmail`)],
    ['v1, GET', 403, own('/', undefined, '')],
    ['/v1/messages', 202, own('/v1/messages', message)],
    ['/v1/messages, no JSON', 400, own('/v1/messages', '{')],
    ['/v1/messages, a wrong member', 400, own('/v1/messages', '{"frm":1}')],
    ['/v1/messages, no key', 401, own('/v1/messages', message, '')],
    ['/v1/messages, too large', 413, own('/v1/messages', message.padEnd(MOST + 1))],
    ['/v1, a list', 200, own('/v1/keys', undefined)],
  ];
  const asked = async (make: (host: string) => Promise<string>, host: string): Promise<Answer> => {
    // The fake numbers its messages: answers with numbers of one and of two digits differ in length.
    server.accept.submissions.length = 0;
    return ask(await make(host));
  };
  // What is loaded at its first call is loaded by way of Hono.
  for (const [, , make] of requests) await asked(make, 'MAIL.example');
  for (const [what, status, make] of requests) {
    const before = server.byHono();
    const straight = await asked(make, 'mail.example');
    assert.equal(server.byHono(), before, what);
    const round = await asked(make, 'MAIL.example');
    assert.equal(server.byHono(), before + 1, what);
    assert.equal(straight.status, status, `${what}: ${straight.body}`);
    assert.deepEqual(compared(straight), compared(round), what);
  }
});

test('paths that a URL parser changes lead where they led', async () => {
  for (const [path, status] of [
    ['/v2/email/../../healthz', 404],
    ['/v2/email/%2e%2e/x', 404],
    ['/v2/email/a\\b', 400],
    ['/v2/email', 403],
    ['/v2/emails', 404],
  ] as const) {
    const { socket } = open();
    socket.write(`GET ${path} HTTP/1.1\r\nhost: mail.example\r\nconnection: close\r\n\r\n`);
    assert.equal(Number(String((await once(socket, 'data'))[0]).slice(9, 12)), status, path);
    socket.destroy();
  }
});

test('HEAD gets no body', async () => {
  const { socket } = open();
  socket.write(`HEAD ${PATH} HTTP/1.1\r\nhost: mail.example\r\nconnection: close\r\n\r\n`);
  let got = '';
  socket.on('data', (chunk: string) => {
    got += chunk;
  });
  await once(socket, 'close');
  assert.match(got, /^HTTP\/1\.1 403 /);
  assert.ok(got.endsWith('\r\n\r\n'));
});
