import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { RawRequest } from '../../lib/http/raw-request.ts';

/** The hash for the AWS SDK's signer. */
class Sha256 {
  #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash('sha256')
        : createHmac('sha256', typeof secret === 'string' ? secret : new Uint8Array(secret as ArrayBuffer));
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === 'string' ? data : Buffer.from(data as Uint8Array));
  }

  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hash.digest());
  }

  reset(): void {}
}

export interface ToSign {
  id: string;
  secret: string;
  at: number;
  method?: string;
  /** As on the wire. */
  rawPath?: string;
  rawQuery?: string;
  /** The same query, decoded. */
  query?: Record<string, string | string[]>;
  headers?: Record<string, string>;
  body?: string | Buffer;
  region?: string;
  service?: string;
  token?: string;
  /** Sends and signs `x-amz-content-sha256`, as the JavaScript SDK does and boto3 does not. */
  checksum?: boolean;
}

/** A request signed by the AWS SDK's own signer, as on the wire. */
export async function sign(request: ToSign): Promise<RawRequest> {
  const { body = '', checksum = true, rawPath = '/v2/email/account', rawQuery = '' } = request;
  const signer = new SignatureV4({
    service: request.service ?? 'ses',
    region: request.region ?? 'eu-west-1',
    credentials: { accessKeyId: request.id, secretAccessKey: request.secret, sessionToken: request.token },
    sha256: Sha256,
    applyChecksum: checksum,
  });
  const signed = await signer.sign(
    {
      method: request.method ?? 'POST',
      protocol: 'https:',
      hostname: 'mail.example',
      path: rawPath,
      query: request.query ?? {},
      headers: { host: 'mail.example', 'content-type': 'application/json', ...request.headers },
      body,
    },
    { signingDate: new Date(request.at) },
  );
  return {
    method: request.method ?? 'POST',
    rawPath,
    rawQuery,
    headers: Object.entries(signed.headers).map(([name, value]): [string, string] => [
      name.toLowerCase(),
      // Node gives each byte of a header as one character.
      Buffer.from(value, 'utf8').toString('latin1'),
    ]),
    sourceIp: '127.0.0.1',
    body: Buffer.from(body),
  };
}
