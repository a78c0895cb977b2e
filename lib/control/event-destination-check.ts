/** Validates event destinations. */
import { PosternError } from '../errors.ts';
import type { NewEventDestination, WebhookTarget } from './event-destination.ts';
import { checkName, quote } from './names.ts';

const MAX_URL = 2_000;
const MAX_HEADERS = 20;
const ARN = /^arn:aws[a-z-]*:([a-z]+):[a-z0-9-]*:\d{12}:.+$/;
const SERVICE = { sns: 'sns', eventbridge: 'events', firehose: 'firehose' } as const;
/** A header of a webhook (RFC 9110 §5.1 and §5.5) that cannot turn the request into another one. */
const HEADER_NAME = /^[A-Za-z0-9-]{1,64}$/;
const HEADER_VALUE = /^[\x20-\x7e]{0,1024}$/;
/** Headers that the sender sets itself. */
const OWN_HEADERS =
  /^(host|connection|content-.*|transfer-encoding|webhook-.*|user-agent|upgrade|te|expect)$/i;

/** Validates a destination. @throws `bad_request` that states what is wrong and the right form. */
export function checkEventDestination({ name, types, target }: NewEventDestination): void {
  checkName('event destination', name);
  if (types.length === 0) refuse('An event destination takes at least one type of event.');
  switch (target.kind) {
    case 'sns':
      checkArn(target.kind, target.topicArn, 'an SNS topic');
      break;
    case 'eventbridge':
      checkArn(target.kind, target.busArn, 'an EventBridge bus');
      break;
    case 'firehose':
      checkArn(target.kind, target.streamArn, 'a Firehose stream');
      break;
    case 'cloudwatch':
      if (target.dimensions.length === 0 || target.dimensions.length > 10) {
        refuse('A CloudWatch destination has 1 to 10 dimensions.');
      }
      break;
    case 'webhook':
      checkWebhook(target);
      break;
    case 'amqp':
      if (!/^amqps?:$/.test(protocolOf(target.url))) {
        refuse('The URL of an AMQP destination is written amqps://user:password@host/vhost.');
      }
      break;
    case 'file':
      if (target.path !== '-' && !target.path.startsWith('/')) {
        refuse(
          `The path of a file destination is absolute, or - for standard output: ${quote(target.path)}.`,
        );
      }
      break;
  }
}

function checkWebhook({ url, secret, headers = {} }: WebhookTarget): void {
  if (url.length > MAX_URL || !/^https?:$/.test(protocolOf(url))) {
    refuse(`The URL of a webhook begins with https:// and has ${MAX_URL} characters at most: ${quote(url)}.`);
  }
  const { username, password } = new URL(url);
  if (username || password) refuse('The URL of a webhook holds no user and password: give a header instead.');
  const bytes = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64').length : 0;
  if (bytes < 24 || bytes > 64) refuse('The secret of a webhook is whsec_ and 24 to 64 bytes in base64.');
  const names = Object.keys(headers);
  if (names.length > MAX_HEADERS) refuse(`A webhook has ${MAX_HEADERS} headers at most.`);
  for (const name of names) {
    if (!HEADER_NAME.test(name) || OWN_HEADERS.test(name))
      refuse(`A webhook may not set the header ${quote(name)}.`);
    if (!HEADER_VALUE.test(headers[name]!))
      refuse(`The header ${quote(name)} has a value that no header can have.`);
  }
}

function checkArn(kind: keyof typeof SERVICE, arn: string, what: string): void {
  if (ARN.exec(arn)?.[1] === SERVICE[kind]) return;
  refuse(`${quote(arn)} is not the ARN of ${what}.`);
}

function protocolOf(url: string): string {
  return URL.canParse(url) ? new URL(url).protocol : '';
}

function refuse(text: string): never {
  throw new PosternError('bad_request', text);
}
