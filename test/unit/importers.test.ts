/** What importers make of other products' configurations, and of input that is none. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { checkRules } from '../../lib/automation/check.ts';
import { rateOf, spanOf } from '../../lib/importers/amounts.ts';
import { check } from '../../lib/importers/checked.ts';
import { coverage } from '../../lib/importers/corpus.ts';
import { directivesPage } from '../../lib/importers/directives-page.ts';
import type { ImportDraft } from '../../lib/importers/draft.ts';
import { READERS } from '../../lib/importers/import.ts';
import { merged, type Replaced } from '../../lib/importers/merge.ts';
import { replyPatternOf } from '../../lib/importers/powermta/patterns.ts';
import { lineOf } from '../../lib/importers/report.ts';
import { DiskFiles, SourceMap, textOf } from '../../lib/importers/source-files.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../lib/time.ts';

function read(product: keyof typeof READERS, files: Record<string, string>): ImportDraft {
  const draft = READERS[product](new SourceMap(files));
  check(draft);
  return draft;
}

/** `state file:line directive` of the findings that a person must see. */
function open(draft: ImportDraft): string[] {
  return draft.findings.list
    .filter(({ state }) => state === 'fault' || state === 'impossible' || state === 'unknown')
    .map(({ state, file, line, directive }) => `${state} ${file}:${line} ${directive}`);
}

describe('of the directives of each manual that concern sending', () => {
  for (const { product, sending, understood, unknown } of coverage()) {
    test(`${product}: ${understood} of ${sending} are understood`, () => {
      assert.ok(understood / sending >= 0.95, unknown.join(', '));
      assert.ok(sending > 100);
    });
  }

  test('the page tells the state of each', () => {
    const page = readFileSync(join(import.meta.dirname, '../../lib/importers/directives.md'), 'utf8');
    assert.equal(page, directivesPage(), 'run npm run importers');
  });
});

test('amounts are written exactly, or slower', () => {
  assert.deepEqual(rateOf(1, 5 * SECOND), { text: '12/min', exact: true });
  assert.deepEqual(rateOf(100, 5 * MINUTE), { text: '20/min', exact: true });
  assert.deepEqual(rateOf(7, 3 * MINUTE), { text: '140/h', exact: true });
  assert.deepEqual(rateOf(1000, 7 * HOUR), { text: '142/h', exact: false });
  assert.deepEqual(rateOf(1, 9 * DAY), { text: '1/d', exact: false });
  assert.equal(spanOf(90 * SECOND), '90s');
  assert.equal(spanOf(108 * HOUR), '108h');
});

describe('Postfix', () => {
  test('a default that a built-in layer would loosen is set there too', () => {
    const { limits, findings } = read('postfix', { 'main.cf': 'smtp_destination_concurrency_limit = 2\n' });
    assert.equal(limits.default?.connections, 2);
    for (const provider of ['comcast', 'mimecast', 'gmx', 'qq'])
      assert.equal(limits.providers?.[provider]?.connections, 2, provider);
    assert.match(findings.list.at(-1)!.text, /comcast.*whose built-in value is looser/);
    limitTable(limits);
  });

  test('retry, age and transports of single domains', () => {
    const draft = read('postfix', {
      'main.cf': [
        'transport_maps = hash:/etc/postfix/transport',
        'slow_destination_rate_delay = $gap',
        'gap = 30s',
        'minimal_backoff_time = 5m',
        'maximal_backoff_time = 15m',
        'maximal_queue_lifetime = 2',
      ].join('\n'),
      'master.cf': 'slow unix - - n - 3 smtp\n  -o smtp_connect_timeout=5s\n',
      transport: 'example.org slow:\n',
    });
    assert.deepEqual(draft.limits, {
      domains: { 'example.org': { messageRate: '2/min', deadlines: { connect: '5s' } } },
      default: { retry: { delays: ['5m', '10m', '15m'] }, maxAge: '2d' },
      shared: { 'slow-example.org': { match: { domain: 'example.org' }, concurrency: 3 } },
    });
    assert.deepEqual(open(draft), []);
  });

  test('parameters that name each other without end', () => {
    const names = Array.from({ length: 30 }, (_, n) => `a${n} = $a${n + 1} $a${n + 1}`);
    const draft = read('postfix', {
      'main.cf': [...names, 'myhostname = $a0', 'b = $b', 'smtp_helo_name = $b'].join('\n'),
    });
    assert.ok((draft.start.hostname ?? '').length < 70_000);
  });
});

