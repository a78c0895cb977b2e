import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readDmarcReport } from '../../lib/outcome/dmarc.ts';
import { MAX_EXPANDED, expand as pieces } from '../../lib/outcome/expand.ts';
import { readTlsReport } from '../../lib/outcome/tls-report.ts';
import { zip } from '../support/aggregate-reports.ts';

function record(ip: string, count: number, more = ''): string {
  return `<record><row><source_ip>${ip}</source_ip><count>${count}</count>
    <policy_evaluated><disposition>quarantine</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>Example.com</header_from><envelope_from>bounce.example.com</envelope_from></identifiers>
    <auth_results><dkim><domain>example.com</domain><selector>s1</selector><result>pass</result></dkim>
    <dkim><domain>operator.example</domain><result>fail</result></dkim>
    <spf><domain>bounce.example.com</domain><result>softfail</result></spf></auth_results>${more}</record>`;
}

function dmarc(records: string, head = ''): string {
  return `<?xml version="1.0" encoding="UTF-8"?>${head}
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0"><version>1.0</version>
<report_metadata><org_name>receiver.example</org_name><email>dmarc@receiver.example</email>
<report_id>r-1</report_id><date_range><begin>1767225600</begin><end>1767312000</end></date_range></report_metadata>
<policy_published><domain>EXAMPLE.com</domain><p>reject</p></policy_published>${records}</feedback>`;
}

describe('a DMARC aggregate report', async () => {
  test('is read as XML, gzip and zip', async () => {
    const xml = Buffer.from(dmarc(record('192.0.2.1', 7) + record('2001:db8::1', 1)));
    const plain = await readDmarcReport(xml);
    assert.deepEqual(
      { ...plain, rows: plain.rows.length },
      {
        organisation: 'receiver.example',
        reportId: 'r-1',
        begin: 1767225600000,
        end: 1767312000000,
        domain: 'example.com',
        policy: 'reject',
        rows: 2,
      },
    );
    assert.deepEqual(plain.rows[0], {
      sourceIp: '192.0.2.1',
      count: 7,
      disposition: 'quarantine',
      dkim: true,
      spf: false,
      headerFrom: 'example.com',
      envelopeFrom: 'bounce.example.com',
      signatures: [
        { domain: 'example.com', selector: 's1', result: 'pass' },
        { domain: 'operator.example', result: 'fail' },
      ],
      spfDomain: { domain: 'bounce.example.com', result: 'softfail' },
    });
    assert.deepEqual(await readDmarcReport(gzipSync(xml)), plain);
    assert.deepEqual(await readDmarcReport(zip(xml)), plain);
  });

  test('leaves out rows that name no address, no domain or no count', async () => {
    const rows = [record('', 1), record('192.0.2.1', 1).replace('Example.com', ''), record('192.0.2.1', -1)];
    const read = await readDmarcReport(Buffer.from(dmarc(rows.join(''))));
    assert.equal(read.rows.length, 0);
  });

  test('is refused beyond the limits of rows and of tag depth', async () => {
    const most = await readDmarcReport(Buffer.from(dmarc(record('192.0.2.1', 1).repeat(10_000))));
    assert.equal(most.rows.length, 10_000);
    await assert.rejects(
      readDmarcReport(Buffer.from(dmarc(record('192.0.2.1', 1).repeat(10_001)))),
      /more than 10000 rows/,
    );
    await assert.rejects(
      readDmarcReport(Buffer.from(dmarc('<a>'.repeat(100_000)))),
      /nested more than 16 deep/,
    );
  });

  test('is refused with a document type, before any entity is defined', async () => {
    const bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>';
    await assert.rejects(readDmarcReport(Buffer.from(dmarc(record('192.0.2.1', 1), bomb))), /document type/);
  });

  test('is refused when it names no domain or no time, or is no report at all', async () => {
    await assert.rejects(readDmarcReport(Buffer.from('<html><body>hello')), /no domain/);
    await assert.rejects(readDmarcReport(Buffer.from(dmarc('').replace('1767225600', 'soon'))), /no time/);
  });
});

/** The whole of an expanded report. */
async function expand(bytes: Buffer): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces(bytes)) all.push(piece);
  return Buffer.concat(all);
}

describe('the archive of a report', async () => {
  test('is expanded up to its limit, whichever size it declares', async () => {
    assert.equal((await expand(gzipSync(Buffer.alloc(MAX_EXPANDED)))).length, MAX_EXPANDED);
    await assert.rejects(expand(gzipSync(Buffer.alloc(MAX_EXPANDED + 1))), /expands to more than/);
    await assert.rejects(expand(zip(Buffer.alloc(MAX_EXPANDED + 1))), /expands to more than/);
    const lying = zip(Buffer.alloc(MAX_EXPANDED + 1));
    lying.writeUInt32LE(10, lying.length - 22 - 51 + 24);
    await assert.rejects(expand(lying), /expands to more than/);
  });

  test('is refused when it is damaged or holds several files', async () => {
    const whole = zip(Buffer.from('<feedback/>'));
    for (let length = 4; length < whole.length; length++) {
      await assert.rejects(expand(whole.subarray(0, length)), { code: 'bad_request' });
    }
    await assert.rejects(expand(zip(Buffer.from('a'), 2)), /exactly one file/);
    const pointing = Buffer.from(whole);
    pointing.writeUInt32LE(0xffffff00, pointing.length - 6);
    await assert.rejects(expand(pointing), { code: 'bad_request' });
    await assert.rejects(expand(Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(40)])), {
      code: 'bad_request',
    });
  });
});

describe('a TLS report', async () => {
  const report = {
    'organization-name': 'receiver.example',
    'report-id': 't-1',
    'date-range': { 'start-datetime': '2026-01-01T00:00:00Z', 'end-datetime': '2026-01-01T23:59:59Z' },
    policies: [
      {
        policy: { 'policy-type': 'sts', 'policy-domain': 'Example.com', 'mx-host': ['mx.example.com'] },
        summary: { 'total-successful-session-count': 5, 'total-failure-session-count': 2 },
        'failure-details': [
          {
            'result-type': 'certificate-expired',
            'failed-session-count': 2,
            'receiving-mx-hostname': 'mx.example.com',
          },
        ],
      },
    ],
  };

  test('is read as JSON and gzip', async () => {
    const json = Buffer.from(JSON.stringify(report));
    const read = await readTlsReport(json);
    assert.deepEqual(read.policies, [
      {
        type: 'sts',
        domain: 'example.com',
        successful: 5,
        failed: 2,
        failures: [{ type: 'certificate-expired', sessions: 2, mxHost: 'mx.example.com' }],
      },
    ]);
    assert.deepEqual(await readTlsReport(gzipSync(json)), read);
  });

  test('is refused when it is not JSON, names no time, or has too many policies', async () => {
    await assert.rejects(readTlsReport(Buffer.from('<xml/>')), /not JSON/);
    await assert.rejects(readTlsReport(Buffer.from('{}')), /no time/);
    const many = { ...report, policies: Array.from({ length: 1_001 }, () => ({})) };
    await assert.rejects(readTlsReport(Buffer.from(JSON.stringify(many))), /more than 1000 policies/);
  });

  test('is parsed without an error with members of any type', async () => {
    for (const policies of [null, 7, [null], [[]], [{ policy: 1, summary: 'x', 'failure-details': [1] }]]) {
      assert.ok(await readTlsReport(Buffer.from(JSON.stringify({ ...report, policies }))));
    }
  });
});
