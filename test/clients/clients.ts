/**
 * Sends through the service with the clients that people have: `npm run clients [NAME…]`. A client that is not
 * installed is skipped with a line that says so; `PYTHON` names the interpreter whose packages are tried.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CreateEmailIdentityCommand, SendEmailCommand } from '@aws-sdk/client-sesv2';
import { createTransport } from 'nodemailer';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

const run = promisify(execFile);
const HERE = import.meta.dirname;
const PYTHON = process.env.PYTHON ?? 'python3';
const KEY = { id: 'AKIACLIENTS000000001', secret: 'clients/secret+0123456789abcdef' };
/** Time in which a client must be done, its compilation included. */
const LIMIT = 300_000;

interface Client {
  name: string;
  /** How it is installed where it is not. */
  install: string;
  /** Fails when the client is not installed. */
  probe: readonly [command: string, ...words: string[]];
  /** Prints the recipients of what it sent, as a JSON list. */
  command: readonly [command: string, ...words: string[]];
  cwd?: string;
}

const python = (name: string, module: string, install: string, file: string): Client => ({
  name,
  install: `${PYTHON} -m pip install ${install}`,
  probe: [PYTHON, '-c', `import ${module}`],
  command: [PYTHON, join(HERE, file)],
});

const CLIENTS: readonly Client[] = [
  python('boto3', 'boto3', 'boto3', 'boto3_client.py'),
  python('boto3-v1', 'boto3', 'boto3', 'boto3_v1_client.py'),
  python('aws-cli', 'awscli', 'awscli', 'aws_cli.py'),
  python('django-anymail', 'anymail, boto3', 'django-anymail[amazon-ses]', 'anymail_client.py'),
  python('django-ses', 'django_ses', 'django-ses', 'django_ses_client.py'),
  {
    name: 'go-sdk-v2',
    install: 'Go, then "go mod download" in test/clients/go',
    probe: ['go', 'list', '-deps', '.'],
    command: ['go', 'run', '.'],
    cwd: join(HERE, 'go'),
  },
  {
    name: 'java-sdk-v2',
    install: 'Maven, then "mvn compile exec:help" in test/clients/java',
    // Without the network: whoever runs the clients does not wait for a download.
    probe: ['mvn', '-q', '-o', '-B', 'compile', 'exec:help'],
    command: ['mvn', '-q', '-o', '-B', 'exec:java'],
    cwd: join(HERE, 'java'),
  },
];

const site = await StandaloneSite.open();
const DKIM_ZONE = 'dkim.mail.example.com';
const service = await site.start({
  POSTERN_ACCESS_KEY_ID: KEY.id,
  POSTERN_SECRET_ACCESS_KEY: KEY.secret,
  POSTERN_DKIM_ZONE: DKIM_ZONE,
  POSTERN_DKIM_ZONE_DNS: '127.0.0.1:0',
});
const home = await mkdtemp(join(tmpdir(), 'postern-clients-'));
const ses = sesClient(service, KEY);
const environment = {
  ...process.env,
  ENDPOINT: `http://${service.listening.api}`,
  DKIM_ZONE,
  DKIM_ZONE_DNS: service.listening.dkimZone,
  AWS_ACCESS_KEY_ID: KEY.id,
  AWS_SECRET_ACCESS_KEY: KEY.secret,
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: join(home, 'none'),
  AWS_SHARED_CREDENTIALS_FILE: join(home, 'none'),
};
const wanted = process.argv.slice(2);
let failed = 0;

/** Runs one client and waits until the sink has all that it sent. */
async function attempt(name: string, send: () => Promise<string[]>): Promise<void> {
  if (wanted.length > 0 && !wanted.includes(name)) return;
  try {
    const recipients = await send();
    await Promise.all(recipients.map((to) => site.delivered(to)));
    console.log(`ok       ${name}: ${recipients.length} messages delivered`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED   ${name}: ${(error as { stderr?: string }).stderr || String(error)}`);
  }
}

try {
  await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'clients.example' }));
  await attempt('nodemailer', async () => {
    const transport = createTransport({ SES: { sesClient: ses, SendEmailCommand } });
    const to = 'to@nodemailer.rcpt.example';
    await transport.sendMail({
      from: 'shop@clients.example',
      to,
      subject: 'Hello',
      text: 'Hello',
      html: '<p>Hello</p>',
    });
    return [to];
  });
  for (const { name, install, probe, command, cwd } of CLIENTS) {
    const options = { env: environment, cwd, timeout: LIMIT };
    const installed = await run(probe[0], probe.slice(1), options).then(
      () => true,
      () => false,
    );
    if (!installed) console.log(`skipped  ${name}: not installed (${install})`);
    else
      await attempt(name, async () => {
        const { stdout } = await run(command[0], command.slice(1), options);
        // Maven puts codes of colours around what it prints.
        return JSON.parse(stdout.match(/\["[^\n]*"\]/g)!.at(-1)!) as string[];
      });
  }
} finally {
  ses.destroy();
  await service.stop();
  await site.close();
  await rm(home, { recursive: true, force: true });
}
process.exitCode = failed > 0 ? 1 : 0;