describe('Exim', () => {
  test('macros, conditions, includes, retry rules and keys by expansion', () => {
    const draft = read('exim', {
      'exim.conf': [
        'LIMIT = 20',
        '.ifdef LIMIT',
        '.include /etc/exim4/more.conf',
        '.else',
        'disable_ipv6',
        '.endif',
        'begin routers',
        'partner:',
        '  driver = manualroute',
        '  domains = partner.example',
        '  transport = remote',
        '  route_list = partner.example relay.example.net::2525',
        'out:',
        '  driver = dnslookup',
        '  domains = ! +local_domains',
        '  transport = remote',
        'begin transports',
        'remote:',
        '  driver = smtp',
        '  connection_max_messages = LIMIT',
        '  hosts_require_tls = \\',
        '    *',
        '  dkim_domain = $sender_address_domain',
        '  dkim_selector = s',
        '  dkim_private_key = /k',
        'begin retry',
        '* * F,1h,15m; F,1d,2h',
      ].join('\n'),
      'more.conf': 'primary_hostname = mx.example.com\n',
    });
    assert.equal(draft.start.hostname, 'mx.example.com');
    assert.deepEqual(draft.start.routes, [
      { domain: 'partner.example', host: 'relay.example.net', port: 2525 },
    ]);
    const { default: all } = draft.limits;
    assert.deepEqual([all?.messagesPerConnection, all?.tls, all?.maxAge], [20, 'required', '25h']);
    assert.deepEqual(all?.retry, { delays: ['15m', '15m', '15m', '15m', '2h'] });
    assert.deepEqual(open(draft), ['impossible exim.conf:23 dkim_domain']);
  });
});

describe('PowerMTA', () => {
  test('a limit of a virtual MTA is divided by its addresses, one of a pool of Gmail holds for its provider', () => {
    const draft = read('powermta', {
      config: [
        '<virtual-mta a>',
        'smtp-source-host 192.0.2.1 a.example.com',
        'smtp-source-host 192.0.2.2 b.example.com',
        '<domain gmail.com>',
        'max-smtp-out 9',
        'max-msg-rate 1000/h',
        '</domain>',
        '</virtual-mta>',
      ].join('\n'),
    });
    assert.deepEqual(draft.limits, {
      providers: {
        google: {
          for: [
            { ip: '192.0.2.1', connections: 4, messageRate: '500/h' },
            { ip: '192.0.2.2', connections: 4, messageRate: '500/h' },
          ],
        },
      },
    });
    assert.deepEqual(draft.pools.a?.ips, [
      { ip: '192.0.2.1', warm: true },
      { ip: '192.0.2.2', warm: true },
    ]);
  });

  test('expressions become patterns that their samples prove, or are refused', () => {
    for (const expression of [
      '421 .*too many',
      '^4[0-9][0-9] .*RL0000\\d+',
      '(Rate|speed) limit(ed)?',
      '\\[TSS?04\\]',
      '^451$',
    ]) {
      const { code, text, samples } = replyPatternOf(expression);
      checkRules(
        [
          {
            id: 'test.one',
            reason: 'x',
            match: { ...(code && { code }), ...(text && { text }) },
            action: 'suspend',
            duration: '1h',
            samples,
          },
        ],
        'rules',
      );
    }
    assert.throws(() => replyPatternOf('(?!foo)bar'), /ahead or behind/);
    assert.throws(() => replyPatternOf('.*'), /any reply/);
    assert.throws(() => replyPatternOf('(spam'), /\( without \)/);
  });

  test('includes in a circle, open blocks and directives that are none have their lines', () => {
    const draft = read('powermta', {
      config: 'include other\n<domain example.org>\nmax-smtp-uot 5\nmax-msg-rate 0/h\n',
      other: 'include config\nmax-msg-rate fast\n</domain>\n',
    });
    assert.deepEqual(open(draft), [
      'fault other:1 include',
      'fault other:3 </domain>',
      'fault config:2 <domain example.org>',
      'fault other:2 max-msg-rate',
      'unknown config:3 max-smtp-uot',
      'impossible config:4 max-msg-rate',
    ]);
  });
});

