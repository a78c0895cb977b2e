import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const README = join(import.meta.dirname, '..', '..', 'lib', 'stacks', 'README.md');

/** Makes an authority (ca.pem) and a node's certificate (node.pem, node.key) by the commands of the guide. */
export function makeCertificates(directory: string, node: string): void {
  const commands = /```\n( *openssl req -x509 [\s\S]*?)```/.exec(readFileSync(README, 'utf8'))?.[1];
  if (commands === undefined) throw new Error('The guide has no commands for certificates.');
  const script = commands.replaceAll('/CN=c ', `/CN=${node} `);
  execFileSync('bash', ['-euc', script], { cwd: directory, stdio: 'pipe' });
}
