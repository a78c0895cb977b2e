/** Signs a request with AWS Signature Version 4, for load generators that prepare requests beforehand. */
import { createHash, createHmac } from 'node:crypto';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();

/** A whole signed POST as bytes on the wire. */
export function signedPost(
  credentials: Credentials,
  host: string,
  path: string,
  body: Buffer,
  invocation: string,
  at = new Date(),
): Buffer {
  const stamp = at.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = stamp.slice(0, 8);
  const digest = sha256(body);
  const scope = `${day}/${credentials.region}/ses/aws4_request`;
  const headers = [
    ['amz-sdk-invocation-id', invocation],
    ['amz-sdk-request', 'attempt=1; max=3'],
    ['content-type', 'application/json'],
    ['host', host],
    ['x-amz-content-sha256', digest],
    ['x-amz-date', stamp],
  ];
  const names = headers.map(([name]) => name).join(';');
  const canonical = `POST\n${path}\n\n${headers.map(([name, value]) => `${name}:${value}\n`).join('')}\n${names}\n${digest}`;
  const toSign = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`;
  let key = hmac(`AWS4${credentials.secretAccessKey}`, day);
  for (const part of [credentials.region, 'ses', 'aws4_request']) key = hmac(key, part);
  const signature = hmac(key, toSign).toString('hex');
  const head =
    `POST ${path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}` +
    `authorization: AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}\r\n` +
    `content-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}
