/**
 * `npm run observe`: Prometheus and Grafana beside a Postern on this host, with the scrape, the rules and the dashboards
 * of this folder. Both are the machine's own programs; where one is missing, it says how to get it and goes on without.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const HERE = import.meta.dirname;
/** Where Debian's and Grafana's packages put Grafana's own files. */
const GRAFANA_HOME = '/usr/share/grafana';
const HOW = {
  prometheus:
    'Prometheus is not installed. On Debian: apt-get install prometheus (its service may stay stopped: systemctl disable --now prometheus).',
  grafana:
    'Grafana is not installed; Debian has no package of it. Its own repository has: https://grafana.com/docs/grafana/latest/setup-grafana/installation/debian/. Or import lib/observe/dashboards/*.json into a Grafana that runs elsewhere, with http://127.0.0.1:9090 as its Prometheus.',
};

/** Where the parts listen and keep what they collect. */
export interface ObserveOptions {
  /** `host:port` of the API of Postern. */
  target: string;
  directory: string;
  prometheus: string;
  grafana: { host: string; port: string };
}

/** Writes the configuration of both into a directory. @returns the file of Prometheus, and the folder of Grafana's provisioning. */
export function writeConfiguration({ target, directory, prometheus }: ObserveOptions): {
  file: string;
  provisioning: string;
} {
  const provisioning = join(directory, 'provisioning');
  for (const path of ['datasources', 'dashboards', 'plugins', 'alerting'])
    mkdirSync(join(provisioning, path), { recursive: true });
  copyFileSync(join(HERE, 'prometheus/rules.yml'), join(directory, 'rules.yml'));
  const file = join(directory, 'prometheus.yml');
  // JSON is YAML, too, and cannot be indented wrongly.
  const scrape = { job_name: 'postern', static_configs: [{ targets: [target] }] };
  const global = { scrape_interval: '15s', evaluation_interval: '15s' };
  writeFileSync(
    file,
    JSON.stringify({ global, rule_files: ['rules.yml'], scrape_configs: [scrape] }, null, 2),
  );
  const source = {
    name: 'Prometheus',
    uid: 'postern',
    type: 'prometheus',
    access: 'proxy',
    url: `http://${prometheus}`,
    isDefault: true,
  };
  writeFileSync(
    join(provisioning, 'datasources/postern.yml'),
    JSON.stringify({ apiVersion: 1, datasources: [source] }),
  );
  const provider = { name: 'Postern', type: 'file', options: { path: join(HERE, 'dashboards') } };
  writeFileSync(
    join(provisioning, 'dashboards/postern.yml'),
    JSON.stringify({ apiVersion: 1, providers: [provider] }),
  );
  return { file, provisioning };
}

function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

function start(options: ObserveOptions): ChildProcess[] {
  const { directory, prometheus, grafana, target } = options;
  const { file, provisioning } = writeConfiguration(options);
  const children: ChildProcess[] = [];
  if (has('prometheus')) {
    children.push(
      spawn(
        'prometheus',
        [
          `--config.file=${file}`,
          `--storage.tsdb.path=${join(directory, 'prometheus')}`,
          `--web.listen-address=${prometheus}`,
          '--log.level=warn',
        ],
        { stdio: 'inherit' },
      ),
    );
    process.stdout.write(`Prometheus  http://${prometheus}/alerts   scrapes http://${target}/metrics\n`);
  } else process.stdout.write(`${HOW.prometheus}\n`);
  if (has('grafana') && existsSync(GRAFANA_HOME)) {
    const env = {
      ...process.env,
      GF_SERVER_HTTP_ADDR: grafana.host,
      GF_SERVER_HTTP_PORT: grafana.port,
      GF_PATHS_DATA: join(directory, 'grafana'),
      GF_PATHS_LOGS: join(directory, 'grafana/log'),
      GF_PATHS_PROVISIONING: provisioning,
      GF_ANALYTICS_REPORTING_ENABLED: 'false',
      GF_ANALYTICS_CHECK_FOR_UPDATES: 'false',
    };
    children.push(spawn('grafana', ['server', '--homepath', GRAFANA_HOME], { env, stdio: 'inherit' }));
    process.stdout.write(
      `Grafana     http://${grafana.host}:${grafana.port}/dashboards   user and password: admin\n`,
    );
  } else process.stdout.write(`${HOW.grafana}\n`);
  return children;
}

if (import.meta.main) {
  const directory = resolve(process.env.POSTERN_OBSERVE ?? './data/observe');
  mkdirSync(directory, { recursive: true });
  const children = start({
    target: process.env.POSTERN_API ?? '127.0.0.1:8025',
    directory,
    prometheus: '127.0.0.1:9090',
    grafana: { host: '127.0.0.1', port: '3000' },
  });
  // Both get the signal of the terminal themselves; a signal to this process alone is passed on.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      for (const child of children) child.kill(signal);
    });
}
