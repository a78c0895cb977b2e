/** The packages of lib/deploy: held by the tools that read them where these are, and by their own rules everywhere. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const DEPLOY = join(ROOT, 'lib', 'deploy');
const read = (...path: string[]): string => readFileSync(join(ROOT, ...path), 'utf8');

/** Why a test of a tool is skipped; false where the tool is. */
function without(tool: string, ...args: string[]): string | false {
  return spawnSync(tool, args).error ? `${tool} is not installed here` : false;
}

describe('the image', () => {
  const file = read('Containerfile');

  test('runs without root, with a health check, and holds what it starts', () => {
    assert.match(file, /^USER 65532:65532$/m);
    assert.match(file, /^HEALTHCHECK /m);
    assert.match(file, /^STOPSIGNAL SIGTERM$/m);
    assert.match(file, /healthz\/live/);
    const ignored = read('.containerignore').split('\n');
    for (const [, source] of file.matchAll(/^COPY ((?!--from)\S+)/gm))
      assert.ok(ignored.includes(`!${source}`), source);
  });

  test('leaves out nothing that the process imports', () => {
    const removed = [...file.matchAll(/rm -rf ([^&]+)/g)].flatMap(([, words]) => words!.trim().split(/\s+/));
    assert.deepEqual(removed, ['lib/stacks', 'lib/deploy']);
    const files = globSync(['egress-node/**/*.ts', 'lib/**/*.{ts,tsx}'], { cwd: ROOT });
    for (const name of files) {
      if (name.startsWith('lib/stacks/')) continue;
      assert.doesNotMatch(read(name), /from '[./]+\/(?:lib\/)?stacks\//, name);
    }
  });
});

describe('the unit of systemd', () => {
  const unit = join(DEPLOY, 'systemd', 'postern.service');

  test('waits longer than the process drains', () => {
    const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(readFileSync(unit, 'utf8'))!;
    const [, drain] = /const DRAIN = (\d+)_000;/.exec(read('egress-node', 'main.ts'))!;
    assert.ok(Number(seconds) > Number(drain));
  });

  test('is understood, and exposes little', { skip: without('systemd-analyze', '--version') }, () => {
    const { stdout, stderr } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--no-pager', unit],
      { encoding: 'utf8' },
    );
    const [, exposure] = /exposure level for postern\.service: ([\d.]+)/.exec(stdout) ?? [];
    assert.ok(Number(exposure) <= 2, `${stdout.slice(-200)}${stderr}`);
    const { stderr: faults } = spawnSync('systemd-analyze', ['verify', '--man=no', unit], {
      encoding: 'utf8',
    });
    assert.doesNotMatch(faults, /Unknown|Failed to parse|Invalid/);
  });
});

describe('the examples of proxies', () => {
  test('HAProxy takes its own', { skip: without('haproxy', '-v') }, () => {
    const { status, stderr } = spawnSync('haproxy', ['-c', '-f', join(DEPLOY, 'proxies', 'haproxy.cfg')], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });
});

describe('the Helm chart', () => {
  const values = { release: 'mail', standalone: true, egress: true };

  test('renders to manifests whose names and labels meet', () => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-chart-'));
    try {
      for (const name of ['standalone', 'egress'] as const) {
        const text = render(readFileSync(join(DEPLOY, 'helm', 'templates', `${name}.yaml`), 'utf8'), values);
        assert.doesNotMatch(text, /\{\{|\t/, 'nothing is left of the template');
        const documents = text.split(/^---$/m);
        for (const document of documents) {
          assert.match(document, /^apiVersion: \S+$/m);
          assert.match(document, /^kind: \S+$/m);
          // A line is indented by at most one step more than the one before, as YAML's maps are here.
          let before = 0;
          for (const line of document
            .split('\n')
            .filter((one) => one.trim() !== '' && !one.trim().startsWith('#'))) {
            const indent = line.length - line.trimStart().length;
            assert.ok(indent % 2 === 0 && indent <= before + 4, line);
            before = indent;
          }
        }
        const grace = /terminationGracePeriodSeconds: (\d+)/.exec(text);
        assert.ok(Number(grace?.[1]) > 60);
        assert.match(text, /readOnlyRootFilesystem: true/);
        assert.match(text, /runAsNonRoot: true/);
        writeFileSync(join(folder, `${name}.yaml`), text);
      }
      const kubeconform = spawnSync('kubeconform', ['-strict', folder], { encoding: 'utf8' });
      if (!kubeconform.error) assert.equal(kubeconform.status, 0, kubeconform.stdout);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('names no value that values.yaml does not have', () => {
    const known = pathsOf(readFileSync(join(DEPLOY, 'helm', 'values.yaml'), 'utf8'));
    for (const name of globSync('templates/*.yaml', { cwd: join(DEPLOY, 'helm') })) {
      for (const [, path] of readFileSync(join(DEPLOY, 'helm', name), 'utf8').matchAll(/\.Values\.([\w.]+)/g))
        assert.ok(known.has(path!), `${name}: ${path}`);
    }
  });

  test('passes helm lint', { skip: without('helm', 'version') }, () => {
    const { status, stdout } = spawnSync(
      'helm',
      ['lint', join(DEPLOY, 'helm'), '--set', 'egress.enabled=true'],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stdout);
  });
});

/** The keys of a file of values, as paths. */
function pathsOf(yaml: string): Set<string> {
  const paths = new Set<string>();
  const open: { indent: number; key: string }[] = [];
  for (const line of yaml.split('\n')) {
    const [, blank = '', key] = /^( *)([\w]+):/.exec(line) ?? [];
    if (key === undefined) continue;
    while (open.length > 0 && open.at(-1)!.indent >= blank.length) open.pop();
    open.push({ indent: blank.length, key });
    paths.add(open.map((one) => one.key).join('.'));
  }
  return paths;
}

/** What Helm makes of the few constructs that the chart uses: conditions, a range, values, quote, toYaml. */
function render(template: string, { release }: { release: string }): string {
  const lines: string[] = [];
  for (const line of template.split('\n')) {
    if (/^\s*\{\{- (if|range|end)\b.*\}\}$/.test(line)) continue;
    const filled = line
      .replace(
        /\{\{- toYaml .Values.([\w.]+) \| nindent (\d+) \}\}/,
        (_all, _path, width: string) => `${' '.repeat(Number(width) - line.search(/\S/))}requests: {}`,
      )
      .replaceAll('{{ .Release.Name }}', release)
      .replace(/\{\{ (?:\.Values\.[\w.]+|\$value) \| quote \}\}/g, '"1"')
      .replace(/\{\{ (?:\.Values\.[\w.]+|\$name) \}\}/g, 'x');
    lines.push(filled);
  }
  return lines.join('\n');
}
