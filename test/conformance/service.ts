/** The whole service, and the two ways to call its SES API: by the AWS SDK, and by requests that no SDK would send. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import * as sdk from '@aws-sdk/client-sesv2';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { type ModelShape, shapeOf } from '../../lib/ses/model/form.ts';
import { SES_V2 } from '../../lib/ses/model/models.ts';
import type { SesOperationName } from '../../lib/ses/types.ts';
import { sign } from '../support/signing.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

export const ADMIN = { id: 'AKIACONFORMANCE00001', secret: 'conformance/secret+0123456789' };

export type Input = Record<string, unknown>;

/** The answer of a call by the SDK: what the SDK made of it, and the JSON that it had. */
export interface SdkAnswer {
  output: Record<string, unknown>;
  json: unknown;
}

export interface RawAnswer {
  status: number;
  /** Name of the error. */
  type?: string;
  message?: string;
}

type Command = new (input: Input) => never;

/** A running service with an administrator's key. */
export class ConformanceService {
  readonly site: StandaloneSite;
  readonly standalone: Standalone;
  readonly #client: sdk.SESv2Client;
  #json: unknown;

  private constructor(site: StandaloneSite, standalone: Standalone) {
    this.site = site;
    this.standalone = standalone;
    this.#client = sesClient(standalone, ADMIN);
    this.#client.config.maxAttempts = async () => 1;
    const { requestHandler } = this.#client.config;
    const handle = requestHandler.handle.bind(requestHandler);
    requestHandler.handle = async (...call: Parameters<typeof handle>) => {
      const { response } = await handle(...call);
      const text = await textOf(response.body as Readable);
      this.#json = text === '' ? {} : JSON.parse(text);
      response.body = Readable.from([Buffer.from(text)]);
      return { response };
    };
  }

  /** Starts it: every sender may send at once, and all mail goes to a sink. */
  static async start(environment: NodeJS.ProcessEnv = {}): Promise<ConformanceService> {
    const site = await StandaloneSite.open();
    const standalone = await site.start({
      POSTERN_ACCESS_KEY_ID: ADMIN.id,
      POSTERN_SECRET_ACCESS_KEY: ADMIN.secret,
      ...environment,
    });
    return new ConformanceService(site, standalone);
  }

  /** Calls an operation by the SDK, once. @throws the SDK's error. */
  async call(operation: SesOperationName, input: Input): Promise<SdkAnswer> {
    const commands = sdk as unknown as Record<string, Command>;
    const command = new commands[`${operation}Command`]!(input);
    const { $metadata: _, ...output } = await this.#client.send(command);
    return { output, json: this.#json };
  }

  /** Calls an operation with any members, each in its place by the model, signed. */
  async raw(operation: string, input: Input, key = ADMIN): Promise<RawAnswer> {
    const { method, path, input: shape } = SES_V2.operations[operation]!;
    const { rawPath, query, body } = placed(shapeOf(SES_V2, shape), path, input);
    const signed = await sign({ ...key, at: Date.now(), method, rawPath, query, body });
    const rawQuery = written(query);
    const [host, port] = this.standalone.listening.api.split(':');
    const outgoing = request({
      host,
      port,
      method,
      path: rawQuery ? `${rawPath}?${rawQuery}` : rawPath,
      headers: { ...Object.fromEntries(signed.headers), 'content-length': Buffer.byteLength(body) },
    });
    outgoing.end(body);
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    const text = await textOf(incoming);
    const answer = (text === '' ? {} : JSON.parse(text)) as { __type?: string; message?: string };
    return { status: incoming.statusCode!, type: answer.__type, message: answer.message };
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    await this.standalone.stop();
    await this.site.close();
  }
}

/** Members as a request carries them: in the path, the query or the body. */
function placed(
  { members = {} }: ModelShape,
  path: string,
  input: Input,
): { rawPath: string; query: Record<string, string[]>; body: string } {
  let rawPath = path;
  const query: Record<string, string[]> = {};
  const body: Input = {};
  for (const [name, value] of Object.entries(input)) {
    const member = members[name];
    if (member === undefined || typeof member === 'string') body[name] = value;
    else if (member.in === 'path')
      rawPath = rawPath.replace(`{${member.name ?? name}}`, encode(String(value)));
    else query[member.name ?? name] = [value].flat().map(String);
  }
  return { rawPath, query, body: JSON.stringify(body) };
}

function written(query: Record<string, string[]>): string {
  return Object.entries(query)
    .flatMap(([name, values]) => values.map((value) => `${encode(name)}=${encode(value)}`))
    .join('&');
}

/** As Signature Version 4 wants it: everything but unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}
