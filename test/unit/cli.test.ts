/** The parts of the `postern` command that need no service. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { bashScript, completionWords, zshScript } from '../../lib/cli/commands/completion.ts';
import type { Surroundings } from '../../lib/cli/context.ts';
import { difference, edited } from '../../lib/cli/document-edit.ts';
import { Printer } from '../../lib/cli/output.ts';
import { chosenProfile, profilePath, readProfiles, writeProfiles } from '../../lib/cli/profile.ts';
import { createProgram, run } from '../../lib/cli/program.ts';
import { rowColumns } from '../../lib/cli/queue-table.ts';
import { cut, tableLines, widthOf } from '../../lib/cli/table.ts';
import { short, span, timeGiven } from '../../lib/cli/text.ts';
import { screenLines } from '../../lib/cli/top.ts';
import { pressed, topQuery, topState } from '../../lib/cli/top-state.ts';

const NOW = Date.parse('2026-01-31T12:00:00Z');

function surroundings(
  env: Record<string, string> = {},
): Surroundings & { printed: string; complained: string } {
  const around = {
    env,
    input: Readable.from([]),
    out: { write: (text: string) => (around.printed += text) },
    err: { write: (text: string) => (around.complained += text) },
    now: () => NOW,
    signal: new AbortController().signal,
    printed: '',
    complained: '',
  };
  return around;
}

describe('tables', () => {
  const rows = [
    { name: 'a-long-name.example.com', count: 12, note: 'held at 9 a second\x1b[31m\nafter "slow down"' },
    { name: 'b', count: 4_000_000, note: '' },
  ];
  const columns = [
    { title: 'NAME', cell: (row: (typeof rows)[0]) => row.name },
    { title: 'COUNT', cell: (row: (typeof rows)[0]) => row.count, right: true },
    { title: 'NOTE', cell: (row: (typeof rows)[0]) => row.note, drop: 1 },
    { title: 'EMPTY', cell: () => '' },
  ];

  it('are whole where no terminal reads them, without what a terminal would run', () => {
    assert.deepEqual(tableLines(columns, rows, undefined), [
      'NAME                       COUNT  NOTE',
      'a-long-name.example.com       12  held at 9 a second [31m after "slow down"',
      'b                        4000000',
    ]);
  });

  it('drop columns, then cut, to fit a narrow terminal', () => {
    for (const width of [80, 60, 40, 25, 20]) {
      const lines = tableLines(columns, rows, width);
      assert.ok(
        lines.every((line) => widthOf(line) <= width),
        `${width}: ${JSON.stringify(lines)}`,
      );
    }
    assert.match(tableLines(columns, rows, 90)[1]!, /after "slow down"$/, 'nothing goes where there is room');
    const narrow = tableLines(columns, rows, 70);
    assert.match(narrow[1]!, /example\.com +12 +held at 9 a .*…$/, 'a long text is cut before a column goes');
    assert.equal(tableLines(columns, rows, 40).length, 3);
    assert.match(tableLines(columns, rows, 20)[1]!, /^a-long-.*…\s+12$/);
  });

  it('know wide characters', () => {
    assert.equal(widthOf('日本é'), 5);
    assert.equal(cut('日本語テスト', 7), '日本語…');
  });
});

describe('numbers and times', () => {
  it('are short', () => {
    assert.deepEqual([0, 999, 9_999, 12_345, 999_499, 999_500, 4_000_000].map(short), [
      '0',
      '999',
      '9999',
      '12.3k',
      '999k',
      '1.0M',
      '4.0M',
    ]);
    assert.deepEqual([0, 20, 90_000, 7_200_000, 4e8].map(span), ['0s', '20ms', '90s', '2h', '4d']);
  });

  it('are read from the command line', () => {
    assert.equal(timeGiven('2h', NOW), '2026-01-31T10:00:00.000Z');
    assert.equal(timeGiven('2026-01-31', NOW), '2026-01-31T00:00:00.000Z');
    for (const bad of ['', 'yesterday', '2x', '2026-13-40', '10'])
      assert.equal(timeGiven(bad, NOW), undefined, bad);
  });
});

describe('changes of documents', () => {
  const document = { providers: { google: { messageRate: '10/s', connections: 5 } }, default: { idle: 30 } };

  it('set and remove single values, and leave the rest', () => {
    assert.deepEqual(
      edited(document, ['providers/google/messageRate=20/s', 'default/idle=', 'ips/192.0.2.1/for=[1]']),
      {
        providers: { google: { messageRate: '20/s', connections: 5 } },
        default: {},
        ips: { '192.0.2.1': { for: [1] } },
      },
    );
    assert.equal(document.providers.google.messageRate, '10/s');
    for (const bad of ['=x', 'a//b=1', 'nothing'])
      assert.throws(() => edited({}, [bad]), { exit: 2, message: /is no change/ });
  });

  it('are shown by path', () => {
    assert.deepEqual(
      difference(document, edited(document, ['providers/google/connections=6', 'default/idle='])),
      [
        '+ default: {}',
        '- default/idle: 30',
        '- providers/google/connections: 5',
        '+ providers/google/connections: 6',
      ],
    );
    assert.deepEqual(difference({}, {}), []);
  });
});

describe('top', () => {
  const rows = [
    { provider: 'google', ready: 5, inHand: 1, later: 0 },
    {
      provider: 'yahoo',
      ready: 2,
      inHand: 0,
      later: 9,
      binding: { limit: 'lane', text: 'Suspended: spring.' },
    },
  ];
  const start = topState({ by: ['provider'], filter: {}, sort: 'depth' });
  const keys = (...names: string[]) =>
    names.reduce(
      (state, key) => (state === undefined ? state : pressed(state, key, rows)),
      start as typeof start | undefined,
    );

  it('goes into a row and out of it, orders, filters and leaves', () => {
    const inside = keys('down', 'return')!;
    assert.deepEqual(topQuery(inside, 10), { by: 'pool', sort: 'depth', max: 10, provider: 'yahoo' });
    assert.deepEqual(topQuery(pressed(inside, 'backspace', rows)!, 10), topQuery(start, 10));
    assert.equal(keys('r')!.sort, 'oldest');
    assert.deepEqual(keys('t')!.by, ['provider', 'tenant']);
    assert.deepEqual(keys('/', ...Array.from('tenant=shop'), 'return')!.filter, { tenant: 'shop' });
    assert.match(keys('/', ...Array.from('colour=red'), 'return')!.fault!, /"colour=red" is no filter/);
    assert.equal(keys('/', 'q')!.typed, 'q');
    assert.equal(keys('q'), undefined);
    assert.equal(keys('/', 'ctrl-c'), undefined);
    assert.equal(keys('down', 'down', 'down')!.at, 1);
  });

  it('draws what fits, in 40 columns too', () => {
    const out = new Printer({ ...surroundings(), json: false });
    const answer = { rows, total: { ready: 7, inHand: 1, later: 9 } };
    for (const size of [
      { width: 40, height: 5 },
      { width: 120, height: 30 },
    ]) {
      const lines = screenLines({ out, now: NOW }, start, answer, undefined, size);
      assert.ok(lines.length <= size.height, `${lines.length} lines`);
      assert.ok(
        lines.every((line) => widthOf(line) <= size.width),
        JSON.stringify(lines),
      );
    }
    const wide = screenLines({ out, now: NOW }, start, answer, undefined, { width: 120, height: 30 }).join(
      '\n',
    );
    assert.match(wide, /17 wait: 7 ready, 1 in hand, 9 for a time/);
    assert.match(wide, /yahoo .* Suspended: spring\./);
    assert.equal(rowColumns(['site'], NOW)[0]!.title, 'SITE');
  });
});

describe('completion', () => {
  const program = createProgram(surroundings(), '1.0.0');

  it('knows every command and option', () => {
    const words = completionWords(program);
    assert.ok(words.get('')!.includes('queue') && words.get('')!.includes('--profile'));
    assert.deepEqual(words.get('limits')!.slice(0, 5), ['get', 'set', 'history', 'diff', 'rollback']);
    assert.ok(words.get('pause')!.includes('--campaign'));
    assert.deepEqual(words.get('completion')!.slice(0, 2), ['bash', 'zsh']);
  });

  it('completes in bash', () => {
    const ask = (...line: string[]) => {
      const script = `${bashScript(program)}\nCOMP_WORDS=(${line.map((word) => `'${word}'`).join(' ')})\nCOMP_CWORD=${line.length - 1}\n_postern\necho "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
      assert.equal(stderr, '');
      return stdout.trim();
    };
    assert.equal(ask('postern', 'lim'), 'limits');
    assert.equal(ask('postern', '--profile', 'eu', 'limits', 'hi'), 'history');
    assert.equal(ask('postern', 'pause', '--camp'), '--campaign');
    assert.equal(ask('postern', 'pause', '--campaign', 'limits', '--ten'), '--tenant');
  });

  it('is a script that zsh reads', (context) => {
    const { status, error, stderr } = spawnSync('zsh', ['-n'], {
      input: zshScript(program),
      encoding: 'utf8',
    });
    if (error) return context.skip('zsh is not installed');
    assert.equal(status, 0, stderr);
  });
});

describe('profiles', () => {
  let directory: string;
  let path: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postern-cli-'));
    path = join(directory, 'deep', 'config.json');
  });
  after(() => rm(directory, { recursive: true }));

  it('are kept for their user alone', async () => {
    writeProfiles(path, { current: 'eu', profiles: { eu: { url: 'https://eu.example', key: 'AKIA1.s' } } });
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal(JSON.parse(await readFile(path, 'utf8')).current, 'eu');
    await chmod(path, 0o644);
    assert.throws(() => readProfiles(path), {
      exit: 2,
      message: /Others may read/,
      next: `Run: chmod 600 ${path}`,
    });
    await chmod(path, 0o600);
  });

  it('give way to what is named, and stand above what SDKs read', () => {
    const env = { POSTERN_CONFIG: path };
    assert.deepEqual(chosenProfile(env, {}), { url: 'https://eu.example', key: 'AKIA1.s' });
    const key = { ...env, POSTERN_KEY: 'AKIA2.t', POSTERN_URL: 'http://127.0.0.1:1/' };
    assert.deepEqual(chosenProfile(key, {}), { url: 'http://127.0.0.1:1', key: 'AKIA2.t' });
    assert.equal(chosenProfile(key, { profile: 'eu' }).key, 'AKIA1.s');
    assert.throws(() => chosenProfile(env, { profile: 'us' }), { exit: 2, message: /there are: eu/ });
    const none = { POSTERN_CONFIG: join(directory, 'none.json') };
    assert.throws(() => chosenProfile(none, {}), { exit: 4, next: /postern login/ });
    const sdk = {
      ...none,
      AWS_ACCESS_KEY_ID: 'AKIA3',
      AWS_SECRET_ACCESS_KEY: 'u',
      AWS_ENDPOINT_URL_SESV2: 'http://h:1',
    };
    assert.deepEqual(chosenProfile(sdk, {}), { url: 'http://h:1', key: 'AKIA3.u' });
    assert.throws(() => chosenProfile({ ...none, POSTERN_KEY: 'a.b' }, { url: 'ftp://x' }), { exit: 2 });
    assert.equal(profilePath({ HOME: '/home/ann' }), '/home/ann/.config/postern/config.json');
  });

  it('that are broken are named, and not written over', async () => {
    await writeFile(path, '{"profiles": {"eu": {"url": 5}}}', { mode: 0o600 });
    assert.throws(() => readProfiles(path), { exit: 2, message: /each profile has "url" and "key"/ });
    await writeFile(path, '{', { mode: 0o600 });
    assert.throws(() => readProfiles(path), { exit: 2, message: /cannot be read/ });
  });
});

describe('the command line', () => {
  const ran = async (...args: string[]) => {
    const around = surroundings({ POSTERN_CONFIG: '/nonexistent/config.json' });
    const code = await run(args, around, '1.2.3');
    return { code, out: around.printed, err: around.complained };
  };

  it('answers what is wrong with it', async () => {
    assert.deepEqual(await ran('--version'), { code: 0, out: '1.2.3\n', err: '' });
    const unknown = await ran('quue');
    assert.equal(unknown.code, 2);
    assert.match(unknown.err, /unknown command 'quue'[\s\S]*Did you mean queue/);
    assert.equal((await ran('message')).code, 2);
    assert.match((await ran('queue', '--sort', 'colour')).err, /Allowed choices are depth, oldest, rate/);
    const keyless = await ran('queue');
    assert.equal(keyless.code, 4);
    assert.match(
      keyless.err,
      /^postern: There is no key for http:\/\/127\.0\.0\.1:8025\.\n {2}Run: postern login/,
    );
    const unnamed = await ran('pause');
    assert.deepEqual([unnamed.code, /Which mail\? Nothing is named\./.test(unnamed.err)], [2, true]);
    assert.equal((await ran('pause', '--all', '--tenant', 'x')).code, 2);
    assert.match((await ran('search', '--from', 'yesterday')).err, /--from: "yesterday" is no time/);
  });
});
