/**
 * The SMTP submission door (RFC 6409), as SES's SMTP interface behaves: STARTTLS or implicit TLS, AUTH PLAIN
 * and LOGIN with the SMTP password derived from an access key's secret, `250 Ok <MessageId>`.
 *
 * A 250 is given only when the accept pipeline has made the message durable. A temporary failure is a 4yz,
 * and the client keeps the message.
 */
import { timingSafeEqual } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import type { Accept, Caller } from '../accept/types.ts';
import { smtpPassword } from '../control/smtp-password.ts';
import type { Control } from '../control/types.ts';
import { asPosternError, PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import { rfc5322Date } from '../mail/date.ts';
import type { Clock } from '../time.ts';
import { coalesceWrites } from './coalesce.ts';

export interface SubmissionOptions {
  host: string;
  port: number;
  /** TLS from the first byte (RFC 8314) instead of STARTTLS. */
  implicitTls: boolean;
  hostname: string;
  /** PEM. */
  tls: { key: string; cert: string };
  /** Networks in CIDR form that may submit without AUTH. */
  relayFrom: string[];
  /** AUTH before TLS: only where nobody can listen, as on a loopback address. */
  allowInsecureAuth: boolean;
  maxMessageBytes: number;
  maxRecipients: number;
  /** The whole of DATA must be here within so many ms. */
  dataDeadline: number;
  maxClients: number;
  region: string;
  accept: Accept;
  control: Control;
  clock: Clock;
  log: Log;
}

/** The whole of a submitted message must be here within so many ms. */
export const DATA_DEADLINE = 10 * 60_000;
/** Connections at one time. */
export const MAX_CLIENTS = 2000;

export interface Submission {
  address: AddressInfo;
  /** Connections open now. */
  connections(): number;
  /** Another certificate for the connections that begin from now on. */
  renew(tls: SubmissionOptions['tls']): void;
  /** Stops taking connections; messages being answered are answered. */
  close(): Promise<void>;
}

/** What smtp-server keeps for us as `session.user`. */
type User = Caller;

export function startSubmission(options: SubmissionOptions): Promise<Submission> {
  const { accept, control, clock, log } = options;
  const networks = options.relayFrom.map((cidr) => ipaddr.parseCIDR(cidr));
  const sockets = new Map<string, Socket>();
  /** SMTP password of a key, derived once. */
  const passwords = new Map<string, { secret: string; password: Buffer }>();

  function passwordOf(keyId: string): Buffer | undefined {
    const key = control.keys.find(keyId);
    if (!key) return undefined;
    const known = passwords.get(keyId);
    if (known?.secret === key.secret) return known.password;
    const password = Buffer.from(smtpPassword(key.secret, options.region));
    if (passwords.size > 10_000) passwords.clear();
    passwords.set(keyId, { secret: key.secret, password });
    return password;
  }

  /** What a session's address may do is found out once. */
  const relays = new WeakMap<SMTPServerSession, boolean>();

  function mayRelay(session: SMTPServerSession): boolean {
    let may = relays.get(session);
    if (may === undefined) {
      may = inNetworks(session.remoteAddress);
      relays.set(session, may);
    }
    return may;
  }

  function inNetworks(address: string): boolean {
    if (networks.length === 0 || !ipaddr.isValid(address)) return false;
    const ip = ipaddr.process(address);
    return networks.some(([network, bits]) => ip.kind() === network.kind() && ip.match(network, bits));
  }

  function callerOf(session: SMTPServerSession): Caller {
    const user = session.user as unknown as User | undefined;
    if (user) {
      // The key may have been revoked since it logged in.
      if (!control.keys.find(user.keyId)) throw new PosternError('unknown_key', 'The key was revoked.');
      return user;
    }
    if (mayRelay(session)) {
      return { keyId: 'relay', tenant: 'default', admin: false, sourceIp: session.remoteAddress };
    }
    throw new PosternError('missing_authentication', 'Authentication required');
  }

  const server = new SMTPServer({
    ...options.tls,
    name: options.hostname,
    banner: 'Postern',
    secure: options.implicitTls,
    authMethods: ['PLAIN', 'LOGIN'],
    authOptional: true,
    allowInsecureAuth: options.allowInsecureAuth,
    size: options.maxMessageBytes,
    rejectOversized: true,
    maxClients: options.maxClients,
    disableReverseLookup: true,
    logger: false,

    onAuth(auth, session, callback) {
      const expected = passwordOf(auth.username ?? '');
      const given = Buffer.from(auth.password ?? '');
      // An unknown key costs the same comparison, so that keys cannot be told apart by time.
      const reference = expected ?? Buffer.alloc(44);
      const same = given.length === reference.length && timingSafeEqual(given, reference);
      const key = expected && same ? control.keys.find(auth.username ?? '') : undefined;
      if (!key) {
        return callback(reply(535, 'Authentication Credentials Invalid'));
      }
      const user: User = {
        keyId: key.id,
        tenant: key.tenant,
        admin: key.admin,
        sourceIp: session.remoteAddress,
      };
      return callback(null, { user: user as never });
    },

    onMailFrom(_address, session, callback) {
      try {
        callerOf(session);
        callback();
      } catch (error) {
        callback(replyFor(error));
      }
    },

    onRcptTo(_address, session, callback) {
      if (session.envelope.rcptTo.length >= options.maxRecipients) {
        callback(
          reply(
            452,
            `4.5.3 Too many recipients: ${options.maxRecipients} a message; send the rest as another one`,
          ),
        );
      } else {
        callback();
      }
    },

    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      const cancel = clock.after(options.dataDeadline, () => cutOff(session));
      stream.on('data', (chunk: Buffer) => {
        if (!stream.sizeExceeded) chunks.push(chunk);
        else chunks.length = 0;
      });
      stream.on('end', () => {
        cancel();
        if (stream.sizeExceeded) return callback(reply(552, '5.3.4 Message too large'));
        const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
        take(bytes, session).then(
          (id) => callback(null, `Ok ${id}`),
          (error: unknown) => callback(replyFor(error)),
        );
      });
      stream.on('close', cancel);
    },
  });

  async function take(bytes: Buffer, session: SMTPServerSession): Promise<string> {
    const { mailFrom, rcptTo } = session.envelope;
    const results = await accept.submit(
      [
        {
          to: rcptTo.map((recipient) => recipient.address),
          cc: [],
          bcc: [],
          replyTo: [],
          mailFrom: mailFrom ? mailFrom.address : '',
          content: { kind: 'raw', bytes },
          trace: traceField(session),
        },
      ],
      { door: 'smtp', caller: callerOf(session) },
    );
    const result = results[0]!;
    if ('error' in result) throw result.error;
    return result.messageId;
  }

  /**
   * RFC 5321 §4.4. The client's name and address stay out: they would show every recipient the inside of the
   * sender's network.
   */
  function traceField(session: SMTPServerSession): string {
    const protocol = `ESMTP${session.secure ? 'S' : ''}${session.user ? 'A' : ''}`;
    return `Received: by ${options.hostname} (Postern) with ${protocol} id ${session.id};\r\n\t${rfc5322Date(clock.now())}`;
  }

  /** Ends a client that sends its message a byte at a time to hold a place. */
  function cutOff(session: SMTPServerSession): void {
    const socket = sockets.get(socketKey(session.remoteAddress, session.remotePort));
    socket?.end('421 4.4.2 The message took too long to arrive; closing\r\n');
    socket?.destroySoon();
  }

  function replyFor(error: unknown): Error {
    const known = asPosternError(error);
    if (known.entry.http >= 500)
      log.error('submission failed', { code: known.code, error: known.cause ?? known });
    return reply(known.entry.smtp, `${known.entry.enhanced} ${known.message}`);
  }

  server.on('error', (error: Error & { remote?: string }) =>
    log.debug('submission client', { error: error.message }),
  );
  server.server.on('connection', (socket: Socket) => {
    const key = socketKey(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    sockets.set(key, socket);
    socket.once('close', () => sockets.delete(key));
    if (!options.implicitTls) coalesceWrites(socket);
  });

  return new Promise((resolve, reject) => {
    server.server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.server.off('error', reject);
      resolve({
        address: server.server.address() as AddressInfo,
        connections: () => server.connections.size,
        renew: ({ key, cert }) => server.updateSecureContext({ key, cert }),
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

function socketKey(address: string, port: number): string {
  return `${address}|${port}`;
}

/** An error that smtp-server answers with this code and text. */
function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}
