import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { preflight } from '../../egress-node/service/preflight.ts';
import { DAY } from '../../lib/time.ts';
import { failure } from '../support/control.ts';
import { makeCertificates } from '../support/node-certificates.ts';

describe('a node outside AWS', () => {
  const directory = mkdtempSync(join(tmpdir(), 'postern-preflight-'));
  const server = createServer((_, response) => response.end());
  let url: string;
  before(async () => {
    makeCertificates(directory, 'c');
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/123/postern-test-`;
  });
  after(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  const check = (file: string, more: { node?: string; now?: () => number } = {}) =>
    preflight({
      environment: { POSTERN_CERTIFICATE: join(directory, file) },
      node: more.node ?? 'c',
      url,
      now: more.now ?? Date.now,
    });

  test('starts with its own certificate and the right time', () => check('node.pem'));

  test('with the certificate of another node is refused with the reason', () =>
    assert.rejects(
      check('node.pem', { node: 'd' }),
      failure('bad_request', /the certificate of "c", but POSTERN_NODE is "d"/),
    ));

  test('with the certificate of an authority, or a file that is no certificate, is refused with the reason', async () => {
    await assert.rejects(check('ca.pem', { node: 'postern-nodes' }), failure('bad_request', /an authority/));
    await assert.rejects(check('node.key'), failure('bad_request', /cannot be read as a certificate/));
  });

  test('whose certificate has expired, or begins later, is refused with the reason', async () => {
    const year = 366 * DAY;
    const late = () => Date.now() + year;
    await assert.rejects(check('node.pem', { now: late }), failure('bad_request', /expired on/));
    const early = () => Date.now() - year;
    await assert.rejects(check('node.pem', { now: early }), failure('bad_request', /is valid from/));
  });

  test('whose clock is off is refused with the difference', () =>
    assert.rejects(
      check('node.pem', { now: () => Date.now() + 120_000 }),
      failure('bad_request', /The clock is 1[12]\d s ahead of AWS/),
    ));

  test('makes a certificate by the commands of the guide with the fields that AWS requires', () => {
    const text = execFileSync('openssl', ['x509', '-in', join(directory, 'node.pem'), '-noout', '-text'], {
      encoding: 'utf8',
    });
    assert.match(text, /Basic Constraints: critical\s+CA:FALSE/);
    assert.match(text, /Key Usage: critical\s+Digital Signature/);
  });
});
