/**
 * `npm run submission`: the submission service on the AWS engine (lib/stacks/submission.ts). It accepts mail by SMTP
 * and enqueues it, sends nothing, and keeps nothing: any number of these processes run behind a load balancer. It is
 * healthy (`/healthz` at POSTERN_API) while its storage answers and it accepts connections.
 */

import { totalmem } from 'node:os';
import { type ApiSettings, readApiSettings } from '../functions/environment.ts';
import { loggedBulk } from '../lib/accept/bulk.ts';
import { MAX_RECIPIENTS, openPipeline } from '../lib/accept/open.ts';
import { createResolver } from '../lib/dns/resolver.ts';
import { dnsServers } from '../lib/dns/servers.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
import { ERRORS, type ErrorCode } from '../lib/errors.ts';
import { createLog } from '../lib/log.ts';
import { createEmf, STAGE_VARIABLE } from '../lib/observe/emf.ts';
import { createMailMetrics } from '../lib/observe/mail-metrics.ts';
import { PolicyMetrics } from '../lib/observe/policy-metrics.ts';
import { openDeployedPolicy } from '../lib/policy/deployed.ts';
import { defaultBudget } from '../lib/smtp-server/octet-budget.ts';
import { HEALTH, STARTTLS, TLS } from '../lib/submission/ports.ts';
import { openCertificate } from '../lib/submission/stored-certificate.ts';
import { DATA_DEADLINE, MAX_CLIENTS, startSubmission } from '../lib/submission/submission.ts';
import { systemClock } from '../lib/time.ts';
import { openHealth } from './service/health.ts';
import { runService, type Service } from './service/service.ts';
import { type Endpoint, readSettings, settingVariables } from './settings.ts';

const ANY = '0.0.0.0';
const LISTEN = {
  api: { host: ANY, port: HEALTH },
  submission: { host: ANY, port: STARTTLS },
  submissionTls: { host: ANY, port: TLS },
};
const METRICS_INTERVAL = 60_000;
/** Maximum time of a stop, ms: open sessions are cut off after 30 s, with a reply. */
const DRAIN = 35_000;

/** What was submitted since the last report, and what of it was refused by a fault of this side. */
class SubmissionTally {
  #submissions = 0;
  #failures = 0;

  count(result: 'accepted' | ErrorCode): void {
    this.#submissions += 1;
    if (result !== 'accepted' && ERRORS[result].http >= 500) this.#failures += 1;
  }

  take(): { Submissions: number; SubmissionFailures: number } {
    const taken = { Submissions: this.#submissions, SubmissionFailures: this.#failures };
    this.#submissions = 0;
    this.#failures = 0;
    return taken;
  }
}

const clock = systemClock;
const write = (line: string): void => void process.stdout.write(line);
const log = createLog({ level: 'info', now: () => clock.now(), write });
const emf = createEmf({ now: () => clock.now(), write, stage: process.env[STAGE_VARIABLE] });

/** Starts the service. Its stop answers the messages that are being sent. */
async function start(settings: ApiSettings & { region: string }): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  const { api, submission, submissionTls, maxMessageBytes } = readSettings(
    settingVariables(process.env),
    {},
    LISTEN,
  );
  const bucket = settings.secrets;
  const policyMetrics = new PolicyMetrics();
  const [engine, masterKey, returnPathKey, trackingKey, certificate, policy] = await Promise.all([
    openAws({ resources: settings.resources, clock, log }),
    readSecret('master.key', { bucket }),
    readSecret('return-path.key', { bucket }),
    readSecret('tracking.key', { bucket }),
    openCertificate({ bucket, clock, log }),
    openDeployedPolicy({ clock, log, meter: policyMetrics }),
  ]);
  stack.defer(() => engine.close());
  const mail = createMailMetrics(emf);
  const tally = new SubmissionTally();
  const pipeline = await openPipeline({
    engine,
    settings,
    masterKey,
    returnPathKey,
    trackingKey,
    clock,
    random: Math.random,
    metrics: mail,
    maxMessageBytes,
    policy,
    bulk: loggedBulk(createResolver({ servers: dnsServers(undefined), clock }), clock, log),
    onResult: (_, result) => tally.count(result),
  });
  const { accept, control } = pipeline;
  const budget = defaultBudget(totalmem());
  const door = ({ host, port }: Endpoint, implicitTls: boolean) =>
    startSubmission({
      host,
      port,
      implicitTls,
      hostname: settings.hostname,
      tls: certificate.current(),
      relayFrom: [],
      allowInsecureAuth: false,
      maxMessageBytes,
      maxRecipients: MAX_RECIPIENTS,
      dataDeadline: DATA_DEADLINE,
      maxClients: MAX_CLIENTS,
      region: settings.region,
      accept,
      control,
      budget,
      clock,
      log,
    });
  const doors = await Promise.all([door(submission, false), door(submissionTls!, true)]);
  certificate.follow((renewed) => {
    for (const one of doors) one.renew(renewed);
  });

  let stopping = false;
  const health = await openHealth(api, async () => {
    const { ok, detail } = await engine.health();
    return { ok: ok && !stopping, detail };
  });

  const stopReports = startReports(() => {
    mail.flush();
    emf.put(
      {},
      {
        ...tally.take(),
        SubmissionConnections: doors.reduce((sum, one) => sum + one.connections(), 0),
        CertificateSeconds: (certificate.current().expires - clock.now()) / 1_000,
        ...policyMetrics.take(policy?.state()),
      },
    );
  });

  const ports = doors.map(({ address }) => address.port);
  log.info('started', { ports, health: health.port });
  stack.defer(() => health.close());
  stack.defer(stopReports);
  stack.defer(() => policy?.close());
  stack.defer(() => pipeline.close());
  stack.defer(async () => {
    await Promise.all(doors.map((one) => one.close()));
  });
  stack.defer(() => certificate.stop());
  stack.defer(() => {
    stopping = true;
  });
  const owned = stack.move();
  return { stop: () => owned.disposeAsync() };
}

/** Reports now and each minute. @returns ends that, with a last report. */
function startReports(report: () => void): () => void {
  let cancel: () => void;
  const tick = (): void => {
    report();
    cancel = clock.after(METRICS_INTERVAL, tick);
  };
  tick();
  return () => {
    cancel();
    report();
  };
}

await runService(() => start(readApiSettings(process.env)), { log, drain: DRAIN });
