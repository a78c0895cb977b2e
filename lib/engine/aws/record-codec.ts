/**
 * Small JSON made smaller: raw DEFLATE (RFC 1951) with a preset dictionary of the words that every record has.
 * A message record of some 900 bytes becomes 400, so that it costs one write unit of DynamoDB and not two.
 *
 * The dictionary is part of the format. It never changes; a better one would be another version, named by the
 * first byte.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { PosternError } from '../../errors.ts';
import { SCHEMA_VERSION } from '../items.ts';

const VERSION = 1;

/** The most frequent last, where the distance back to it is the shortest. */
const DICTIONARY = Buffer.from(
  '"configurationSet":"campaign":"replyTo":["cc":["tls_failed","peer_timeout","connection_lost","connect_failed",' +
    '"dns_failure","peer_permanent","peer_temporary","text":"5.1.1 The email account that you tried to reach ' +
    'does not exist","text":"4.7.0 Temporarily deferred, try again later","expired","suppressed","cancelled",' +
    '"uncertain":true,"rendering_failed",{"phase":"connect","code":220,"text":"{"phase":"ehlo","code":250,"text":"' +
    '"protocol":"TLSv1.2","cipher":"ECDHE-RSA-AES128-GCM-SHA256""class":"bulk","door":"smtp","door":"postern",' +
    '"tags":{"ses:configuration-set":["{"v":1,"messageId":"0100019","tenant":"default","lane":"default:transactional:' +
    'google","mailFrom":"","recipient":"","domain":"","eightBit":false,"smtpUtf8":false,"requireTls":false,' +
    '"acceptedAt":17,"expiresAt":17,"attempts":0,"due":17,"reason":{"code":"peer_temporary","text":""}' +
    '{"at":17,"duration":,"ip":"10.","mx":{"host":"mx1.","address":"","port":25},"tls":{"protocol":"TLSv1.3",' +
    '"cipher":"TLS_AES_256_GCM_SHA384","verified":true},"replies":[{"phase":"mail","code":250,"text":"2.1.0 OK"},' +
    '{"phase":"rcpt","code":250,"text":"2.1.5 OK"},{"phase":"data","code":250,"text":"2.0.0 OK queued as "}],' +
    '"state":"deferred","reason":"","state":"bounced","reason":"peer_permanent","text":"550 ' +
    '"state":"delivered","reason":"delivered","text":"250 2.0.0 OK"}' +
    '{"v":1,"id":"0100019-000000","tenant":"default","keyId":"AKIA","door":"ses-v2","sourceIp":"","acceptedAt":17,' +
    '"expiresAt":17,"source":"","fromDomain":"example.com","tags":{"ses:from-domain":["example.com"],' +
    '"ses:source-ip":[""],"ses:caller-identity":["AKIA"]},"class":"transactional","pool":"default","size":,' +
    '"recipients":["@gmail.com"],"commonHeaders":{"from":["@example.com"],"to":["@gmail.com"],"subject":"",' +
    '"date":"Mon, 01 Jan 2026 00:00:00 +0000","messageId":"<0100019-000000@example.com>"}}',
);

/** A small window, hash and output: the input is small, and setting up the usual ones costs more than the work. */
const OPTIONS = { dictionary: DICTIONARY, level: 6, windowBits: 12, memLevel: 5, chunkSize: 1024 } as const;

/** Any JSON value, compressed. */
export function encodeRecord(value: unknown): Buffer {
  const packed = deflateRawSync(JSON.stringify(value), OPTIONS);
  return Buffer.concat([Buffer.of(VERSION), packed]);
}

/**
 * The value again. `what` names it in the error.
 * @throws PosternError `storage_damaged` when it cannot be read, `storage_too_new` when its schema is newer.
 */
export function decodeRecord<T>(bytes: Uint8Array, what: string): T {
  if (bytes[0] !== undefined && bytes[0] > VERSION) throw tooNew(what, `format ${bytes[0]}`);
  let value: unknown;
  try {
    value = JSON.parse(inflateRawSync(bytes.subarray(1), { dictionary: DICTIONARY }).toString());
  } catch (cause) {
    throw new PosternError('storage_damaged', `The tables hold ${what} that cannot be read.`, { cause });
  }
  const version = (value as { v?: unknown } | null)?.v;
  if (typeof version === 'number' && version > SCHEMA_VERSION) throw tooNew(what, `schema ${version}`);
  return value as T;
}

function tooNew(what: string, which: string): PosternError {
  return new PosternError(
    'storage_too_new',
    `The tables hold ${what} of ${which}; this Postern knows an older one. Run a newer version.`,
  );
}
