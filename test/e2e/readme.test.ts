/** The README's commands, run as written: a service, a sink, a first message, the same from each client. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({
  language: language!,
  text: text!,
}));

/** The one block that matches. */
function block(language: string, pattern: RegExp): string {
  const found = blocks.filter((one) => one.language === language && pattern.test(one.text));
  assert.equal(found.length, 1, `${found.length} ${language} blocks match ${pattern}`);
  return found[0]!.text;
}

let directory: string;
const running: ChildProcess[] = [];
const output: Record<'postern' | 'sink', string> = { postern: '', sink: '' };
let listener = { api: '', submission: '' };

/** Starts a long-running command. */
function start(name: keyof typeof output, command: string[], env: NodeJS.ProcessEnv = {}): void {
  const child = spawn(command[0]!, command.slice(1), {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  running.push(child);
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output[name] += chunk;
  });
}

async function shows(name: keyof typeof output, pattern: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    const match = pattern.exec(output[name]);
    if (match) return match;
    await Promise.race(running.map((child) => once(child.stdout!, 'data')));
  }
}

/** Runs a block of the README with the exports of the banner. @returns its output. */
async function run(text: string, interpreter = ['bash', '-e', '-o', 'pipefail', '-c']): Promise<string> {
  const exports = output.postern.match(/^ +export .*$/gm)!.join('\n');
  const [, password] = /password (\S+)/.exec(output.postern)!;
  const script = text
    .replaceAll('127.0.0.1:8025', listener.api)
    .replaceAll('127.0.0.1:1587', listener.submission)
    .replaceAll('port: 1587', `port: ${listener.submission.split(':')[1]}`);
  const child = spawn(
    'bash',
    ['-c', `${exports}\nexport SMTP_PASSWORD='${password}'\nexec "$@"`, '-', ...interpreter, script],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let printed = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  const [code] = (await once(child, 'close')) as [number];
  assert.equal(code, 0, errors);
  return printed;
}

async function installed(command: string[]): Promise<boolean> {
  const child = spawn(command[0]!, command.slice(1), { stdio: 'ignore' });
  const ended = once(child, 'close') as Promise<[code: number | null]>;
  return ended.then(
    ([code]) => code === 0,
    () => false,
  );
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-readme-'));
  const [sinkCommand, startCommand] = block('', /^npm run sink/m)
    .trimEnd()
    .split('\n');
  start('sink', [...sinkCommand!.split(' '), '--', '--port', '0']);
  const [, sink] = await shows('sink', /127\.0\.0\.1:(\d+)/);
  const [, routes, ...command] = /^POSTERN_ROUTES='([^']*)' (\S+) (\S+)$/.exec(startCommand!)!;
  start('postern', command, {
    POSTERN_DATA: join(directory, 'data'),
    POSTERN_API: '127.0.0.1:0',
    POSTERN_SUBMISSION: '127.0.0.1:0',
    POSTERN_INBOUND: '127.0.0.1:0',
    POSTERN_ROUTES: routes!.replace('2525', sink!),
  });
  const [, api] = await shows('postern', /http:\/\/(127\.0\.0\.1:\d+)/);
  const [, submission] = await shows('postern', /smtp:\/\/(127\.0\.0\.1:\d+) +STARTTLS/);
  await shows('postern', /Bearer token .*\n/);
  listener = { api: api!, submission: submission! };
});

after(async () => {
  for (const child of running.filter((one) => one.exitCode === null)) {
    process.kill(-child.pid!, 'SIGTERM');
    await once(child, 'exit');
  }
  await rm(directory, { recursive: true });
});

test('the banner agrees with the README', () => {
  const shape = (text: string): string[] =>
    text
      .replace(/127\.0\.0\.1:\d+/g, 'ADDRESS')
      .replace(/Data in .*/, 'Data in DIRECTORY')
      .replace(/AKIA\w+/g, 'KEY')
      .replace(/[\w/+]{40,44}/g, 'SECRET')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !/^(?:>|Identities count|Mail for)/.test(line));
  assert.deepEqual(shape(output.postern), shape(block('', /Postern is ready/)));
});

test('the first message is delivered, and its state is shown', async () => {
  const printed = await run(block('sh', /success@simulator/));
  assert.match(printed, /"recipient":"success@simulator\.amazonses\.com","state":"delivered"/);
});

describe('the same message by each client arrives at the sink', () => {
  const node = [process.execPath, '--input-type=module', '-e'];
  const clients: [
    name: string,
    language: string,
    pattern: RegExp,
    text: string,
    interpreter: string[],
    check: string[],
  ][] = [
    ['the AWS CLI', 'sh', /^aws /m, 'From the CLI', ['bash', '-e', '-c'], ['aws', '--version']],
    ['boto3', 'python', /boto3/, 'From boto3', ['python3', '-c'], ['python3', '-c', 'import boto3']],
    ['the JavaScript SDK', 'js', /SESv2Client/, 'From the SDK', node, ['true']],
    ['nodemailer', 'js', /createTransport/, 'From nodemailer', node, ['true']],
    ['swaks', 'sh', /^swaks /m, 'From swaks', ['bash', '-e', '-c'], ['swaks', '--version']],
  ];
  for (const [name, language, pattern, text, interpreter, check] of clients) {
    test(name, async (t) => {
      const command = block(language, pattern);
      if (!(await installed(check))) {
        t.diagnostic(`${name} is not installed here: the command was found in the README and not run.`);
        return;
      }
      assert.notEqual((await run(command, interpreter)).trim(), '', 'it prints what it got');
      await shows('sink', new RegExp(`To: +bob@example\\.org\\nSubject: Hello\\n\\n +${text}\\n`));
    });
  }
});