describe('KumoMTA', () => {
  test('sources, tenants and automation', () => {
    const draft = read('kumomta', {
      'sources.toml': '[source."a"]\nsource_address = "192.0.2.1"\n[pool."p"]\n[pool."p"."a"]\nweight = 2\n',
      'queues.toml': '[tenant.acme]\negress_pool = "p"\noverall_max_message_rate = "10/s"\n',
      'shaping.toml':
        '["example.org"]\nmax_message_rate = "10/min"\n[["example.org".automation]]\nregex = ["slow down", "(?<=x)y"]\naction = "Suspend"\ntrigger = { Threshold = "3/hr" }\nduration = "1 hour"\n',
    });
    assert.deepEqual(draft.pools.p, {
      ips: [{ ip: '192.0.2.1', warm: true, weight: 2 }],
      dedicatedTo: { tenants: ['acme'] },
      exclusive: false,
    });
    assert.deepEqual(draft.limits.shared, { 'rate-acme': { match: { tenant: 'acme' }, rate: '10/s' } });
    assert.deepEqual(
      draft.rules.map(({ trigger, action, scope }) => [trigger, action, scope]),
      [[{ events: 3, within: '1h' }, 'suspend', ['ip', 'site']]],
    );
    assert.deepEqual(open(draft), ['impossible shaping.toml:3 example.org.automation[0]']);
  });

  test('a cut file is refused with its line, and the others are read', () => {
    const draft = read('kumomta', {
      'shaping.toml': '["default"]\nconnection_limit = \n',
      'queues.toml': '[queue.default]\nmax_age = "1 day"\n',
    });
    assert.match(draft.findings.list[0]!.text, /no valid TOML at line 2/);
    assert.equal(draft.limits.default?.maxAge, '1d');
  });
});

describe('input that is hostile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-importers-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('leads nowhere outside of the root', () => {
    const root = join(folder, 'root');
    mkdirSync(join(root, 'sub'), { recursive: true });
    writeFileSync(join(folder, 'secret'), 'max-smtp-out 1\n');
    symlinkSync(join(folder, 'secret'), join(root, 'link'));
    writeFileSync(
      join(root, 'config'),
      'include ../secret\ninclude link\ninclude /etc/passwd\ninclude /dev/zero\ninclude sub\ninclude ../*\n',
    );
    const draft = READERS.powermta(new DiskFiles(root));
    assert.equal(draft.findings.counts.fault, 6);
    assert.deepEqual(draft.limits, {});
    assert.throws(() => new DiskFiles(join(folder, 'secret'), root), /is not below/);
  });

  test('of 10 MB, in other encodings and with other line ends is read, in bounded time', () => {
    assert.deepEqual(textOf(Buffer.from('\ufeffa', 'utf16le')), { text: 'a', encoding: 'UTF-16' });
    assert.deepEqual(textOf(Buffer.from([0x66, 0xfc])), { text: 'fü', encoding: 'Latin-1' });
    assert.throws(() => textOf(Buffer.from([1, 0, 2])), /NUL/);
    const filler = `${'nonsense directive '.repeat(5)}\r\n`;
    const big = filler.repeat(Math.ceil((10 * 1024 * 1024) / filler.length));
    for (const product of ['powermta', 'exim', 'postfix'] as const) {
      const name = { powermta: 'config', exim: 'exim.conf', postfix: 'main.cf' }[product];
      const draft = read(product, { [name]: big });
      const { unknown, fault } = draft.findings.counts;
      assert.ok(unknown + fault > 100_000, product);
      assert.equal(draft.findings.list.length, 20_000);
    }
    const line = 'a<'.repeat(2 * 1024 * 1024);
    for (const files of [
      { config: line },
      { config: `<${' '.repeat(1_000_000)}` },
      { config: `reply /${'(a|'.repeat(100_000)}` },
    ])
      read('powermta', files);
  });

  test('does not reach the terminal', () => {
    const line = lineOf({
      state: 'unknown',
      file: 'a',
      line: 1,
      directive: '\u001b[2Jx',
      value: 'b\u0007',
      text: 'c\r\nd',
    });
    assert.doesNotMatch(line.replace('\n', ''), /[\u0000-\u001f]/);
  });
});

test('what is imported joins what is stored, and what it replaces is told', () => {
  const replaced: Replaced[] = [];
  const stored = {
    default: {
      connections: 5,
      for: [
        { ip: '192.0.2.1', connections: 1 },
        { tenant: 'a', messageRate: '1/s' },
      ],
    },
    sites: { x: { tls: 'off' } },
  };
  const own = { default: { connections: 9, for: [{ ip: '192.0.2.1', connections: 3 }] } };
  assert.deepEqual(merged(stored, own, 'limits', replaced), {
    default: {
      connections: 9,
      for: [
        { ip: '192.0.2.1', connections: 3 },
        { tenant: 'a', messageRate: '1/s' },
      ],
    },
    sites: { x: { tls: 'off' } },
  });
  assert.deepEqual(
    replaced.map(({ path, before, after: now }) => [path, before, now]),
    [
      ['limits.default.connections', 5, 9],
      ['limits.default.for[ip="192.0.2.1"].connections', 1, 3],
    ],
  );
});
